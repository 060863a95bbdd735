"""Ruled and squared paper: lines right across a picture, found by projection and taken out."""

import numpy as np

from digitflow.images.parts import find_runs, paint_runs

# A line may lean by this much: rise per column, in steps that shift its ends by about 2 px.
_STEEPEST = 0.09

# A line shows in at least this share of the columns.
_LEAST_COVER = 0.85

# Thicker bars than this share of the picture's side (the mean of both) are not ruled lines.
_THICKEST = 0.03

# More runs down all columns than this are a texture.
_MOST_RUNS = 40_000

# At least this share of the ink must be left, or the "lines" were the digit.
_LEAST_LEFT = 0.05

# A side of a frame lies within this share of the picture from its rim, and covers as much of it as
# a line does; what is written in the frame is at least so high.
_SIDE = 0.2
_LEAST_HEIGHT = 0.35


def without_lines(mask: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """Take the lines that cross the whole picture out of a mask of ink, bool (rows, columns).

    A line goes only where the run across it is thin: strokes that cross it stay whole.

    Parameters
    ----------
    mask : ndarray of shape (rows, columns), bool
    faint : ndarray of shape (rows, columns), bool
        The same with fainter ink: of lines in pale print the mask may hold fragments only.
    """
    level = _without_level_lines(mask, faint)
    both = level & _without_level_lines(mask.T, faint.T).T
    return both if both.sum() >= _LEAST_LEFT * mask.sum() else mask


def without_frame(mask: np.ndarray) -> np.ndarray:
    """Take a frame that the digit touches out of their common mask, bool (rows, columns).

    The mask is tight. Only straight thin lines on three sides at least are a frame, and only around
    something that is not flat: the middle bar of a square 8 is.
    """
    left = without_lines(mask, mask)
    taken = mask & ~left
    rows, columns = (max(1, round(_SIDE * side)) for side in mask.shape)
    sides = (taken[:rows], taken[-rows:], taken[:, :columns].T, taken[:, -columns:].T)
    if sum(side.any(axis=0).mean() >= _LEAST_COVER for side in sides) < 3:
        return mask
    written = np.flatnonzero(left.any(axis=1))
    return left if np.ptp(written) >= _LEAST_HEIGHT * len(mask) else mask


def _without_level_lines(mask: np.ndarray, faint: np.ndarray) -> np.ndarray:
    rows, columns = mask.shape
    column, top, bottom = find_runs(faint.T)
    thickest = 1 + _THICKEST * (rows * columns) ** 0.5
    if len(column) > _MOST_RUNS:
        return mask
    slope, heights = _find_lines(faint, bottom - top <= 2 * thickest, column, top, bottom)
    if len(heights) == 0:
        return mask

    def on_lines(column: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        level = slope * (column - columns / 2)
        nearest = heights[np.searchsorted(heights[:-1], top - level - 1, side="right")]
        return (nearest > top - level - 1) & (nearest < bottom - level + 1)

    of_lines = (bottom - top)[on_lines(column, top, bottom)]
    thickness = float(np.median(of_lines)) if len(of_lines) else np.inf
    if thickness > thickest:
        return mask
    column, top, bottom = find_runs(mask.T)
    goes = on_lines(column, top, bottom) & (bottom - top <= 1.5 * thickness + 1)
    return paint_runs((columns, rows), column[~goes], top[~goes], bottom[~goes]).T


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
        covered = cover(column, top, bottom)
        line = covered >= columns / 4
        if line.sum() <= best:  # as at most slopes: spare the rest
            continue
        within = cover(every, 0, rows)
        line &= covered >= _LEAST_COVER * within
        line &= cover(column[thin], top[thin], bottom[thin]) >= 0.5 * within
        if line.sum() > best:
            best, best_slope = line.sum(), float(slope)
            heights = np.flatnonzero(line) - offset
    return best_slope, heights
