from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from digitflow import DigitNormalizer, normalise, read_image
from digitflow.errors import ImageError, UsageError

SEVEN = Path(__file__).parent / "seven.png"


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return normalise(read_image(SEVEN).pixels).image


@pytest.mark.parametrize(
    "form",
    [
        str,
        Path,
        lambda path: path.read_bytes(),
        Image.open,
        lambda path: np.asarray(Image.open(path).convert("L")),
        lambda path: np.asarray(Image.open(path).convert("L"))[..., np.newaxis],
        lambda path: np.asarray(Image.open(path).convert("RGB")),
        lambda path: np.asarray(Image.open(path).convert("RGBA")),
        lambda path: np.asarray(Image.open(path).convert("L")) / 255,
        lambda path: np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 257,
        lambda path: np.asarray(Image.open(path).convert("L")).tolist(),
    ],
)
def test_every_kind_of_picture_gives_the_same(form, expected):
    found = DigitNormalizer().transform([form(SEVEN)])

    assert found.shape == (1, 28, 28)
    assert found.dtype == np.uint8
    assert np.abs(found[0].astype(int) - expected).max() <= 2


def test_an_array_of_images_is_many(digits_as_arrays):
    images, _ = digits_as_arrays

    found = DigitNormalizer().fit_transform(images)

    assert found.shape == (len(images), 28, 28)
    assert np.array_equal(found, [normalise(image).image for image in images])


@pytest.fixture(scope="module")
def digits_as_arrays():
    from digitflow import load_dataset

    data = load_dataset("digits")
    return data.images[:60], data.labels[:60]


def test_it_stands_before_a_classifier(digits_as_arrays):
    images, labels = digits_as_arrays
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    pipeline = make_pipeline(clone(DigitNormalizer()), flat, LogisticRegression())

    inverted = 255 - np.pad(images, ((0, 0), (20, 20), (30, 10)))
    assert pipeline.fit(images, labels).score(inverted, labels) > 0.95


def test_no_pictures_give_no_images():
    assert DigitNormalizer().transform([]).shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("seven.png", "X is one str; give a list"),
        (b"\x89PNG", "X is one bytes; give a list"),
        ([np.zeros((2, 3, 5))], r"X\[0\]: a picture has shape \(2, 3, 5\); give"),
        ([np.zeros((0, 5))], r"X\[0\]: a picture has shape \(0, 5\)"),
        ([np.zeros((9, 9)), np.zeros((9, 9), complex)], r"X\[1\]: a picture has values of type"),
        ([None], r"X\[0\]: a picture has shape \(\)"),
    ],
)
def test_what_is_no_picture_is_refused(X, message: str):
    with pytest.raises(UsageError, match=message):
        DigitNormalizer().transform(X)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(ImageError, match="no such file"):
        DigitNormalizer().transform([tmp_path / "none.png"])
    with pytest.raises(ImageError, match=r"^X\[1\]: not a PNG"):
        DigitNormalizer().transform([SEVEN.read_bytes(), b"text"])
