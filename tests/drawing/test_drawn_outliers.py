"""Drawings of no digit, for a network to be unsure of."""

import numpy as np
import pytest

from digitflow.drawing import draw_outliers
from digitflow.drawing.outliers import KINDS, draw_kind
from digitflow.images.normalising import normalise_batch


def test_the_same_seed_draws_the_same():
    images = draw_outliers(90, seed=4)

    assert images.shape == (90, 28, 28)
    assert images.dtype == np.uint8
    assert np.array_equal(images, draw_outliers(90, seed=4))
    assert not np.array_equal(images, draw_outliers(90, seed=5))


@pytest.mark.parametrize("n", [0, 1, 7])
def test_any_number_is_drawn(n: int):
    assert len(draw_outliers(n, seed=0)) == n


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_gives_images_in_mnists_form_that_differ(kind: str):
    images = draw_kind(kind, 12, np.random.default_rng(0))

    assert len({image.tobytes() for image in images}) == 12
    assert images.reshape(12, -1).max(axis=1).min() > 100
    boxed = [max(np.ptp(np.nonzero(image), axis=1)) + 1 for image in images]
    assert min(boxed) >= 18
    assert max(boxed) <= 20


def test_most_pass_as_mnists_form_so_that_nothing_gives_them_away():
    assert normalise_batch(draw_outliers(300, seed=0))[1].mean() > 0.7
