"""Images of no class: the network learns to be unsure of them, and of nothing else."""

import numpy as np
import pytest

from digitflow import ANNClassifier, load_dataset
from digitflow.learning.losses import NO_CLASS, Accuracy, SmoothedCrossentropy

SMALL = {"epochs": 12, "batch_size": 16, "random_state": 0, "optimizer": "adam"}


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:400], data.labels[:400]


def upside_down(images: np.ndarray) -> np.ndarray:
    """Return images that show no digit: negatives, with stripes."""
    stripes = np.arange(28) % 4 < 2
    return np.where(stripes[:, None], 255 - images, images)


def test_the_network_is_unsure_of_outliers_and_sure_of_the_classes(digits):
    images, labels = digits
    others = upside_down(images)

    plain = ANNClassifier((32,), 0.0, **SMALL).fit(images, labels)
    exposed = ANNClassifier((32,), 0.0, **SMALL).fit(images, labels, outliers=others[:200])

    sure, unsure = (
        np.median(classifier.predict_proba(others[200:]).max(axis=1))
        for classifier in (plain, exposed)
    )
    assert unsure < 0.15  # of ten classes, 0.1 is the least
    assert sure > 0.3
    assert exposed.score(images, labels) > 0.9
    assert exposed.classes_.tolist() == list(range(10))


def test_the_accuracy_of_the_history_is_that_of_the_classes(digits):
    images, labels = digits
    classifier = ANNClassifier((32,), 0.0, **SMALL)

    classifier.fit(images, labels, outliers=upside_down(images))

    # Of all images, outliers included, no more than half could be right.
    assert classifier.history_["accuracy"][-1] > 0.8


def test_outliers_weigh_as_much_as_the_others(digits):
    images, labels = digits
    classifier = ANNClassifier((32,), 0.0, **SMALL)
    weights = np.full(len(images), 1000.0)
    told = {"outliers": upside_down(images)[:200]}

    one = classifier.fit(images, labels, **told).predict_proba(images)
    other = classifier.fit(images, labels, sample_weight=weights, **told).predict_proba(images)

    assert np.allclose(one, other, atol=1e-4)


def test_outliers_are_held_to_the_form_of_the_images(digits):
    images, labels = digits
    with pytest.raises(ValueError, match="contains NaN"):
        ANNClassifier((8,), 0.0, **SMALL).fit(images, labels, outliers=images * np.nan)


def test_the_loss_of_no_class_is_least_where_all_are_as_probable():
    loss = SmoothedCrossentropy(0.1)
    even, sure = np.full((1, 4), 0.25, "float32"), np.array([[0.97, 0.01, 0.01, 0.01]], "float32")
    label = np.array([NO_CLASS])

    assert float(loss(label, even)) == pytest.approx(np.log(4), abs=1e-5)
    assert float(loss(label, sure)) > 3
    assert float(loss(np.array([0]), sure)) < 0.5


def test_the_accuracy_passes_over_images_of_no_class():
    metric = Accuracy()
    probabilities = np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    metric.update_state(np.array([0, 2, NO_CLASS, NO_CLASS]), probabilities)
    assert float(metric.result()) == pytest.approx(0.5)
