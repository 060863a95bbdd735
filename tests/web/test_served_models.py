"""A model that becomes current is picked up beside the requests; one that is damaged is not."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked import SEVEN, app_of, ask, ask_raw
from fastapi import FastAPI
from support import change_manifest

from digitflow import settings
from digitflow.errors import BundleError, UnknownModelError, UsageError
from digitflow.models.bundle import TFLITE_FILES, load_bundle
from digitflow.models.promotions import promote
from digitflow.web.served_models import ServedModels


@pytest.fixture
def app() -> Iterator[FastAPI]:
    with app_of(workers=1) as app:
        app.state.service.models._check_every = 0  # at every request
        yield app


@pytest.fixture
def new_version(repository: Path) -> Path:
    """Return the folder of another version of the shipped model."""
    folder = settings.models_folder() / "mnist" / "new"
    shutil.copytree(repository / "models" / "mnist" / "pretrained", folder)
    change_manifest(folder, version="new")
    return folder


def version_said(app: FastAPI, query: str = "") -> str:
    """Return the version that answers once the registry was looked at again."""
    models = app.state.service.models
    assert ask_raw(app, SEVEN.read_bytes(), query).status_code == 200
    for looking in list(models._looking.values()):
        looking.result(60)
    answer = ask_raw(app, SEVEN.read_bytes(), query)
    assert answer.status_code == 200
    return str(answer.json()["version"])


def test_a_promoted_version_is_picked_up(app: FastAPI, new_version: Path):
    assert version_said(app) == "pretrained"

    promote(load_bundle(new_version), "a test")

    assert version_said(app) == "new"
    assert version_said(app, "?model=mnist@pretrained") == "pretrained"
    assert [each["current"] for each in ask(app, "GET", "/v1/models").json()["models"]] == [
        True,
        False,
    ]


def test_the_version_before_stays_where_the_new_one_is_damaged(
    app: FastAPI, new_version: Path, caplog: pytest.LogCaptureFixture
):
    promote(load_bundle(new_version), "a test")
    (new_version / TFLITE_FILES["dynamic"]).write_bytes(b"damaged")

    assert version_said(app) == "pretrained"
    assert "the version before stays" in caplog.text


def test_a_damaged_model_is_told_without_its_path(app: FastAPI, new_version: Path):
    (new_version / TFLITE_FILES["dynamic"]).write_bytes(b"damaged")
    answer = ask(app, "GET", "/v1/model?model=mnist@new")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert answer.json()["detail"] == (
        "model 'mnist@new' cannot be loaded; the server's log says why"
    )


def test_damaged_manifests_are_not_listed(app: FastAPI, new_version: Path):
    (new_version / "manifest.json").write_text("{}")

    listed = ask(app, "GET", "/v1/models").json()["models"]
    assert [each["version"] for each in listed] == ["pretrained"]


def test_few_models_are_kept_ready(repository: Path):
    for number in range(10):
        folder = settings.models_folder() / "mnist" / str(number)
        shutil.copytree(repository / "models" / "mnist" / "pretrained", folder)
    models = ServedModels()

    async def ask_for_all() -> None:
        for number in range(10):
            await models.get(f"mnist@{number}")

    asyncio.run(ask_for_all())
    models.close()

    assert list(models._served) == [f"mnist@{number}" for number in range(2, 10)]


@pytest.mark.parametrize(
    ("model", "error"),
    [("nothing", UnknownModelError), ("models/mnist/pretrained", UsageError)],
)
def test_a_server_without_its_model_does_not_begin(model: str, error: type[Exception]):
    with pytest.raises(error, match=model), app_of(model=model):
        pass


def test_a_server_with_a_damaged_model_does_not_begin(new_version: Path):
    (new_version / TFLITE_FILES["dynamic"]).write_bytes(b"damaged")

    with pytest.raises(BundleError, match="was altered"), app_of(model="mnist@new"):
        pass
