"""The history of promotions, and the way back."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from support import change_manifest

from digitflow import settings
from digitflow.cli import main
from digitflow.errors import BundleError, UnknownModelError
from digitflow.models.bundle import Bundle, load_bundle
from digitflow.models.promotions import promote, promote_over, read_promotions, roll_back
from digitflow.models.registry import current_version, find_model


@pytest.fixture
def models(pristine_bundle: Path) -> Path:
    """Return the models folder with three versions of `small`."""
    for version in ("1", "2", "3"):
        folder = settings.models_folder() / "small" / version
        shutil.copytree(pristine_bundle, folder)
        change_manifest(folder, version=version)
    return settings.models_folder()


def make_current(*versions: str) -> None:
    for version in versions:
        promote(load_bundle(find_model(f"small@{version}")), f"because of {version}")


def test_every_promotion_is_kept_with_its_reason(models: Path):
    make_current("1", "2", "2", "1")

    history = read_promotions("small")

    assert [(each.version, each.replaced) for each in history] == [
        ("1", None),
        ("2", "1"),
        ("1", "2"),
    ]
    assert history[1].reason == "because of 2"
    assert history[1].model_id == load_bundle(models / "small" / "2").model_id
    assert not any(each.rollback for each in history)
    kept = sorted(entry.name for entry in (models / "small").iterdir())
    assert kept == ["1", "2", "3", "current", "promotions.json"]


def bundle_of(version: str) -> Bundle:
    return load_bundle(find_model(f"small@{version}"))


def test_a_version_is_promoted_over_the_one_that_it_was_compared_with_alone(models: Path):
    assert promote_over(bundle_of("1"), "the first", None)
    assert not promote_over(bundle_of("2"), "the first too", None)
    assert not promote_over(bundle_of("2"), "not worse than 3", bundle_of("3").model_id)
    assert current_version("small") == "1"

    assert promote_over(bundle_of("2"), "not worse than 1", bundle_of("1").model_id)

    assert current_version("small") == "2"
    assert [each.reason for each in read_promotions("small")] == ["the first", "not worse than 1"]


def test_of_runs_that_compared_with_the_same_version_only_one_promotes(models: Path):
    make_current("1")
    compared = bundle_of("1").model_id
    together = Barrier(2)

    def run(version: str) -> bool:
        bundle = bundle_of(version)
        together.wait()
        return promote_over(bundle, f"not worse: {version}", compared)

    with ThreadPoolExecutor(2) as pool:
        promoted = list(pool.map(run, ["2", "3"]))

    assert sorted(promoted) == [False, True]
    assert current_version("small") == ("2" if promoted[0] else "3")
    assert len(read_promotions("small")) == 2


def test_what_cannot_be_read_is_not_promoted_over(models: Path):
    make_current("1")
    compared = bundle_of("1").model_id
    shutil.rmtree(models / "small" / "1")

    for known in (compared, None):
        with pytest.raises(UnknownModelError, match="'small' has no version '1'"):
            promote_over(bundle_of("2"), "not worse", known)
    assert current_version("small") == "1"


def test_rolling_back_twice_goes_two_versions_back(models: Path):
    make_current("1", "2", "3")

    assert roll_back("small").version == "2"
    assert roll_back("small").version == "1"

    assert current_version("small") == "1"
    with pytest.raises(UnknownModelError, match="no version was current before 1; digitflow mod"):
        roll_back("small")
    assert [each.rollback for each in read_promotions("small")] == [False] * 3 + [True] * 2
    make_current("3")
    assert roll_back("small").version == "1"


def test_the_shipped_version_comes_back(models: Path):
    shipped = settings.shipped_models_folder() / "mnist" / "pretrained"
    shutil.copytree(shipped, models / "mnist" / "mine")
    change_manifest(models / "mnist" / "mine", version="mine")
    promote(load_bundle(find_model("mnist@mine")), "it is not worse")

    assert roll_back("mnist").version == "pretrained"
    assert find_model() == shipped


def test_a_version_that_is_gone_is_passed_over_and_a_damaged_one_refused(models: Path):
    make_current("1", "2", "3")
    shutil.rmtree(models / "small" / "2")
    (models / "small" / "1" / "model.tflite").write_bytes(b"damaged")

    with pytest.raises(BundleError, match=r"small/1"):
        roll_back("small")
    assert current_version("small") == "3"


def test_a_version_made_current_by_hand_can_be_left_too(models: Path):
    make_current("1", "2")
    (models / "small" / "current").write_text("3\n")

    assert roll_back("small").version == "2"
    assert roll_back("small").version == "1"


def test_a_promotion_that_was_killed_before_it_came_about_is_passed_over(models: Path):
    make_current("1", "2", "3")
    # The history was written, `current` was not.
    (models / "small" / "current").write_text("2\n")

    assert roll_back("small").version == "1"


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"version": 1}]', '{"a": 1}', "[" * 100_000])
def test_a_damaged_history_is_told_and_changes_nothing(models: Path, content: str):
    make_current("1")
    (models / "small" / "promotions.json").write_text(content)

    with pytest.raises(UnknownModelError, match=r"promotions\.json: cannot be read"):
        roll_back("small")
    with pytest.raises(UnknownModelError, match=r"promotions\.json: cannot be read"):
        make_current("2")
    assert current_version("small") == "1"


def test_an_entry_of_other_kinds_is_no_history(models: Path):
    make_current("1", "2")
    path = models / "small" / "promotions.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([{**entries[0], "version": ["1"]}, entries[1]]))

    with pytest.raises(UnknownModelError, match="an entry is not what it should be"):
        roll_back("small")


def test_the_command_line_rolls_back_and_tells_the_history(models: Path, capsys):
    make_current("1", "2")

    assert main(["models", "rollback", "small"]) == 0
    assert capsys.readouterr().out == "small@1 is current again, in place of 2, which is kept\n"
    assert main(["models", "history", "small"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines] == [
        "1: because of 1",
        "2 in place of 1: because of 2",
        "1 in place of 2: rolled back from 2",
    ]
    assert main(["models", "history", "mnist"]) == 0
    assert capsys.readouterr().out == "no version of mnist was promoted yet\n"


@pytest.mark.parametrize("name", ["smal", "small@1", "models/small", "", "../small"])
def test_a_name_that_is_none_is_told_in_one_line(models: Path, name: str, capsys):
    assert main(["models", "rollback", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
