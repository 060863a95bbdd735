"""When a run is the same as one before."""

import shutil
from pathlib import Path

import pytest
from runs_support import record_run
from support import change_manifest

from digitflow import settings
from digitflow.models.bundle import load_bundle
from digitflow.runs import repeating
from digitflow.runs.repeating import find_done, identity_of
from digitflow.runs.training import training_identity

DATA = {"name": "d", "class_names": ["0", "1"], "splits": {"train": "abc"}, "writers": None}
GIVEN = {
    "network": "fast",
    "epochs": None,
    "batch_size": None,
    "learning_rate": None,
    "parameters": {},
    "teachers": [],
    "drawn_digits": 0,
    "outliers": 0,
    "error_rate": 0.001,
    "seed": 0,
    "name": "d",
    "promote": True,
}


@pytest.fixture
def bundle(pristine_bundle: Path) -> Path:
    """Return a registered bundle, small@1."""
    return shutil.copytree(pristine_bundle, settings.models_folder() / "small" / "1")


def record_training(name: str, identity: str, bundle: Path) -> None:
    model = {"model": "small@1", "model_id": load_bundle(bundle).model_id}
    record_run(name, identity=identity, model=model)


def test_the_latest_run_of_an_identity_is_found(bundle: Path):
    for name in ("1", "2"):
        record_training(name, "same", bundle)
    record_training("3", "other", bundle)

    found = find_done("same")

    assert found is not None
    assert found.name == "2"
    assert find_done("unheard of") is None


def test_a_run_whose_model_is_gone_or_another_is_done_again(bundle: Path):
    record_training("1", "same", bundle)
    change_manifest(bundle, note="changed")
    assert find_done("same") is None

    shutil.rmtree(bundle)
    assert find_done("same") is None


def test_a_run_that_failed_is_no_source(bundle: Path):
    model = {"model": "small@1", "model_id": load_bundle(bundle).model_id}
    folder = record_run("1", identity="same", model=model)
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"completed"', '"failed"'))

    assert find_done("same") is None


def test_a_record_without_a_model_is_no_source():
    record_run("1", identity="same")

    assert find_done("same") is None


@pytest.mark.parametrize(
    ("data", "given"),
    [
        ({"splits": {"train": "abd"}}, {}),
        ({"writers": "abc"}, {}),
        ({}, {"seed": 1}),
        ({}, {"epochs": 2}),
        ({}, {"name": "e"}),
        ({}, {"promote": False}),
        ({}, {"teachers": ["mnist"]}),
    ],
)
def test_other_data_or_options_are_another_run(data: dict, given: dict):
    assert training_identity(DATA, GIVEN) == training_identity(DATA, {**GIVEN, "version": "x"})
    assert training_identity({**DATA, **data}, {**GIVEN, **given}) != training_identity(DATA, GIVEN)


def test_other_code_and_libraries_are_another_run(monkeypatch: pytest.MonkeyPatch):
    before = identity_of({})
    monkeypatch.setattr(repeating, "library_versions", lambda: {"numpy": "0.1"})
    other_library = identity_of({})
    monkeypatch.setattr(repeating, "code_digest", lambda: "other")

    assert len({before, other_library, identity_of({})}) == 3


def test_a_teacher_counts_by_what_it_is_not_by_its_name(bundle: Path):
    before = training_identity(DATA, {**GIVEN, "teachers": ["small@1"]})
    change_manifest(bundle, note="retrained")

    assert training_identity(DATA, {**GIVEN, "teachers": ["small@1"]}) != before
