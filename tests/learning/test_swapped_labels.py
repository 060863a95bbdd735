"""A model that learned wrong labels is not promoted, though it hardly makes more errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from digitflow import settings
from digitflow.datasets.loading import digest_of
from digitflow.datasets.preparing import open_prepared, prepare_dataset
from digitflow.learning.contradictions import find_contradicted
from digitflow.learning.promotion import compare_draft
from digitflow.learning.registering import register_draft
from digitflow.learning.reporting import evaluate_draft
from digitflow.learning.training import TrainingOptions, export_draft, fit_draft
from digitflow.models.predictor import Predictor
from digitflow.models.registry import current_version


def with_labels_swapped(prepared: Path, target: Path, classes: tuple[int, int]) -> Path:
    """Copy prepared data; in 2 % of the training images one class is called as the other is."""
    images, labels = open_prepared(prepared).load("train")
    labels, random = labels.copy(), np.random.default_rng(0)
    n_each = round(0.02 * len(labels) / 2)
    chosen = [
        random.choice(np.flatnonzero(labels == name), n_each, replace=False) for name in classes
    ]
    for places, name in zip(chosen, reversed(classes), strict=True):
        labels[places] = name
    shutil.copytree(prepared, target)
    with np.load(prepared / "train.npz") as arrays:
        np.savez(target / "train.npz", **{**arrays, "labels": labels})
    facts = json.loads((target / "facts.json").read_text())
    facts["splits"]["train"]["digest"] = digest_of(images, labels)
    (target / "facts.json").write_text(json.dumps(facts))
    return target


def train(prepared: Path, draft: Path, version: str, seed: int) -> tuple[dict, dict, str]:
    """Return the comparison, the registration, and the page of the report."""
    fit_draft(prepared, draft, TrainingOptions("ann", epochs=2, batch_size=128, seed=seed))
    export_draft(prepared, draft)
    comparison = compare_draft(prepared, draft, "judged")
    report = draft.with_name(f"report-{version}")
    evaluate_draft(prepared, draft, report, version)
    destination = settings.models_folder() / "judged" / version
    registration = register_draft(prepared, draft, destination, command="a test")
    return comparison, registration, (report / "report.html").read_text()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_classes_swapped_in_two_percent_are_noticed(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The conditions: MNIST's 6,052 validation images, and a network without label smoothing.
    # What label smoothing and four epochs leave of so few wrong labels cannot be told from
    # chance, nor does it make more errors (docs/runs.md).
    monkeypatch.setenv("DIGITFLOW_DATA", str(shared_data))
    prepared = prepare_dataset("mnist").folder
    swapped = with_labels_swapped(prepared, tmp_path / "swapped", (4, 9))
    _, first, _ = train(prepared, tmp_path / "first", "1", seed=0)
    assert first["promoted"]

    comparison, worse, page = train(swapped, tmp_path / "worse", "2", seed=0)

    assert not worse["promoted"]
    assert current_version("judged") == "1"
    chances = {each["name"]: each["p_worse"] for each in comparison["classes"]}
    assert {name for name, chance in chances.items() if chance < 0.005} == {"4", "9"}
    assert {each["name"] for each in comparison["contradicted"]} == {"4", "9"}
    # By its errors alone it would have been promoted.
    assert comparison["p_worse"] > 0.05
    assert "Not to be promoted: it is worse at reading 4 (p = " in page
    assert "<h2>Beside the current version</h2>" in page

    comparison, other, _ = train(prepared, tmp_path / "other", "3", seed=1)
    assert other["promoted"]
    assert comparison["contradicted"] == []
    assert current_version("judged") == "3"


@pytest.mark.long
def test_the_shipped_model_names_the_classes_that_were_swapped(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DIGITFLOW_DATA", str(shared_data))
    prepared = prepare_dataset("mnist").folder
    predictor = Predictor.load("mnist@pretrained")
    names = predictor.bundle.class_names
    images, labels = open_prepared(prepared).load("train")
    read = predictor.predict_proba(images).argmax(axis=1)
    held_out_images, held_out = open_prepared(prepared).load("validation")
    expected = held_out, predictor.predict_proba(held_out_images).argmax(axis=1)

    assert find_contradicted((labels, read), expected, names) == []
    for pair in [(4, 9), (3, 5), (1, 7)]:
        swapped = with_labels_swapped(prepared, tmp_path / str(pair), pair)
        _, wrong = open_prepared(swapped).load("train")
        found = find_contradicted((wrong, read), expected, names)
        assert [(each.name, each.instead) for each in found] == [
            (names[pair[0]], names[pair[1]]),
            (names[pair[1]], names[pair[0]]),
        ]
