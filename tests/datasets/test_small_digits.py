import numpy as np
import pytest
from PIL import Image

from digitflow.datasets.small_digits import load_small_digits
from digitflow.images.normalising import normalise_batch


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    return load_small_digits()


def test_has_all_digits_in_the_stored_order(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits
    assert images.shape == (1797, 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert labels[:12].tolist() == [*range(10), 0, 1]
    assert np.bincount(labels).min() > 170


def test_has_the_form_of_mnist(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = digits
    unchanged, done = normalise_batch(images)
    assert done.all()
    np.testing.assert_array_equal(unchanged, images)


def test_is_as_bright_as_mnist(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = digits
    # MNIST: 33.3, and 12 % of the pixels neither black nor nearly white.
    assert 30 < images.mean() < 37
    assert ((images > 0) & (images < 250)).mean() < 0.16
    assert (images.max(axis=(1, 2)) == 255).all()


def test_keeps_the_ink_where_it_was(digits: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.datasets import load_digits

    def box(image: np.ndarray) -> np.ndarray:
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    likeness = []
    for image, counts in zip(digits[0], load_digits().images, strict=True):
        blocks = box(counts)
        back = Image.fromarray(box(image)).resize(blocks.shape[::-1], Image.Resampling.BOX)
        likeness.append(np.corrcoef(np.asarray(back).ravel(), blocks.ravel())[0, 1])
    assert np.median(likeness) > 0.95
    assert min(likeness) > 0.6
