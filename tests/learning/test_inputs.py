import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from digitflow import ANNClassifier, CNNClassifier, load_dataset
from digitflow.errors import UsageError
from digitflow.learning.inputs import check_number, flatten, learn_form, to_network

FORMS = {
    "uint8": lambda images: images,
    "float 0..255": lambda images: images.astype(np.float64),
    "float32 0..255": lambda images: images.astype(np.float32),
    "int64": lambda images: images.astype(np.int64),
    "float 0..1": lambda images: images / 255,
    "float32 0..1": lambda images: (images / 255).astype(np.float32),
    "float16 0..1": lambda images: (images / 255).astype(np.float16),
    "big endian": lambda images: (images / 255).astype(">f4"),
    "channel": lambda images: images[..., np.newaxis],
    "flat": lambda images: images.reshape(-1, 784),
    "flat 0..1": lambda images: images.reshape(-1, 784) / 255,
    "fortran": lambda images: np.asfortranarray(images / 255),
    "list": lambda images: images.tolist(),
    "list of images": list,
    "frame": lambda images: pd.DataFrame(images.reshape(-1, 784)),
}


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:120], data.labels[:120]


def new_ann(**parameters) -> ANNClassifier:
    small = {"epochs": 1, "batch_size": 64, "random_state": 0, "optimizer": "sgd"}
    return ANNClassifier((8,), dropout=0.0, **{**small, **parameters})


@pytest.fixture(scope="module")
def fitted_on(digits):
    """Return the classifiers fitted on 0..255, on 0..1 and on black and white."""
    images, labels = digits
    return {
        "uint8": new_ann().fit(images, labels),
        "float 0..255": new_ann().fit(images.astype(float), labels),
        "float 0..1": new_ann().fit(images.reshape(-1, 784) / 255, labels),
        "bool": new_ann().fit(images > 127, labels),
        "CNN on 0..1": CNNClassifier(epochs=1, random_state=0).fit(images / 255, labels),
    }


@pytest.mark.parametrize("fitted", ["uint8", "float 0..255", "float 0..1", "bool", "CNN on 0..1"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_images_gives_the_same(fitted_on, digits, fitted: str, form: str):
    images = digits[0][:20]

    found = fitted_on[fitted].predict_proba(FORMS[form](images))

    tolerance = 2e-3 if "16" in form else 1e-5
    assert found == pytest.approx(fitted_on[fitted].predict_proba(images), abs=tolerance)


@pytest.mark.parametrize("form", [form for form in FORMS if "frame" not in form])
def test_a_fit_on_any_form_gives_the_same_network(fitted_on, digits, form: str):
    images, labels = digits

    found = new_ann().fit(FORMS[form](images), labels).predict_proba(images)

    tolerance = 2e-3 if "16" in form else 1e-4
    assert found == pytest.approx(fitted_on["uint8"].predict_proba(images), abs=tolerance)


def test_black_and_white_images_are_told_by_their_type(fitted_on, digits):
    ink = digits[0][:20] > 127

    for classifier in fitted_on.values():
        expected = classifier.predict_proba(np.where(ink, 255, 0).astype(np.uint8))
        assert np.allclose(classifier.predict_proba(ink), expected, atol=1e-5)
        assert np.allclose(classifier.predict_proba(ink.astype(float)), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["uint8", "float 0..255", "float 0..1", "int64"])
def test_a_row_alone_gives_what_it_gives_among_others(fitted_on, digits, form: str):
    images = FORMS[form](digits[0][:20])

    for classifier in fitted_on.values():
        one_by_one = np.concatenate([classifier.predict_proba(image[None]) for image in images])
        assert np.allclose(one_by_one, classifier.predict_proba(images), atol=1e-5)


def test_a_black_image_is_read(fitted_on):
    for classifier in fitted_on.values():
        for kind in (np.uint8, float, bool):
            assert classifier.predict(np.zeros((1, 28, 28), kind)).shape == (1,)


def test_scaled_pixels_may_leave_the_range_a_little(digits):
    images, labels = digits
    flat = images.reshape(-1, 784)
    # The scaler knows the first images only: pixels that are brighter in others come out above 1.
    pipeline = make_pipeline(MinMaxScaler(), new_ann()).fit(flat[:60], labels[:60])
    scaled = pipeline[0].transform(flat[60:])

    found = pipeline.predict_proba(flat[60:])

    assert scaled.max() > 2
    one_by_one = [pipeline.predict_proba(row[None])[0] for row in flat[60:]]
    assert np.allclose(found, one_by_one, atol=1e-5)


@pytest.mark.parametrize(
    ("fitted", "X", "message"),
    [
        ("uint8", np.full((2, 28, 28), 256.0), "from 256 to 256, but .* pixels of 0..255"),
        ("uint8", np.full((2, 28, 28), -1.0), "from -1 to -1"),
        ("uint8", np.full((2, 28, 28), 1, np.int64), "is it 0..1"),
        ("uint8", np.full((2, 28, 28), 1.5), "is it 0..1"),
        ("float 0..1", np.full((2, 28, 28), 65535.0), "from 65535 to 65535, but .* on 0..1"),
        ("float 0..1", np.full((2, 28, 28), 100.0), "scale X alike"),
        ("float 0..1", np.full((2, 28, 28), -300.0), "from -300 to -300"),
        ("CNN on 0..1", np.full((2, 28, 28), 16.0), "scale X alike"),
    ],
)
def test_another_scale_is_refused(fitted_on, fitted: str, X, message: str):
    with pytest.raises(UsageError, match=message):
        fitted_on[fitted].predict(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 64), np.uint8), "64 features, but ANNClassifier is expecting 784"),
        (np.zeros((2, 14, 56), np.uint8), r"images of 14x56 pixels, but .* 28x28"),
        (np.zeros(784, np.uint8), "Expected 2D array, got 1D"),
        (np.zeros((0, 28, 28), np.uint8), "0 sample"),
        (np.zeros((0, 784), np.uint8), "0 sample"),
        (np.zeros((2, 28, 28, 3), np.uint8), r"\(2, 28, 28, 3\).* in grey"),
        (np.zeros((2, 1, 28, 28, 1), np.uint8), "X has shape"),
        (np.full((1, 28, 28), np.nan), "contains NaN"),
        (np.full((1, 28, 28), np.inf), "contains infinity"),
        (np.full((1, 28, 28), "x"), "could not convert string|dtype"),
        (np.full((1, 28, 28), 1j), "Complex data not supported"),
        ([[0] * 784, [0] * 783], "inhomogeneous|sequence"),
        (None, "NoneType|Expected 2D"),
        (sparse.csr_matrix(np.zeros((2, 784))), "Sparse data was passed.*dense data is required"),
    ],
)
def test_what_is_no_image_is_refused(fitted_on, digits, X, message: str):
    with pytest.raises((ValueError, TypeError), match=message):
        fitted_on["uint8"].predict(X)


@pytest.mark.parametrize("X", [np.zeros((0, 28, 28)), np.full((2, 28, 28), np.nan), [], "abc"])
@pytest.mark.parametrize("kind", [ANNClassifier, CNNClassifier])
def test_a_fit_on_what_is_no_image_is_refused(X, kind):
    with pytest.raises(ValueError, match=r"sample|NaN|2D array"):
        kind().fit(X, [0, 1])


def test_the_8x8_digits_of_scikit_learn_can_be_learned():
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]

    network = ANNClassifier((64,), 0.0, epochs=12, batch_size=16, random_state=0).fit(X, y)
    convolution = CNNClassifier(epochs=5, batch_size=32, random_state=0).fit(X, y)

    assert network.input_form_.image_shape == convolution.input_form_.image_shape == (8, 8)
    assert network.score(X, y) > 0.8
    assert convolution.score(X, y) > 0.85
    assert np.array_equal(convolution.predict(X.reshape(-1, 8, 8)), convolution.predict(X))


def test_rows_that_are_no_square_images_are_one_line_to_a_cnn_and_features_to_an_ann():
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(20, 7)), np.arange(20) % 2

    with pytest.warns(UserWarning, match="7 features are no square image"):
        classifier = CNNClassifier(epochs=1, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict(X)
        network = new_ann().fit(X, y)

    assert classifier.input_form_.image_shape == (1, 7)
    assert network.input_form_.network_shape is None


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
@pytest.mark.parametrize("shape", [(-1, 28, 28), (-1, 784)])
def test_images_of_0_to_16_are_a_scale_of_their_own(digits, kind: type, shape):
    images, labels = digits
    levels = (images / 255 * 16).round().astype(kind)

    classifier = new_ann().fit(levels.reshape(shape), labels)

    assert classifier.input_form_.value_range == (0, 16)
    expected = new_ann().fit(levels / 16, labels).predict_proba(levels / 16)
    assert classifier.predict_proba(levels) == pytest.approx(expected, abs=1e-4)
    for X in (images, images.astype(float), images / 255, np.minimum(images, 1), -levels * 1.0):
        with pytest.raises(UsageError, match=r"but the estimator was fitted on 0\.\.16; scale"):
            classifier.predict(X)


def test_dim_scans_are_a_scale_of_0_to_255(digits):
    dim = digits[0] // 4

    assert new_ann().fit(dim, digits[1]).input_form_.value_range == (0, 255)
    assert new_ann().fit(dim * 1.0, digits[1]).input_form_.value_range == (0, 63)


@pytest.mark.parametrize(
    "X", [np.eye(20, 9) * 200, np.eye(20, 64) * 200 - 1, np.eye(20, 64) * 1000]
)
def test_an_ann_takes_features_as_they_are(X):
    network = new_ann().fit(X, np.arange(20) % 2)

    assert network.input_form_.image_shape is None
    assert network.input_form_.value_range is None
    alone = [network.predict_proba(row[None])[0] for row in X / 300]
    assert network.predict_proba(X / 300) == pytest.approx(np.array(alone), abs=1e-6)


def test_flatten_keeps_what_is_no_image_as_it_is():
    frame = pd.DataFrame({"a": [1, 2]})

    assert flatten(frame) == (frame, None)
    rows, shape = flatten(np.zeros((3, 4, 5, 1)))
    assert rows.shape == (3, 20)
    assert shape == (4, 5)


def test_images_are_resampled_without_losing_their_mean():
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 20)).astype(np.uint8)
    rows, shape = flatten(images)

    found = to_network(rows, learn_form(rows, shape, images_only=True))

    assert found.shape == (5, 28, 28, 1)
    assert found.dtype == np.float32
    assert found.mean(axis=(1, 2, 3)) == pytest.approx(images.mean(axis=(1, 2)) / 255, abs=0.03)


def test_images_are_not_modified(fitted_on, digits):
    images = digits[0] / 255
    images.flags.writeable = False

    fitted_on["uint8"].predict(images)
    new_ann().fit(images, digits[1])


@pytest.mark.parametrize("value", [0, 1.5, True, "3", None, float("nan"), float("inf")])
def test_a_number_out_of_bounds_is_refused_by_name_and_value(value):
    from numbers import Integral

    with pytest.raises(UsageError, match=r"^epochs=.*: must be a whole number of 1 or more$"):
        check_number("epochs", value, Integral, 1)
