import keras
import numpy as np
import pytest

from digitflow.learning.augmentation import RandomShift


@pytest.fixture
def images() -> np.ndarray:
    # The ink keeps a margin of 3 px, so that no move by 2 loses any.
    images = np.zeros((200, 28, 28, 1), np.float32)
    images[:, 3:25, 3:25] = np.random.default_rng(0).random((200, 22, 22, 1))
    return images


def test_each_image_is_moved_as_a_whole_by_up_to_so_many_pixels(images: np.ndarray):
    moved = keras.ops.convert_to_numpy(RandomShift(2, seed=1)(images, training=True))

    seen = set()
    for before, after in zip(images, moved, strict=True):
        moves = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.allclose(np.roll(before, (dy, dx), axis=(0, 1)), after, atol=1e-6)
        ]
        assert len(moves) == 1
        seen.update(moves)
    assert len(seen) == 25


def test_what_enters_is_black():
    white = np.ones((50, 28, 28, 1), np.float32)

    moved = keras.ops.convert_to_numpy(RandomShift(2, seed=1)(white, training=True))

    assert set(np.unique(moved)) == {0.0, 1.0}
    assert moved.sum(axis=(1, 2, 3)).min() == 26 * 26


def test_nothing_moves_outside_training(images: np.ndarray):
    assert np.array_equal(RandomShift(2)(images, training=False), images)
    assert np.array_equal(RandomShift(0)(images, training=True), images)


def test_the_seed_decides_the_moves(images: np.ndarray):
    first, again, other = (RandomShift(2, seed=seed)(images, training=True) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
