import re
from pathlib import Path

import keras
import numpy as np
import pytest

from digitflow.errors import OutputError
from digitflow.learning.exporting import compare_tflite, write_golden, write_model_files
from digitflow.models.bundle import GOLDEN, KERAS, TFLITE_FILES, WEIGHTS


def test_other_tools_can_use_the_keras_file(fitted, pristine_bundle: Path):
    classifier, data = fitted

    model = keras.models.load_model(pristine_bundle / KERAS, compile=False)

    images = data.images[:50, ..., np.newaxis].astype(np.float32) / 255
    found = model.predict(images, verbose=0)
    assert found == pytest.approx(classifier.predict_proba(data.images[:50]), abs=1e-5)


def test_the_differences_of_the_tflite_files_are_small(fitted, pristine_bundle: Path):
    classifier, data = fitted
    probabilities = classifier.predict_proba(data.images)

    differences = compare_tflite(pristine_bundle, data.images, data.labels, probabilities)

    assert set(differences) == {"model.tflite", "model_float32.tflite", "model_int8.tflite"}
    assert differences["model_float32.tflite"]["changed"] == 0
    assert differences["model_float32.tflite"]["largest_difference"] < 1e-4
    for file, row in differences.items():
        assert row["changed"] <= 0.01 * len(data.images)
        assert row["size"] == (pristine_bundle / file).stat().st_size


def test_differences_are_counted(fitted, pristine_bundle: Path):
    classifier, data = fitted
    probabilities = classifier.predict_proba(data.images[:100])
    labels = probabilities.argmax(axis=1)
    shifted = np.roll(probabilities, 1, axis=1)  # as if Keras had read every digit otherwise

    differences = compare_tflite(pristine_bundle, data.images[:100], labels, shifted)

    row = differences["model_float32.tflite"]
    assert (row["changed"], row["lost"], row["accuracy"]) == (100, -100, 1.0)


@pytest.fixture
def full_disk(pristine_bundle: Path, tmp_path: Path) -> Path:
    """Return a folder in which the files of Keras and numpy find no room."""
    for file in (KERAS, GOLDEN):
        (tmp_path / file).symlink_to("/dev/full")
    for file in TFLITE_FILES.values():
        (tmp_path / file).write_bytes((pristine_bundle / file).read_bytes())
    return tmp_path


def test_a_full_disk_is_told_with_the_path(fitted, full_disk: Path):
    classifier, data = fitted

    with pytest.raises(
        OutputError, match=r"model\.keras: cannot be written \(No space left"
    ) as keras_:
        write_model_files(classifier, full_disk, data.images)
    with pytest.raises(OutputError, match=r"golden\.npz: cannot be written \(No space left"):
        write_golden(full_disk, data.images[:10], n_classes=10, temperature=1.0)
    assert keras_.value.exit_code == 6
    assert "\n" not in str(keras_.value)


@pytest.mark.parametrize("file", [WEIGHTS, KERAS, TFLITE_FILES["dynamic"]])
def test_what_cannot_be_written_over_is_told_with_the_path(fitted, tmp_path: Path, file: str):
    classifier, data = fitted
    (tmp_path / file).mkdir()

    with pytest.raises(OutputError, match=f"/{re.escape(file)}: "):
        write_model_files(classifier, tmp_path, data.images)
