"""A grey picture of a digit to the 28×28 form of MNIST, the way MNIST was made.

MNIST's steps, after QMNIST's reconstruction (Yadav and Bottou, "Cold Case: The Lost MNIST Digits",
2019): tight box of the ink, longest side to 20 px by area-weighted resampling, pasted so that the
centre of mass falls on the centre. What already has that form passes unchanged.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from digitflow.images.choosing import choose_digit, count_others, written_mass, written_parts
from digitflow.images.ink import find_ink, with_edges
from digitflow.images.placing import DIGIT_SIDE, SIDE, place, with_mnist_strokes
from digitflow.images.sheets import find_sheet, only_sheet

# Where MNIST's own 70,000 images lie: pixel index of the centre of mass, least maximum.
_CENTRE = (13.45, 14.55)
_BRIGHT = 250

# A digit found smaller than this in a shrunk picture is looked at again, closer, px.
_LEAST_SIDE = 60


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
    others: int = 0  # what else, nearly as large, is in the picture
    #: The steps on the way, uint8 (rows, columns) each, in their order; empty if not asked for.
    stages: dict[str, np.ndarray] = field(default_factory=dict)


def normalise(grey: np.ndarray, explain: bool = False) -> NormalisedImage:
    """Bring the digit of a picture into MNIST's form.

    Parameters
    ----------
    grey : ndarray of shape (rows, columns), uint8
        A picture of one digit: any size, polarity, position and paper.
    explain : bool
        Keep each stage: `picture`; `sheet`, where one lies on a table; `ink`, how much of it there
        is; `written`, without frames and lines; `digit`; and `seen`, what the models see.

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
    stages = {"picture": grey}
    found = _normalise_picture(grey, stages)
    stages["seen"] = found.image
    if not explain:
        return found
    return replace(found, stages={name: _as_picture(stage) for name, stage in stages.items()})


def _normalise_picture(grey: np.ndarray, stages: dict[str, np.ndarray]) -> NormalisedImage:
    """Normalise a picture, and leave the stages as they come."""
    if grey.shape == (SIDE, SIDE):
        images, done = normalise_batch(grey[np.newaxis])
        if done[0]:
            inverted = bool(grey[0, 0] != images[0, 0, 0])
            return _passed(images[0], "dark_on_light" if inverted else "light_on_dark")
    sheet = find_sheet(grey)
    if sheet is not None:
        cut, left, top = only_sheet(grey, sheet)
        stages["sheet"] = cut
        return _moved(_normalise_sheet(cut, stages), left, top)
    return _normalise_sheet(grey, stages)


def _normalise_sheet(grey: np.ndarray, stages: dict[str, np.ndarray]) -> NormalisedImage:
    """Normalise a picture that is all one sheet."""
    ink = find_ink(grey)
    if ink is None:
        return _blank(grey)
    stages["ink"] = ink.amount
    parts = written_parts(ink)
    stages["written"] = parts.paint(np.ones(len(parts.boxes), bool))
    mass = written_mass(parts, ink)
    chosen = choose_digit(parts, mass)
    if not chosen.any():
        return _blank(grey)
    left, top, right, bottom = parts.box_around(chosen)
    if ink.factor > 1 and max(right - left, bottom - top) < _LEAST_SIDE:
        return _closer(grey, ink.factor * np.array([left, top, right, bottom]), stages)
    amount = with_edges(parts.paint_cropped(chosen), ink.amount[top:bottom, left:right])
    stages["digit"] = amount
    box = (ink.factor * left, ink.factor * top, ink.factor * right, ink.factor * bottom)
    found = from_ink(amount, box, grey.shape, ink.polarity)
    return replace(found, others=count_others(parts, mass, chosen))


def from_ink(
    amount: np.ndarray, box: tuple[int, int, int, int], shape: tuple[int, ...], polarity: str
) -> NormalisedImage:
    """Bring the ink of one digit into MNIST's form.

    Parameters
    ----------
    amount : ndarray of shape (rows, columns), float32
        Tightly cut, 0 paper .. 1 ink.
    box : tuple of int
        Where in the picture it was: left, top, right, bottom, px.
    shape : tuple of int
        Rows and columns of the picture; the box is cut to it.
    polarity : str

    Returns
    -------
    NormalisedImage
    """
    left, top, right, bottom = box
    return NormalisedImage(
        image=place(with_mnist_strokes(amount)),
        x=left,
        y=top,
        width=min(right, shape[1]) - left,
        height=min(bottom, shape[0]) - top,
        polarity=polarity,
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


def _closer(grey: np.ndarray, box: np.ndarray, stages: dict[str, np.ndarray]) -> NormalisedImage:
    """Normalise the part of a picture around a box (left, top, right, bottom)."""
    margin = max(box[2] - box[0], box[3] - box[1]) // 2
    left, top = np.maximum(box[:2] - margin, 0)
    found = _normalise_sheet(grey[top : box[3] + margin, left : box[2] + margin], stages)
    return _moved(found, int(left), int(top))


def _moved(found: NormalisedImage, left: int, top: int) -> NormalisedImage:
    """Return what was found in a cut-out, as of the whole picture."""
    return replace(found, x=found.x + left, y=found.y + top)


def _as_picture(amount: np.ndarray) -> np.ndarray:
    """Return ink, 0..1 or bool, as dark on white, uint8; pictures as they are."""
    if amount.dtype == np.uint8:
        return amount
    return (255 * (1 - np.minimum(amount, 1))).astype(np.uint8)
