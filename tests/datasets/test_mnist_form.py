import numpy as np
import pytest
from datasets.samples import drawn
from PIL import Image, ImageFilter

from digitflow.datasets.mnist_form import bring_to_mnist_form
from digitflow.images.normalising import normalise_batch
from digitflow.images.placing import place


def test_what_has_the_form_stays_as_it_is() -> None:
    images = drawn(20)
    assert normalise_batch(images)[1].all()
    np.testing.assert_array_equal(bring_to_mnist_form(images), images)


def test_mnist_stays_as_it_is(shared_data, monkeypatch: pytest.MonkeyPatch) -> None:
    from digitflow.datasets.loading import load_dataset

    monkeypatch.setenv("DIGITFLOW_DATA", str(shared_data))
    images = load_dataset("mnist", "test").images
    np.testing.assert_array_equal(bring_to_mnist_form(images), images)


@pytest.mark.parametrize("shape", [(16, 16), (28, 28), (40, 30)])
def test_places_as_the_makers_of_mnist_did(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    # Ink of one tone, so that the box is that of all ink; anywhere and of any size.
    images = np.zeros((50, *shape), np.uint8)
    for image in images:
        top, bottom = np.sort(generator.choice(shape[0] + 1, 2, replace=False))
        left, right = np.sort(generator.choice(shape[1] + 1, 2, replace=False))
        image[top:bottom, left:right] = 200 * (generator.random((bottom - top, right - left)) < 0.7)
        image[[top, bottom - 1], [left, right - 1]] = 200
    placed = bring_to_mnist_form(images)
    for image, result in zip(images, placed, strict=True):
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if image.shape != (28, 28) or not normalise_batch(image[np.newaxis])[1][0]:
            expected = place(box / np.float32(255))
            assert np.abs(result.astype(int) - expected).max() <= 1


def test_a_faint_rim_does_not_make_the_digit_smaller() -> None:
    """EMNIST's strokes are blurred; measured against the box of the sharp ones."""
    sharp = drawn(20)
    blurred = []
    for image in sharp:
        large = Image.fromarray(image).resize((112, 112), Image.Resampling.BICUBIC)
        large = large.filter(ImageFilter.GaussianBlur(5))
        blurred.append(np.asarray(large))
    again = bring_to_mnist_form(np.stack(blurred))
    strong = again >= 96
    sides = np.maximum(strong.any(axis=1).sum(axis=1), strong.any(axis=2).sum(axis=1))
    assert (sides >= 19).all()


def test_images_without_ink_stay_black_and_none_stays_none() -> None:
    assert bring_to_mnist_form(np.zeros((2, 16, 16), np.uint8)).max() == 0
    assert bring_to_mnist_form(np.zeros((0, 28, 28), np.uint8)).shape == (0, 28, 28)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.ascontiguousarray(drawn(10)[:, ::-1, :20])
    whole = bring_to_mnist_form(images)
    monkeypatch.setattr("digitflow.datasets.mnist_form._BLOCK", 3)
    np.testing.assert_array_equal(bring_to_mnist_form(images), whole)
