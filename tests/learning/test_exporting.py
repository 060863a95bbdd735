from pathlib import Path

import keras
import numpy as np
import pytest

from digitflow.learning.exporting import compare_tflite
from digitflow.models.bundle import KERAS


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
