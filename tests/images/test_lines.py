"""Lines across the picture go, strokes and bars of digits stay."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digitflow.images.lines import without_frame, without_lines


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
    mask = drawn(*SEVEN, *ruled, *upright)
    left = without_lines(mask, mask)
    seven = drawn(*SEVEN)
    assert (left & seven).sum() > 0.97 * seven.sum()
    assert (left & ~seven).sum() < 0.06 * seven.sum()


def test_a_digit_without_lines_stays_as_it_is() -> None:
    seven = drawn(*SEVEN)
    assert np.array_equal(without_lines(seven, seven), seven)


def test_a_picture_of_nothing_but_lines_stays() -> None:
    bars = drawn(((0, 100, 300, 100), 4))
    assert np.array_equal(without_lines(bars, bars), bars)


FRAME = (((40, 30, 250, 30, 250, 225, 40, 225, 40, 30), 3),)


def test_a_frame_that_the_digit_touches_goes() -> None:
    touching = (((90, 32, 200, 32, 120, 200), 12),)
    mask = drawn(*FRAME, *touching)[29:227, 39:252]
    left = without_frame(mask)
    seven = drawn(*touching)[29:227, 39:252]
    assert (left & seven).sum() > 0.9 * seven.sum()
    assert (left & ~seven).sum() < 0.06 * seven.sum()


@pytest.mark.parametrize(
    "strokes",
    [
        (((40, 30, 250, 30, 250, 225, 40, 225, 40, 30), 14), ((40, 128, 250, 128), 14)),
        (((40, 30, 250, 30, 250, 225, 40, 225, 40, 30), 3), ((40, 128, 250, 128), 3)),
        SEVEN,
    ],
    ids=["thick 8", "thin 8", "7"],
)
def test_a_digit_is_no_frame(strokes: tuple[tuple[tuple[int, ...], int], ...]) -> None:
    mask = drawn(*strokes)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    tight = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert np.array_equal(without_frame(tight), tight)


def test_fragments_of_pale_lines_go_where_the_faint_ink_shows_the_lines() -> None:
    faint = drawn(*SEVEN, ((0, 100, 300, 100), 2), ((150, 0, 150, 240), 2))
    fragments = faint & (np.indices(faint.shape).sum(axis=0) % 30 < 8)
    mask = fragments | drawn(*SEVEN)
    left = without_lines(mask, faint)
    assert (left & ~drawn(*SEVEN)).sum() < 0.1 * (mask & ~drawn(*SEVEN)).sum()


@pytest.mark.parametrize("seed", [589, 1095, 1310])
def test_a_row_that_no_run_lies_on_is_no_line(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = generator.integers(5, 40), generator.integers(8, 40)
    mask = generator.random(size) < generator.uniform(0.05, 0.95)
    assert np.array_equal(without_lines(mask, mask), mask)
