"""A grey picture of a digit to the 28×28 form of MNIST, the way MNIST was made.

MNIST's steps, after QMNIST's reconstruction (Yadav and Bottou, "Cold Case: The Lost MNIST Digits",
2019): tight box of the ink, longest side to 20 px by area-weighted resampling, pasted so that the
centre of mass falls on the centre. What already has that form passes unchanged.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from digitflow.images.ink import Ink, find_ink
from digitflow.images.lines import without_lines
from digitflow.images.parts import Parts, find_parts

SIDE = 28  # px, of the images that the models see
DIGIT_SIDE = 20  # px, of the longest side of the digit in them

# Where MNIST's own 70,000 images lie: pixel index of the centre of mass, least maximum.
_CENTRE = (13.45, 14.55)
_BRIGHT = 250

# In px of the 20-px box. MNIST's strokes are 1.6 / 2.3 / 3.6 wide (5 / 50 / 95 %).
_THIN_STROKE = 1.5
_WANTED_STROKE = 2.0

# Strokes are widened at this many pixels along the digit's longest side.
_WIDENING_SIDE = 4 * DIGIT_SIDE

# A digit found smaller than this in a shrunk picture is looked at again, closer, px.
_LEAST_SIDE = 60

# Another part belongs to the main one if it is nearer than this share of the main part's size and
# has at least this share of its ink: the bar of a 5, a broken stroke.
_NEAR = 0.25
_WORTHY = 0.02

# A frame has this share of its ink within this share of its box's sides from them, and around
# something with this share of its ink (an empty frame is a 0).
_FRAME_SHARE = 0.9
_FRAME_MARGIN = 0.08
_FRAMED = 0.1


@dataclass(frozen=True)
class NormalisedImage:
    """A digit in MNIST's form, and where in the picture it was."""

    image: np.ndarray  # uint8 (28, 28), bright ink on black; all 0 if blank
    x: int  # left edge of the ink's box in the given picture, px
    y: int  # top edge, px
    width: int  # px
    height: int  # px
    polarity: str  # "dark_on_light" or "light_on_dark"
    blank: bool  # no ink was found; the box is the whole picture


def normalise(grey: np.ndarray) -> NormalisedImage:
    """Bring the digit of a picture into MNIST's form.

    Parameters
    ----------
    grey : ndarray of shape (rows, columns), uint8
        A picture of one digit: any size, polarity, position and paper.

    Returns
    -------
    NormalisedImage

    Raises
    ------
    ValueError
        If `grey` is not two-dimensional uint8 with at least one pixel.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or grey.size == 0:
        raise ValueError(
            f"need a grey picture, uint8 (rows, columns), not {grey.dtype} {grey.shape}"
        )
    if grey.shape == (SIDE, SIDE):
        images, done = normalise_batch(grey[np.newaxis])
        if done[0]:
            inverted = bool(grey[0, 0] != images[0, 0, 0])
            return _passed(images[0], "dark_on_light" if inverted else "light_on_dark")
    ink = find_ink(grey)
    if ink is None:
        return _blank(grey)
    parts = find_parts(without_lines(ink.mask))
    chosen = _choose(parts, ink)
    if not chosen.any():
        return _blank(grey)
    left, top = parts.boxes[chosen, :2].min(0)
    right, bottom = parts.boxes[chosen, 2:].max(0)
    if ink.factor > 1 and max(right - left, bottom - top) < _LEAST_SIDE:
        return _closer(grey, ink.factor * np.array([left, top, right, bottom]))
    amount = np.where(_widen(parts.paint(chosen)), ink.amount, 0)[top:bottom, left:right]
    x, y = ink.factor * int(left), ink.factor * int(top)
    return NormalisedImage(
        image=place(with_mnist_strokes(amount)),
        x=x,
        y=y,
        width=min(ink.factor * int(right), grey.shape[1]) - x,
        height=min(ink.factor * int(bottom), grey.shape[0]) - y,
        polarity=ink.polarity,
        blank=False,
    )


def normalise_batch(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pass on the images that have MNIST's form already, turned to bright on black if need be.

    Parameters
    ----------
    images : ndarray of shape (n, 28, 28), uint8

    Returns
    -------
    images : ndarray of shape (n, 28, 28), uint8
        Bright on black where done, as given elsewhere.
    done : ndarray of shape (n,), bool
        Which of them are; the others need `normalise`.
    """
    inverted = images[:, 0, 0] >= 128
    upright = images ^ np.where(inverted, np.uint8(255), np.uint8(0))[:, np.newaxis, np.newaxis]
    rows, columns = upright.max(axis=2), upright.max(axis=1)
    sides = np.maximum(_extent(rows > 0), _extent(columns > 0))
    moments = upright.reshape(len(images), SIDE**2).astype(np.float32) @ _MOMENTS
    centres = moments[:, 1:] / np.maximum(moments[:, :1], 1)
    centred = ((centres >= _CENTRE[0]) & (centres <= _CENTRE[1])).all(axis=1)
    done = (sides >= DIGIT_SIDE - 1) & (sides <= DIGIT_SIDE) & centred
    done &= rows.max(axis=1) >= _BRIGHT
    return np.where(done[:, np.newaxis, np.newaxis], upright, images), done


# Columns: mass, row × mass, column × mass.
_MOMENTS = np.stack(
    [np.ones(SIDE**2), np.repeat(np.arange(SIDE), SIDE), np.tile(np.arange(SIDE), SIDE)], axis=1
).astype(np.float32)


def _extent(used: np.ndarray) -> np.ndarray:
    """Return how far it is from the first to past the last true in each row, (n, side) -> (n,)."""
    return used.shape[1] - used.argmax(axis=1) - used[:, ::-1].argmax(axis=1)


def _passed(image: np.ndarray, polarity: str) -> NormalisedImage:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return NormalisedImage(
        image=image,
        x=int(columns[0]),
        y=int(rows[0]),
        width=int(columns[-1] - columns[0]) + 1,
        height=int(rows[-1] - rows[0]) + 1,
        polarity=polarity,
        blank=False,
    )


def _blank(grey: np.ndarray) -> NormalisedImage:
    polarity = "dark_on_light" if grey.mean() >= 128 else "light_on_dark"
    nothing = np.zeros((SIDE, SIDE), np.uint8)
    return NormalisedImage(nothing, 0, 0, grey.shape[1], grey.shape[0], polarity, blank=True)


def _closer(grey: np.ndarray, box: np.ndarray) -> NormalisedImage:
    """Normalise the part of a picture around a box (left, top, right, bottom)."""
    margin = max(box[2] - box[0], box[3] - box[1]) // 2
    left, top = np.maximum(box[:2] - margin, 0)
    found = normalise(grey[top : box[3] + margin, left : box[2] + margin])
    return replace(found, x=found.x + int(left), y=found.y + int(top))


def _choose(parts: Parts, ink: Ink) -> np.ndarray:
    """Choose the main part and those that belong to it, bool (n,)."""
    boxes = parts.boxes
    mass = parts.sum_over(ink.amount) * (parts.sum_over(ink.strong) > 0)
    mass *= ~_surroundings(parts, mass)
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
    while True:
        left_top, right_bottom = boxes[chosen, :2].min(0), boxes[chosen, 2:].max(0)
        gap = np.maximum(left_top - boxes[:, 2:], boxes[:, :2] - right_bottom).max(axis=1)
        more = chosen | ((gap <= near) & worthy)
        if (more == chosen).all():
            return chosen
        chosen = more


def _surroundings(parts: Parts, mass: np.ndarray) -> np.ndarray:
    """Tell frames around something, and what covers most of the picture's rim, bool (n,)."""
    rim = np.ones(parts.shape, bool)
    rim[1:-1, 1:-1] = False
    around = parts.sum_over(rim) >= rim.sum() / 2
    boxes = parts.boxes
    hollow = parts.share_near_box(_FRAME_MARGIN) >= _FRAME_SHARE
    for frame in np.flatnonzero(hollow & (mass > 0)):
        left, top, right, bottom = boxes[frame]
        inside = (boxes[:, 0] > left) & (boxes[:, 1] > top)
        inside &= (boxes[:, 2] < right) & (boxes[:, 3] < bottom)
        if mass[inside].sum() >= _FRAMED * mass[frame]:
            around[frame] = True
    return around & (mass[~around].sum() > 0)


def _widen(mask: np.ndarray) -> np.ndarray:
    """Add the pixels next to a mask, whose share of ink is part of its strokes."""
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    return wide


def stroke_width(amount: np.ndarray) -> float:
    """Return the mean width of strokes, px: twice the area over the perimeter."""
    mask = np.pad(amount >= 0.5, 1)
    edges = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
    # Counted along pixel edges, a boundary of all directions is 4/π too long.
    return 2 * float(mask.sum()) / max(float(edges) * np.pi / 4, 1.0)


def with_mnist_strokes(amount: np.ndarray) -> np.ndarray:
    """Widen hair-thin strokes of a tightly cut digit, float32 0..1, to about MNIST's width."""
    side = max(amount.shape)
    if stroke_width(amount) * DIGIT_SIDE / side >= _THIN_STROKE:
        return amount
    scale = _WIDENING_SIDE / side
    size = [max(1, round(length * scale)) for length in amount.shape]
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    large = np.asarray(Image.fromarray(amount).resize(size[::-1], how))
    width = stroke_width(large)
    missing = _WANTED_STROKE * _WIDENING_SIDE / DIGIT_SIDE - width
    radius = max(1, round(missing / 2))
    return _dilate(np.pad(large, radius), radius)


def _dilate(values: np.ndarray, radius: int) -> np.ndarray:
    """Return the maximum over a disc of `radius` px around each pixel."""
    padded = np.pad(values, radius)
    rows, columns = values.shape
    widened = values
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            if x * x + y * y <= radius * radius + 0.5:
                shifted = padded[radius + y :, radius + x :][:rows, :columns]
                widened = np.maximum(widened, shifted)
    return widened


def place(amount: np.ndarray) -> np.ndarray:
    """Put ink, float 0..1 (rows, columns), into 28×28 as MNIST's makers did, uint8.

    Steps 1 to 6 of QMNIST's reconstruction, without the 1 % its footprint is too small.
    """
    rows, columns = amount.shape
    side = max(rows, columns, 10)
    square = np.zeros((side, side), np.float32)
    top, left = (side - rows) // 2, (side - columns) // 2
    square[top : top + rows, left : left + columns] = amount
    average = _area_weights(side)
    digit = average @ square @ average.T
    digit = np.rint(digit * (255 / max(float(digit.max()), 1e-6))).astype(np.uint8)
    at = np.arange(DIGIT_SIDE) + 0.5
    mass = max(float(digit.sum()), 1.0)
    y = int(15 - digit.sum(axis=1) @ at / mass)
    x = int(15 - digit.sum(axis=0) @ at / mass)
    image = np.zeros((SIDE, SIDE), np.uint8)
    y, x = min(max(y, 0), SIDE - DIGIT_SIDE), min(max(x, 0), SIDE - DIGIT_SIDE)
    image[y : y + DIGIT_SIDE, x : x + DIGIT_SIDE] = digit
    return image


def _area_weights(side: int) -> np.ndarray:
    """Return the matrix (20, side) that averages `side` px to 20 by the area they cover."""
    edges = np.linspace(0, side, DIGIT_SIDE + 1)
    pixel = np.arange(side)
    covered = np.minimum(edges[1:, np.newaxis], pixel + 1) - np.maximum(
        edges[:-1, np.newaxis], pixel
    )
    return (np.maximum(covered, 0) * (DIGIT_SIDE / side)).astype(np.float32)
