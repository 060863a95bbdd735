"""Lines across the picture go, strokes and bars of digits stay."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digitflow.images.lines import without_lines


def drawn(*strokes: tuple[tuple[int, ...], int]) -> np.ndarray:
    picture = Image.new("1", (300, 240))
    for points, width in strokes:
        ImageDraw.Draw(picture).line(points, fill=1, width=width)
    return np.asarray(picture)


SEVEN = (((90, 60, 200, 60, 120, 200), 12),)


@pytest.mark.parametrize("rise", [-12, 0, 5, 18])
def test_lines_go_and_the_strokes_they_cross_stay(rise: int) -> None:
    ruled = [((0, at, 300, at + rise), 3) for at in (25, 100, 175)]
    upright = [((at, 0, at + rise, 240), 2) for at in (20, 150, 260)]
    left = without_lines(drawn(*SEVEN, *ruled, *upright))
    seven = drawn(*SEVEN)
    assert (left & seven).sum() > 0.97 * seven.sum()
    assert (left & ~seven).sum() < 0.06 * seven.sum()


def test_a_digit_without_lines_stays_as_it_is() -> None:
    seven = drawn(*SEVEN)
    assert np.array_equal(without_lines(seven), seven)


def test_a_picture_of_nothing_but_lines_stays() -> None:
    bars = drawn(((0, 100, 300, 100), 4))
    assert np.array_equal(without_lines(bars), bars)
