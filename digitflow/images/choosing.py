"""Which parts of the ink are the digit: not frames, not lines, not neighbours, not dirt."""

import numpy as np

from digitflow.images.ink import Ink
from digitflow.images.lines import without_frame, without_lines
from digitflow.images.parts import Parts, find_parts

# Another part belongs to the main one if it is nearer than this share of the main part's size and
# has at least this share of its ink: the bar of a 5, a broken stroke.
_NEAR = 0.25
_WORTHY = 0.02
# It is also as long as this share of the main part, or has this share of its ink.
_LONG, _HEAVY = 0.15, 0.06

# What has these shares of the digit's ink and longest side is nearly as large as it.
_OTHERS_MASS, _OTHERS_SIDE = 0.3, 0.5

# So many neighbours at the rim are not neighbours of one digit.
_MANY = 3

# A frame has this share of its ink within this share of its box's sides from them, and around
# something with this share of its ink (an empty frame is a 0).
_FRAME_SHARE = 0.9
_FRAME_MARGIN = 0.08
_FRAMED = 0.1


def written_parts(ink: Ink) -> Parts:
    """Return the connected parts of the ink without frames and lines.

    Parameters
    ----------
    ink : Ink
    """
    parts = find_parts(ink.mask)
    # Frames first: without two of its sides, none would be known for one.
    written = parts.paint(~_frames(parts, _mass(parts, ink)))
    return _without_touching_frame(find_parts(without_lines(written, ink.faint)), ink)


def written_mass(parts: Parts, ink: Ink) -> np.ndarray:
    """Return how much ink each part has, float64 (n,).

    It is 0 where no ink is sure, and of what only surrounds others: a frame, a table's edge.
    """
    mass = _mass(parts, ink)
    return mass * ~_surroundings(parts, mass)


def _mass(parts: Parts, ink: Ink) -> np.ndarray:
    """Return how much ink each part has, float64 (n,); 0 where none is sure."""
    return parts.sum_over(ink.amount) * (parts.sum_over(ink.strong) > 0)


def choose_digit(parts: Parts, mass: np.ndarray) -> np.ndarray:
    """Choose the main part and those that belong to it.

    Parameters
    ----------
    parts : Parts
        The n that `written_parts` returned.
    mass : ndarray of shape (n,), float64
        Of each, as `written_mass` returned it.

    Returns
    -------
    ndarray of shape (n,), bool
        All false where nothing is a digit.
    """
    boxes = parts.boxes
    size = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    rows, columns = parts.shape
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    off = np.abs(middle / (columns, rows) - 0.5).max(axis=1) * 2  # 0 centre .. 1 rim
    score = mass * np.sqrt(size) * (1 - 0.8 * off**2)
    main = int(score.argmax())
    chosen = np.zeros(len(boxes), bool)
    if score[main] <= 0:
        return chosen
    chosen[main] = True
    near, worthy = _NEAR * size[main], mass >= _WORTHY * mass[main]
    # Specks are small in both respects, and what the rim cuts is of a neighbour.
    worthy &= (size >= _LONG * size[main]) | (mass >= _HEAVY * mass[main])
    on_rim = _on_rim(parts)
    if not on_rim[main]:
        worthy &= ~on_rim
    while True:
        left_top, right_bottom = boxes[chosen, :2].min(0), boxes[chosen, 2:].max(0)
        gap = np.maximum(left_top - boxes[:, 2:], boxes[:, :2] - right_bottom).max(axis=1)
        more = chosen | ((gap <= near) & worthy)
        if (more == chosen).all():
            return chosen
        chosen = more


def count_others(parts: Parts, mass: np.ndarray, chosen: np.ndarray) -> int:
    """Return how many parts that were not chosen are nearly as large as the digit.

    What the picture's rim cuts is a neighbour's, and counts where there are many: stripes, a text.

    Parameters
    ----------
    parts : Parts
    mass : ndarray of shape (n,), float64
        Of each, as `written_mass` returned it.
    chosen : ndarray of shape (n,), bool
        What `choose_digit` returned; not all false.
    """
    sides = parts.boxes[:, 2:] - parts.boxes[:, :2]
    left, top, right, bottom = parts.box_around(chosen)
    large = ~chosen & (mass >= _OTHERS_MASS * mass[chosen].sum())
    large &= sides.max(axis=1) >= _OTHERS_SIDE * max(right - left, bottom - top)
    cut = _on_rim(parts)
    n_cut = int((large & cut).sum())
    return int((large & ~cut).sum()) + (n_cut if n_cut >= _MANY else 0)


def _on_rim(parts: Parts) -> np.ndarray:
    """Tell which parts the picture's rim cuts, bool (n,)."""
    rows, columns = parts.shape
    boxes = parts.boxes
    return (boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == (columns, rows)).any(axis=1)


def _surroundings(parts: Parts, mass: np.ndarray) -> np.ndarray:
    """Tell frames around something, and what covers most of the picture's rim, bool (n,)."""
    rim = np.ones(parts.shape, bool)
    rim[1:-1, 1:-1] = False
    around = _frames(parts, mass) | (parts.sum_over(rim) >= rim.sum() / 2)
    return around & (mass[~around].sum() > 0)


def _frames(parts: Parts, mass: np.ndarray) -> np.ndarray:
    """Tell frames around something, bool (n,)."""
    frames = np.zeros(len(parts.boxes), bool)
    boxes = parts.boxes
    hollow = parts.share_near_box(_FRAME_MARGIN) >= _FRAME_SHARE
    roomy = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) > 2  # for anything inside
    for frame in np.flatnonzero(hollow & roomy & (mass > 0)):
        left, top, right, bottom = boxes[frame]
        inside = (boxes[:, 0] > left) & (boxes[:, 1] > top)
        inside &= (boxes[:, 2] < right) & (boxes[:, 3] < bottom)
        if mass[inside].sum() >= _FRAMED * mass[frame]:
            frames[frame] = True
    return frames


def _without_touching_frame(parts: Parts, ink: Ink) -> Parts:
    """Take the frame that the digit touches, if it does, out of the largest part."""
    mass = _mass(parts, ink)
    if not mass.any():
        return parts
    largest = np.arange(len(mass)) == mass.argmax()
    left, top, right, bottom = parts.boxes[mass.argmax()]
    alone = parts.paint(largest)[top:bottom, left:right]
    opened = without_frame(alone)
    if opened is alone:
        return parts
    mask = parts.paint(~largest)
    mask[top:bottom, left:right] |= opened
    return find_parts(mask)
