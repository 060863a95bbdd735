"""A sheet of paper on a table, or a patch pasted onto something else: found by its outline."""

import numpy as np
from PIL import Image

from digitflow.images.ink import otsu, shrink
from digitflow.images.parts import find_parts

# Sheets are searched for at this many pixels along the longer side at most.
_SEARCH_SIDE = 160

# In smaller pictures a stroke is as wide as a sheet would be, px.
_LEAST_SIDE = 48

# A sheet covers so much of the picture, at least and at most.
_LEAST_SHARE, _MOST_SHARE = 0.08, 0.95

# It fills so much of the smallest box around it, in whatever direction: a 0 fills 79 %.
_RECTANGULAR = 0.9

# The ground takes so much of the picture's rim: a digit that is cut off takes less.
_LEAST_GROUND = 0.2

# Something is written on it, but most of it is paper: a thick 0 that fills its box is not.
_LEAST_INK, _MOST_INK = 0.002, 0.3

# At its rim the tone changes by so many grey levels at least.
_LEAST_STEP = 16

# What differs from the sheet by more grey levels is not paper.
_OTHER_TONE = 24

# Its outline is blurred by so much of the picture's side.
_SOFT_EDGE = 0.01

_DIRECTIONS = np.radians(np.arange(0, 90, 3))


def find_sheet(grey: np.ndarray) -> np.ndarray | None:
    """Find the sheet that a picture shows on another ground.

    Parameters
    ----------
    grey : ndarray of shape (rows, columns), uint8

    Returns
    -------
    ndarray of shape (rows, columns), bool, or None
        What surely lies on the sheet; None where the picture is all one sheet.
    """
    if min(grey.shape) < _LEAST_SIDE:
        return None
    small = shrink(grey, -(-max(grey.shape) // _SEARCH_SIDE))
    for bright in _two_tones(small):
        for tone in (bright, ~bright):
            sheet = _sheet_of(tone, small)
            if sheet is not None:
                return _enlarged(sheet, grey.shape)
    return None


def only_sheet(grey: np.ndarray, sheet: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Cut a sheet out of a picture; what lies beside it gets the paper's tone.

    Returns
    -------
    grey : ndarray of shape (rows, columns), uint8
    left, top : int
        Where it was, px.
    """
    rows, columns = (np.flatnonzero(sheet.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    within = sheet[top:bottom, left:right]
    cut = grey[top:bottom, left:right]
    paper = np.uint8(np.median(cut[within]))
    return np.where(within, cut, paper), int(left), int(top)


def _two_tones(grey: np.ndarray) -> list[np.ndarray]:
    """Return masks of what is bright, parted where the tones part best, and within each half."""
    values = grey.ravel().astype(np.float32)
    middle = otsu(values, 0.0, 255.0)
    halves = [values[values <= middle], values[values > middle]]
    thresholds = [middle]
    thresholds += [
        otsu(half, half.min(), half.max()) for half in halves if len(half) and np.ptp(half) > 1
    ]
    return [grey > threshold for threshold in thresholds]


def _sheet_of(tone: np.ndarray, grey: np.ndarray) -> np.ndarray | None:
    """Return the largest part of a mask with all that it encloses, if it is a written sheet."""
    parts = find_parts(tone)
    if not len(parts.boxes):
        return None
    areas = parts.areas
    largest = np.arange(len(areas)) == areas.argmax()
    paper = parts.paint(largest)
    beside = find_parts(~paper)
    rows, columns = tone.shape
    open_ = (beside.boxes[:, :2] == 0).any(axis=1) | (beside.boxes[:, 2:] == (columns, rows)).any(1)
    sheet = ~beside.paint(open_)
    if _share_of_rim(~sheet) < _LEAST_GROUND:
        return None
    if not _LEAST_SHARE <= sheet.mean() <= _MOST_SHARE:
        return None
    if sheet.sum() < _RECTANGULAR * _smallest_box(sheet):
        return None
    if abs(_step_at_rim(grey, sheet)) < _LEAST_STEP:
        return None
    ink = 1 - paper.sum() / sheet.sum()
    if ink < _LEAST_INK:
        ink = _share_beyond(grey, sheet)
    return sheet if _LEAST_INK <= ink <= _MOST_INK else None


def _step_at_rim(grey: np.ndarray, sheet: np.ndarray) -> float:
    """Return how much brighter a sheet is along its rim than the ground beside it, grey levels.

    Next to nothing where light changes slowly, and between the squares of squared paper.
    """
    tones = []
    for side in (sheet, ~sheet):
        inner = _without_rim(side)
        band = inner & ~_without_rim(inner)
        if not band.any():
            return 0.0
        tones.append(float(np.median(grey[band])))
    return tones[0] - tones[1]


def _share_beyond(grey: np.ndarray, sheet: np.ndarray) -> float:
    """Return how much of a sheet is still farther from the ground's tone than the sheet is, 0..1.

    A grey card on a light table with dark ink on it; of a thick stroke all is of one tone.
    """
    inner = _without_rim(sheet)
    if not inner.any():
        return 0.0
    values = grey[inner].astype(np.float32)
    paper = float(np.median(values))
    away = np.sign(paper - float(np.median(grey[~sheet])))
    return float((away * (values - paper) > _OTHER_TONE).mean())


def _share_of_rim(mask: np.ndarray) -> float:
    """Return how much of a picture's rim a mask covers, 0..1."""
    rim = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return float(rim.mean())


def _smallest_box(mask: np.ndarray) -> float:
    """Return the area of the smallest rectangle, however turned, around a mask, px²."""
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    y = np.concatenate([rows, rows + 1, rows, rows + 1])
    x = np.concatenate([first, first, last, last])
    along = np.outer(np.cos(_DIRECTIONS), x) + np.outer(np.sin(_DIRECTIONS), y)
    across = np.outer(np.cos(_DIRECTIONS), y) - np.outer(np.sin(_DIRECTIONS), x)
    return float((np.ptp(along, axis=1) * np.ptp(across, axis=1)).min())


def _enlarged(sheet: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring a mask to a picture's size, without the rim of the sheet, but where it is cut off."""
    large = Image.fromarray(_without_rim(sheet)).resize(
        (shape[1], shape[0]), Image.Resampling.NEAREST
    )
    return np.asarray(large)


def _without_rim(sheet: np.ndarray) -> np.ndarray:
    """Return what surely lies on a sheet: its mask without the blurred rim."""
    margin = 1 + round(_SOFT_EDGE * max(sheet.shape))
    inner = np.pad(sheet, margin, constant_values=True)
    for axis in (0, 1):
        inner = np.min([np.roll(inner, step, axis) for step in range(-margin, margin + 1)], axis=0)
    return inner[margin:-margin, margin:-margin]
