"""Parts of ink to characters, and characters to lines: which parts are one digit, in which order.

Everything is measured in the height of the characters, which the picture itself tells.
"""

import numpy as np

from digitflow.images.parts import Parts

# All shares are of the usual height of a character.
_LEAST_SIDE = 0.5  # of a character's longer side; the rest are pieces and dirt
_LEAST_HEIGHT = 0.32  # of a character; flatter is the bar of a 5
_LEAST_PIECE = 0.12  # of a piece's longer side; smaller ones are dirt
_REACH = 0.3  # a piece is no farther from the character it belongs to
_TALLEST = 1.3  # pieces make no taller character

# Two large pieces above each other are one character if they share so much of the narrower one's
# columns, and no more than so much of the lower one's rows: a 5 or an 8 broken across.
_SHARED_COLUMNS, _SHARED_ROWS = 0.5, 0.3

# A character belongs to a line if so much of the lower of both is at the line's height.
_SHARED_HEIGHT = 0.4

# The height of a line is that of so many characters at its end.
_LINE_END = 3


def usual_height(boxes: np.ndarray, mass: np.ndarray) -> float:
    """Return the height of a usual character, px: the middle one, each weighted by its ink.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4), int64
        Left, top, right and bottom of the parts, px.
    mass : ndarray of shape (n,)
        How much ink each has.
    """
    heights = boxes[:, 3] - boxes[:, 1]
    order = np.argsort(heights)
    running = np.cumsum(mass[order])
    return float(heights[order][np.searchsorted(running, running[-1] / 2)])


def group_parts(parts: Parts, mass: np.ndarray) -> list[np.ndarray]:
    """Group the parts that make one character.

    Parameters
    ----------
    parts : Parts
        The n parts of what is written.
    mass : ndarray of shape (n,)
        How much ink each has; what has none is left out.

    Returns
    -------
    list of ndarray of shape (n,), bool
        For each character which parts it has; dirt is in none.
    """
    boxes = parts.boxes
    if not mass.any():
        return []
    height = usual_height(boxes, mass)
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(axis=1)
    whole = (longer >= _LEAST_SIDE * height) & (sides[:, 1] >= _LEAST_HEIGHT * height) & (mass > 0)
    piece = (longer >= _LEAST_PIECE * height) & (mass > 0) & ~whole
    groups = _join_broken([np.array([part]) for part in np.flatnonzero(whole)], boxes, height)
    around = np.array([_box_around(boxes[group]) for group in groups])
    for part in np.flatnonzero(piece):
        nearest = _nearest(boxes[part], around, height)
        if nearest is not None:
            groups[nearest] = np.append(groups[nearest], part)
    every = np.arange(len(boxes))
    return [np.isin(every, group) for group in groups]


def _join_broken(groups: list[np.ndarray], boxes: np.ndarray, height: float) -> list[np.ndarray]:
    """Join large pieces that lie above each other."""
    joined: list[np.ndarray] = []
    for group in sorted(groups, key=lambda group: boxes[group[0], 1]):
        box = _box_around(boxes[group])
        above = [
            number for number, other in enumerate(joined) if _is_broken(other, box, boxes, height)
        ]
        if above:
            joined[above[0]] = np.concatenate([joined[above[0]], group])
        else:
            joined.append(group)
    return joined


def _is_broken(other: np.ndarray, box: np.ndarray, boxes: np.ndarray, height: float) -> bool:
    """Tell whether a box continues a group of parts downwards."""
    upper = _box_around(boxes[other])
    both = _box_around(np.stack([upper, box]))
    if both[3] - both[1] > _TALLEST * height or box[1] - upper[3] > _REACH * height:
        return False
    columns = min(upper[2], box[2]) - max(upper[0], box[0])
    rows = min(upper[3], box[3]) - max(upper[1], box[1])
    narrower = min(upper[2] - upper[0], box[2] - box[0])
    lower = min(upper[3] - upper[1], box[3] - box[1])
    return bool(columns >= _SHARED_COLUMNS * narrower and rows <= _SHARED_ROWS * lower)


def _nearest(box: np.ndarray, around: np.ndarray, height: float) -> int | None:
    """Return the number of the character that a piece belongs to, if any."""
    gaps = np.maximum(np.maximum(around[:, :2] - box[2:], box[:2] - around[:, 2:]), 0)
    top, bottom = np.minimum(around[:, 1], box[1]), np.maximum(around[:, 3], box[3])
    distance = gaps.sum(axis=1).astype(np.float64)
    distance[bottom - top > _TALLEST * height] = np.inf
    nearest = int(distance.argmin())
    return nearest if distance[nearest] <= _REACH * height else None


def _box_around(boxes: np.ndarray) -> np.ndarray:
    """Return the box around boxes, int64 (4,)."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def reading_order(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order characters line by line, and from left to right in each.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4), int64
        Left, top, right and bottom of the characters, px.

    Returns
    -------
    order : ndarray of shape (n,), int64
    lines : ndarray of shape (n,), int64
        The line of each of them, counted from 0, in that order.
    """
    lines: list[list[int]] = []
    # From left to right, each goes on the line that it stands beside: of the last characters, so
    # that lines that rise or fall across a page stay lines.
    for number in np.argsort(boxes[:, 0], kind="stable"):
        ends = [np.median(boxes[line[-_LINE_END:]], axis=0) for line in lines]
        shared = [_shared_height(end, boxes[number]) for end in ends]
        if shared and max(shared) >= _SHARED_HEIGHT:
            lines[int(np.argmax(shared))].append(int(number))
        else:
            lines.append([int(number)])
    lines.sort(key=lambda line: float(np.mean(boxes[line][:, 1::2])))
    order = np.array([number for line in lines for number in line], np.int64)
    return order, np.repeat(np.arange(len(lines)), [len(line) for line in lines])


def _shared_height(one: np.ndarray, other: np.ndarray) -> float:
    """Return how much of the lower of two boxes lies at the height of the other, 0..1."""
    shared = min(one[3], other[3]) - max(one[1], other[1])
    return float(shared / min(one[3] - one[1], other[3] - other[1]))
