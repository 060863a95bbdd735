import json
from pathlib import Path

import numpy as np
import pytest
from support import change_manifest, replace_file

from digitflow import (
    ANNClassifier,
    Augmentation,
    CNNClassifier,
    load_dataset,
    load_estimator,
    make_classifier,
)
from digitflow.errors import BundleError, UsageError
from digitflow.learning.descriptions import describe_estimator, rebuild_estimator, weights_of
from digitflow.models.bundle import MANIFEST, WEIGHTS

FORM = {"image_shape": [28, 28], "size": [28, 28], "value_range": [0.0, 255.0]}


def test_a_bundle_gives_the_estimator_back(fitted, pristine_bundle: Path):
    classifier, data = fitted

    copy = load_estimator(f"{pristine_bundle}/")

    assert copy.get_params() == classifier.get_params()
    found = copy.predict_proba(data.images[:100])
    assert np.array_equal(found, classifier.predict_proba(data.images[:100]))
    assert copy.predict(data.images[:1]).dtype == classifier.classes_.dtype


@pytest.mark.parametrize(
    "classifier",
    [
        CNNClassifier(
            "tiny",
            augmentation=Augmentation(shift=1, rotation=5.0),
            schedule=lambda peak, steps: peak,
            class_weight={3: 2.0, 8: 1.0},
        ),
        ANNClassifier((np.int64(16), 8), dropout=(0.1, 0.2), batch_norm=True),
        make_classifier("mlp"),
    ],
    ids=["cnn", "ann", "mlp"],
)
def test_what_was_described_is_rebuilt(classifier):
    data = load_dataset("digits")
    chosen = np.isin(data.labels, [3, 8])
    images, labels = data.images[chosen][:64], data.labels[chosen][:64]
    classifier.set_params(epochs=np.int32(1), batch_size=32, random_state=0).fit(images, labels)
    description = json.loads(json.dumps(describe_estimator(classifier)))

    copy = rebuild_estimator(description, weights_of(classifier))

    assert np.array_equal(copy.predict_proba(images), classifier.predict_proba(images))
    assert np.array_equal(copy.classes_, [3, 8])
    assert repr(copy.augmentation) == repr(classifier.augmentation)
    assert getattr(copy, "hidden_layers", 0) == getattr(classifier, "hidden_layers", 0)
    assert copy.class_weight == classifier.class_weight
    assert copy.epochs == 1
    assert description["recipe"]["epochs"] == 1
    assert description["recipe"]["optimizer"] == classifier.recipe().optimizer


def test_a_network_that_is_a_function_cannot_be_described(fitted):
    classifier, data = fitted
    own = CNNClassifier(lambda n_classes: classifier.build_network(n_classes), epochs=1)
    own.fit(data.images[:64], data.labels[:64])

    with pytest.raises(UsageError, match="only networks known by name"):
        describe_estimator(own)


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
        {"class": "CNNClassifier", "parameters": {}, "classes": [0, 1]},
        {
            "class": "CNNClassifier",
            "parameters": {"augmentation": {"shift": 99}},
            "classes": [0, 1],
        },
        {
            "class": "ANNClassifier",
            "parameters": {},
            "classes": [0, 1],
            "input_form": {**FORM, "image_shape": [10**6, 10**6]},
        },
        {
            "class": "ANNClassifier",
            "parameters": {},
            "classes": [0, 1],
            "input_form": {**FORM, "image_shape": None, "size": None},
        },
        {},
        [],
        {"class": "ANNClassifier", "parameters": [], "classes": [0, 1], "input_form": FORM},
        {
            "class": "ANNClassifier",
            "parameters": {},
            "classes": [0, 1],
            "input_form": {**FORM, "value_range": []},
        },
        {
            "class": "ANNClassifier",
            "parameters": {},
            "classes": [0, 1],
            "input_form": {**FORM, "value_range": [10**400, 1]},
        },
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
        "form",
        "augmentation",
        "image size",
        "features",
        "empty",
        "list",
        "parameters",
        "range",
        "large range",
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
