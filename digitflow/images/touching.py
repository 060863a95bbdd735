"""Digits that touch: where to part them, and whether the place is clear."""

from itertools import pairwise
from math import ceil

import numpy as np

from digitflow.images.parts import find_runs
from digitflow.images.placing import stroke_width

# A character this many times as wide as it or the usual one is high may be two or more; this many
# times, and it is.
_WIDE, _WIDEST = 1.25, 1.6

# A digit among others is about so many times as wide as high, and hardly narrower than that.
_USUAL, _NARROW = 0.72, 0.35

# A cut lies within this share of a digit's width from where digits of one width would part.
_LEEWAY = 0.45

# It is clear if it crosses one stroke, no thicker than this many times the usual one, and all that
# it parts is at least so high as this share of the whole.
_THICKEST = 1.6
_LEAST_HEIGHT = 0.6


def split_touching(mask: np.ndarray, usual_height: float) -> tuple[list[int], bool]:
    """Find the columns that part a character that is too wide to be one digit.

    Parameters
    ----------
    mask : ndarray of shape (rows, columns), bool
        Tight around its ink.
    usual_height : float
        Of a character in the picture, px.

    Returns
    -------
    cuts : list of int
        Each the first column of the next digit. There are only clear ones: each crosses one thin
        stroke between digits of nearly full height.
    clear : bool
        False where it is too wide for one digit, but no cut is clear.
    """
    rows, columns = mask.shape
    height = max(rows, usual_height)
    if columns <= _WIDE * height:
        return [], True
    n_strokes, ink = _crossings(mask)
    usual = stroke_width(mask.astype(np.float32))
    # What a cut costs: the strokes it crosses above one, and the ink.
    cost = ink / usual + 2 * np.maximum(n_strokes - 1, 0)
    fewest, most = ceil(columns / height / _WIDE), int(columns / height / _NARROW)
    counts = sorted(
        range(max(2, fewest), most + 1), key=lambda n: abs(columns / n - _USUAL * height)
    )
    for n_digits in counts:
        cuts = _cheapest_cuts(cost, n_digits)
        edges = [0, *cuts, columns]
        heights = [_height(mask[:, start:stop]) for start, stop in pairwise(edges)]
        thin = (n_strokes[cuts] <= 1) & (ink[cuts] <= _THICKEST * usual)
        if thin.all() and min(heights) >= _LEAST_HEIGHT * rows:
            return cuts, True
    return [], columns <= _WIDEST * height


def _cheapest_cuts(cost: np.ndarray, n_digits: int) -> list[int]:
    """Return the columns that part so many digits of about one width."""
    width = len(cost) / n_digits
    cuts = []
    for number in range(1, n_digits):
        expected = number * width
        first = max(1, round(expected - _LEEWAY * width))
        column = np.arange(first, min(len(cost) - 1, round(expected + _LEEWAY * width)) + 1)
        # Of cuts as cheap, the one nearest to the middle.
        off = np.abs(column - expected) / width
        cuts.append(int(column[np.argmin(cost[column] + 0.5 * off)]))
    return cuts


def _crossings(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each column how many strokes it crosses, and how many pixels of ink."""
    column, top, bottom = find_runs(mask.T)
    columns = mask.shape[1]
    return (
        np.bincount(column, minlength=columns),
        np.bincount(column, bottom - top, minlength=columns),
    )


def _height(mask: np.ndarray) -> int:
    """Return the height of the ink in a mask, px."""
    rows = np.flatnonzero(mask.any(axis=1))
    return int(np.ptp(rows)) + 1 if len(rows) else 0
