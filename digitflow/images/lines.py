"""Ruled and squared paper: lines right across a picture, found by projection and taken out."""

import numpy as np

from digitflow.images.parts import find_runs, paint_runs

# A line may lean by this much: rise per column, in steps that shift its ends by about 2 px.
_STEEPEST = 0.09

# A line shows in at least this share of the columns.
_LEAST_COVER = 0.85

# Thicker bars than this share of the picture's height are not ruled lines.
_THICKEST = 0.03

# More runs down all columns than this are a texture.
_MOST_RUNS = 40_000

# At least this share of the ink must be left, or the "lines" were the digit.
_LEAST_LEFT = 0.05


def without_lines(mask: np.ndarray) -> np.ndarray:
    """Take the lines that cross the whole picture out of a mask, bool (rows, columns).

    A line goes only where the run across it is thin: strokes that cross it stay whole.
    """
    level = _without_level_lines(mask)
    both = level & _without_level_lines(mask.T).T
    return both if both.sum() >= _LEAST_LEFT * mask.sum() else mask


def _without_level_lines(mask: np.ndarray) -> np.ndarray:
    rows, columns = mask.shape
    column, top, bottom = find_runs(mask.T)
    thickest = 1 + _THICKEST * rows
    if len(column) > _MOST_RUNS:
        return mask
    slope, heights = _find_lines(mask, bottom - top <= 2 * thickest, column, top, bottom)
    if len(heights) == 0:
        return mask
    level = slope * (column - columns / 2)
    nearest = heights[np.searchsorted(heights[:-1], top - level - 1, side="right")]
    on = (nearest > top - level - 1) & (nearest < bottom - level + 1)
    thickness = float(np.median((bottom - top)[on]))
    if thickness > thickest:
        return mask
    keeps = ~(on & (bottom - top <= 1.5 * thickness + 1))
    return paint_runs((columns, rows), column[keeps], top[keeps], bottom[keeps]).T


def _find_lines(
    mask: np.ndarray, thin: np.ndarray, column: np.ndarray, top: np.ndarray, bottom: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the common slope of the lines, and their heights in the middle column, px.

    For each slope the vertical runs are sheared level. A line is a row that nearly all columns
    meet, most of them with a thin run; the slope with most of such rows is the right one.
    """
    rows, columns = mask.shape
    offset = round(_STEEPEST * columns) + 2
    length = rows + 2 * offset + 1
    every = np.arange(columns)

    def cover(column: np.ndarray, top: np.ndarray | int, bottom: np.ndarray | int) -> np.ndarray:
        # Runs one pixel larger on both sides: photographed lines are never quite straight.
        shift = offset - np.rint(slope * (column - columns / 2)).astype(np.int64)
        opened = np.bincount(top + shift - 1, minlength=length)
        return np.cumsum(opened - np.bincount(bottom + shift + 1, minlength=length))

    best, best_slope, heights = 0, 0.0, np.empty(0)
    n_steps = max(1, round(_STEEPEST * columns / 2))
    for slope in sorted(np.linspace(-_STEEPEST, _STEEPEST, 2 * n_steps + 1), key=abs):
        within = cover(every, 0, rows)
        line = cover(column, top, bottom) >= np.maximum(_LEAST_COVER * within, columns / 4)
        line &= cover(column[thin], top[thin], bottom[thin]) >= 0.5 * within
        if line.sum() > best:
            best, best_slope = line.sum(), float(slope)
            heights = np.flatnonzero(line) - offset
    return best_slope, heights
