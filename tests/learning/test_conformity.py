"""scikit-learn's own checks of an estimator, on small networks; on the default ones in `long`."""

import keras
import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from digitflow import ANNClassifier, CNNClassifier
from digitflow.learning.augmentation import Augmentation

# Rows of the checks are no images: a CNN says so, and takes each for one line of pixels.
pytestmark = pytest.mark.filterwarnings("ignore:.* features are no square image:UserWarning")

# The words are scikit-learn's, for its own SGDClassifier: what a batch holds depends on the rows.
# Where it holds them all, the tests below ask for what the check asks for, to float32's rounding.
EXCEPTIONS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "sample_weight is not equivalent to removing/repeating samples."
    ),
}


class Logistic:
    """The smallest network of images, with a name that is the same in each run of the tests."""

    def __call__(self, n_classes: int) -> keras.Model:
        image = keras.Input((28, 28, 1))
        pixels = keras.layers.Flatten()(keras.layers.AveragePooling2D(7)(image))
        logits = keras.layers.Dense(n_classes, name="logits")(pixels)
        return keras.Model(image, keras.layers.Softmax(name="probabilities")(logits))

    def __repr__(self) -> str:
        return "Logistic()"


SMALL = {"epochs": 5, "batch_size": 16, "learning_rate": 0.05, "optimizer": "sgd"}
SMALL_ANN = ANNClassifier((8,), dropout=0.0, **SMALL)
SMALL_CNN = CNNClassifier(
    Logistic(), schedule="constant", label_smoothing=0.0, augmentation=Augmentation(), **SMALL
)
# The recipe's few epochs in batches of 256 are made for 60,000 images; the checks have 20 to 300.
DEFAULT_CNN = CNNClassifier(epochs=30, batch_size=16)


@parametrize_with_checks(
    [SMALL_ANN, SMALL_CNN], expected_failed_checks=lambda estimator: EXCEPTIONS
)
def test_it_passes_the_common_checks(estimator, check):
    check(estimator)


@pytest.mark.long
@parametrize_with_checks(
    [ANNClassifier(), DEFAULT_CNN], expected_failed_checks=lambda estimator: EXCEPTIONS
)
def test_the_default_networks_pass_the_common_checks(estimator, check):
    try:
        check(estimator)
    except AssertionError as error:
        is_convolutional = isinstance(estimator, CNNClassifier)
        if is_convolutional and "not invariant when applied to a subset" in str(error):
            pytest.xfail("float32 convolutions round otherwise in other batch sizes, by about 2e-7")
        raise


def same_predictions(first, second, X) -> bool:
    return np.allclose(first.predict_proba(X), second.predict_proba(X), rtol=1e-4, atol=1e-6)


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return generator.normal(size=(40, 16)).astype(np.float32), np.arange(40) % 3


@pytest.fixture
def on_full_batches():
    return ANNClassifier(
        (8,), 0.0, epochs=10, batch_size=1000, learning_rate=0.5, optimizer="sgd", random_state=0
    )


def test_on_full_batches_a_weight_is_the_row_so_many_times(rows, on_full_batches):
    X, y = rows
    weights = np.random.default_rng(1).integers(0, 4, len(y))

    weighted = on_full_batches.fit(X, y, sample_weight=weights)
    repeated = ANNClassifier(**weighted.get_params()).fit(X.repeat(weights, 0), y.repeat(weights))
    plain = ANNClassifier(**weighted.get_params()).fit(X, y)

    assert same_predictions(weighted, repeated, X)
    assert not same_predictions(weighted, plain, X)


def test_on_full_batches_a_weight_of_0_removes_the_row(rows, on_full_batches):
    X, y = rows
    weights = np.where(np.arange(len(y)) < 10, 0.0, 1.0)
    noisy = np.where(weights == 0, (y + 1) % 3, y)

    weighted = on_full_batches.fit(X, noisy, sample_weight=weights)
    removed = ANNClassifier(**weighted.get_params()).fit(X[10:], y[10:])

    assert same_predictions(weighted, removed, X)


@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_only_the_ratio_of_weights_counts(rows, on_full_batches, factor: float):
    X, y = rows

    scaled = on_full_batches.fit(X, y, sample_weight=np.full(len(y), factor))
    plain = ANNClassifier(**scaled.get_params()).fit(X, y)

    assert same_predictions(scaled, plain, X)
