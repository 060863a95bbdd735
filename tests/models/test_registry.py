import os
import shutil
from pathlib import Path

import pytest
from support import change_manifest

from digitflow import settings
from digitflow.errors import UnknownModelError, UsageError
from digitflow.models.bundle import load_bundle
from digitflow.models.promotions import promote
from digitflow.models.registry import (
    check_name,
    current_version,
    find_model,
    list_models,
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
    promote(load_bundle(find_model("small@2")), "a reason")

    assert find_model("small") == models / "small" / "2"
    listed = {model.version: model.is_current for model in list_models() if model.name == "small"}
    assert listed == {"1": False, "2": True}

    promote(load_bundle(find_model("small@1")), "a reason")
    assert find_model("small") == models / "small" / "1"


def test_a_bundle_is_found_by_its_path(models: Path, monkeypatch: pytest.MonkeyPatch):
    assert find_model(str(models / "small" / "1")) == models / "small" / "1"
    assert find_model(models / "small" / "1") == models / "small" / "1"

    monkeypatch.chdir(models / "small")
    assert find_model(Path("1")) == Path("1")
    with pytest.raises(UnknownModelError, match="mnist: holds no model bundle"):
        find_model(Path("mnist"))


def test_a_path_that_cannot_be_looked_at_is_said():
    with pytest.raises(UnknownModelError, match=r"cannot be read .File name too long"):
        find_model("./" + "x" * 300)


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
        ("a\0b", "'a.x00b' is not known"),
        ("x" * 300, "is not known"),
        ("..", "is not known"),
    ],
)
def test_an_unknown_model_is_said_with_what_there_is(models: Path, model: str, message: str):
    with pytest.raises(UnknownModelError, match=message):
        find_model(model)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"\xff\xfe"),
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("/etc/hostname"),
        lambda path: path.write_bytes(b"1" * 10_000),
    ],
    ids=["no text", "folder", "pipe", "link", "too large"],
)
def test_a_current_version_that_cannot_be_read_is_said(models: Path, make):
    make(models / "small" / "current")

    for ask in (lambda: find_model("small"), list_models):
        with pytest.raises(UnknownModelError, match=r"small/current: cannot be read \(.*\); write"):
            ask()

    # What does not depend on it goes on.
    assert find_model("small@1") == models / "small" / "1"
    assert find_model() == find_model("mnist@pretrained")


def test_promotion_mends_a_current_version_that_cannot_be_read(models: Path):
    (models / "small" / "current").write_bytes(b"\xff\xfe")

    promote(load_bundle(find_model("small@2")), "a reason")

    assert current_version("small") == "2"


def test_a_models_folder_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for folder in (loop, tmp_path / ("x" * 300)):
        monkeypatch.setenv("DIGITFLOW_MODELS", str(folder))
        for ask in (lambda: find_model("mnist@pretrained"), list_models):
            with pytest.raises(UsageError, match=r"cannot be read .*DIGITFLOW_MODELS") as caught:
                ask()
            assert str(caught.value).startswith(str(folder))


def test_a_models_folder_that_is_not_there_holds_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DIGITFLOW_MODELS", "/dev/null/models")

    assert {model.name for model in list_models()} == {"mnist"}
    assert find_model("mnist").name == "pretrained"


@pytest.mark.parametrize("name", ["", ".hidden", "../x", "a/b", "a b", "a@1", "a\n", "x" * 101])
def test_names_that_cannot_be_folders_are_refused(name: str):
    with pytest.raises(UsageError, match="model name"):
        check_name(name)
    with pytest.raises(UsageError, match="version"):
        check_name(name, "version")


@pytest.mark.parametrize("name", ["current", "Current", "promotions.json"])
def test_no_version_is_called_as_the_file_beside_it(name: str):
    assert check_name(name) == name
    with pytest.raises(UsageError, match=f"version '{name}' is the name of a file"):
        check_name(name, "version")


def test_a_bundle_from_elsewhere_is_not_promoted(bundle_folder: Path):
    with pytest.raises(UnknownModelError, match=r"is not small@1 .*; put it into .*small/1 first"):
        promote(load_bundle(bundle_folder), "a reason")


def test_only_the_very_bundle_of_that_name_is_promoted(models: Path, bundle_folder: Path):
    with pytest.raises(UnknownModelError, match=f"{bundle_folder}: is not small@1"):
        promote(load_bundle(bundle_folder), "a reason")
    misplaced = shutil.copytree(bundle_folder, models / "small" / "3")
    with pytest.raises(UnknownModelError, match=f"{misplaced}: is not small@1"):
        promote(load_bundle(misplaced), "a reason")

    assert current_version("small") is None


def test_a_bundle_is_promoted_by_any_way_to_its_folder(
    models: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(models)
    promote(load_bundle(Path("small", "..", "small", "2")), "a reason")

    assert current_version("small") == "2"
