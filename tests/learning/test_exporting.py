import json
from pathlib import Path

import keras
import numpy as np
import pytest
from support import change_manifest, replace_file

from digitflow import load_estimator
from digitflow.errors import BundleError
from digitflow.learning.exporting import compare_tflite, rebuild_estimator, weights_of
from digitflow.models.bundle import KERAS, MANIFEST, WEIGHTS


def test_a_bundle_gives_the_estimator_back(fitted, pristine_bundle: Path):
    classifier, data = fitted

    copy = load_estimator(f"{pristine_bundle}/")

    assert copy.get_params() == classifier.get_params()
    found = copy.predict_proba(data.images[:100])
    assert np.array_equal(found, classifier.predict_proba(data.images[:100]))
    assert copy.predict(data.images[:1]).dtype == classifier.classes_.dtype


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


@pytest.mark.parametrize(
    "estimator",
    [
        {"class": "os.system", "parameters": {}, "classes": [0, 1]},
        {"class": "CNNClassifier", "parameters": {"network": "evil"}, "classes": [0, 1]},
        {"class": "CNNClassifier", "parameters": {"network": None}, "classes": [0, 1]},
        {"class": "CNNClassifier", "parameters": {"no_such": 1}, "classes": [0, 1]},
        {"class": "ANNClassifier", "parameters": {"hidden_layers": [10**7]}, "classes": [0, 1]},
        {"class": "ANNClassifier", "parameters": {"hidden_layers": [8] * 3000}, "classes": [0, 1]},
        {"class": "CNNClassifier", "parameters": {"epochs": "many"}, "classes": [0, 1]},
        {"class": "CNNClassifier", "parameters": {}},
        {},
    ],
    ids=[
        "class",
        "network",
        "no network",
        "parameter",
        "units",
        "layers",
        "type",
        "classes",
        "empty",
    ],
)
def test_a_description_that_this_code_would_not_write_is_refused(bundle_folder: Path, estimator):
    change_manifest(bundle_folder, estimator=estimator)

    with pytest.raises(BundleError, match="cannot be rebuilt"):
        load_estimator(str(bundle_folder))


@pytest.mark.parametrize("content", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"x" * 999])
def test_weights_that_are_none_are_refused(bundle_folder: Path, content: bytes):
    replace_file(bundle_folder, WEIGHTS, content or b" ")

    with pytest.raises(BundleError, match="cannot be rebuilt"):
        load_estimator(str(bundle_folder))


def test_weights_that_are_no_numbers_are_refused(fitted, pristine_bundle: Path):
    classifier, _ = fitted
    description = json.loads((pristine_bundle / MANIFEST).read_text())["estimator"]
    broken = rebuild_estimator(description, weights_of(classifier))
    weights = broken.network_.get_weights()
    weights[0][0] = np.nan
    broken.network_.set_weights(weights)

    with pytest.raises(BundleError, match="not all finite"):
        rebuild_estimator(description, weights_of(broken))
