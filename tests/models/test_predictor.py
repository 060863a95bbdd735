import json
from pathlib import Path

import numpy as np
import pytest
from support import change_manifest, replace_file

from digitflow.errors import BundleError, UsageError
from digitflow.models.bundle import MANIFEST, load_bundle
from digitflow.models.predictor import Predictor
from digitflow.models.tflite import TFLiteNetwork, softmax


@pytest.mark.parametrize("kind", ["dynamic", "float32", "int8"])
def test_probabilities_are_those_of_keras(fitted, pristine_bundle: Path, kind: str):
    classifier, data = fitted
    images = data.images[:200]

    found = Predictor(load_bundle(pristine_bundle), tflite=kind).predict_proba(images)

    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    tolerance = {"float32": 1e-4}.get(kind, 0.1)
    assert np.abs(found - classifier.predict_proba(images)).max() < tolerance


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 100])
def test_a_prediction_does_not_depend_on_its_neighbours(fitted, pristine_bundle: Path, n: int):
    _, data = fitted
    predictor = Predictor(load_bundle(pristine_bundle))

    together = predictor.predict_proba(data.images[:n])

    assert together.shape == (n, 10)
    for place in range(0, n, 10):
        alone = predictor.predict_proba(data.images[place : place + 1])
        assert np.array_equal(alone[0], together[place])


def test_the_temperature_softens_but_does_not_reorder(fitted, bundle_folder: Path):
    _, data = fitted
    sharp = Predictor(load_bundle(bundle_folder)).predict_proba(data.images[:100])
    change_manifest(bundle_folder, temperature=1.02)
    soft = Predictor(load_bundle(bundle_folder)).predict_proba(data.images[:100])

    assert np.array_equal(sharp.argmax(axis=1), soft.argmax(axis=1))
    assert soft.max(axis=1).mean() < sharp.max(axis=1).mean()


def test_golden_predictions_catch_a_model_that_answers_otherwise(bundle_folder: Path):
    change_manifest(bundle_folder, temperature=50.0)

    with pytest.raises(BundleError, match="golden"):
        Predictor(load_bundle(bundle_folder))


@pytest.mark.parametrize("content", [b"x", b"TFL3" * 100, bytes(range(256)) * 20])
def test_what_is_not_tflite_is_refused(bundle_folder: Path, content: bytes):
    replace_file(bundle_folder, "model.tflite", content)

    with pytest.raises(BundleError, match=r"model\.tflite: not a TFLite network"):
        Predictor(load_bundle(bundle_folder))


def test_a_network_of_another_number_of_classes_is_refused(bundle_folder: Path):
    with pytest.raises(BundleError, match="26 logits"):
        TFLiteNetwork((bundle_folder / "model.tflite").read_bytes(), 26)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 28, 28), np.float32),
        np.zeros((2, 28, 27), np.uint8),
        np.zeros((28, 28), np.uint8),
        np.zeros((2, 28, 28, 1), np.uint8),
    ],
)
def test_images_of_another_form_are_refused(pristine_bundle: Path, images: np.ndarray):
    predictor = Predictor(load_bundle(pristine_bundle))

    with pytest.raises(UsageError, match="must be uint8"):
        predictor.predict_proba(images)


def test_softmax_does_not_overflow():
    logits = np.array([[1000, 0, -1000], [0, 0, 0]], np.float32)

    assert softmax(logits) == pytest.approx(np.array([[1, 0, 0], [1 / 3] * 3]))


def test_the_manifest_is_kept_as_it_is(pristine_bundle: Path):
    bundle = load_bundle(pristine_bundle)

    assert dict(bundle.manifest) == json.loads((pristine_bundle / MANIFEST).read_text())
