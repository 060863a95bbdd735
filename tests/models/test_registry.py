import shutil
from pathlib import Path

import pytest
from support import change_manifest

from digitflow import settings
from digitflow.errors import UnknownModelError, UsageError
from digitflow.models.bundle import load_bundle
from digitflow.models.registry import (
    check_name,
    current_version,
    find_model,
    list_models,
    promote,
)


@pytest.fixture
def models(pristine_bundle: Path) -> Path:
    """Return the models folder with two versions of `small`."""
    for version in ("1", "2"):
        folder = settings.models_folder() / "small" / version
        shutil.copytree(pristine_bundle, folder)
        change_manifest(folder, version=version)
    return settings.models_folder()


def test_a_promoted_version_is_current(models: Path):
    assert current_version("small") is None
    promote(load_bundle(find_model("small@2")))

    assert find_model("small") == models / "small" / "2"
    listed = {model.version: model.is_current for model in list_models() if model.name == "small"}
    assert listed == {"1": False, "2": True}

    promote(load_bundle(find_model("small@1")))
    assert find_model("small") == models / "small" / "1"


def test_a_bundle_is_found_by_its_path(models: Path):
    assert find_model(str(models / "small" / "1")) == models / "small" / "1"


def test_the_shipped_model_is_the_default():
    assert find_model() == find_model("mnist@pretrained") == find_model("mnist")


def test_drafts_are_not_listed(models: Path, pristine_bundle: Path):
    shutil.copytree(pristine_bundle, models / "small" / ".draft-3")

    assert [model.version for model in list_models() if model.name == "small"] == ["1", "2"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("smal", "did you mean 'small'"),
        ("nothing-like-it", "known are: mnist, small"),
        ("small", "no current version; there is 1, 2"),
        ("small@3", "no version '3'; there is 1, 2"),
        ("../small", "no model bundle"),
        ("@1", "no model name"),
        ("", "no model name"),
    ],
)
def test_an_unknown_model_is_said_with_what_there_is(models: Path, model: str, message: str):
    with pytest.raises(UnknownModelError, match=message):
        find_model(model)


@pytest.mark.parametrize("name", ["", ".hidden", "../x", "a/b", "a b", "a@1", "x" * 101])
def test_names_that_cannot_be_folders_are_refused(name: str):
    with pytest.raises(UsageError, match="model name"):
        check_name(name)


def test_a_bundle_from_elsewhere_is_not_promoted(bundle_folder: Path):
    with pytest.raises(UnknownModelError, match="small"):
        promote(load_bundle(bundle_folder))
