"""The bundle that comes with digitflow, measured on MNIST."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from digitflow import Predictor, load_dataset, score_folder


@pytest.fixture
def mnist_test(shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DIGITFLOW_DATA", str(shared_data))
    return load_dataset("mnist", split="test")


def test_it_reads_mnist_as_its_manifest_says(mnist_test):
    predictor = Predictor.load("mnist@pretrained")
    metrics = predictor.bundle.manifest["metrics"]["test"]

    right = predictor.predict_proba(mnist_test.images).argmax(axis=1) == mnist_test.labels

    assert metrics["n"] == len(right) == 10_000
    assert metrics["accuracy"] >= 0.994
    assert abs(int(right.sum()) - (metrics["n"] - metrics["errors"])) <= 2


def test_it_was_made_by_this_code():
    from digitflow.evaluation.selection import STATED_ERROR_RATE

    manifest = Predictor.load("mnist@pretrained").bundle.manifest

    assert manifest["command"].startswith("python flows/train_flow.py --dataset mnist")
    assert manifest["data"]["name"] == "mnist"
    assert manifest["thresholds"]["stated_error_rate"] == STATED_ERROR_RATE


def test_images_from_files_are_read_as_arrays_are(mnist_test, tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for place, image in enumerate(mnist_test.images):
        Image.fromarray(image).save(folder / f"{place:05d}.png")

    summary = score_folder(folder, tmp_path / "out.parquet", model="mnist@pretrained")

    assert summary.n_rows == summary.n_files == 10_000
    table = pq.read_table(tmp_path / "out.parquet", columns=["path", "digit"]).to_pydict()
    assert table["path"] == [f"{place:05d}.png" for place in range(10_000)]
    from_arrays = Predictor.load("mnist@pretrained").predict_proba(mnist_test.images)
    assert int((np.array(table["digit"]) != from_arrays.argmax(axis=1)).sum()) == 0
