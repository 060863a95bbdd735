"""A line, a form or a page of digits: each of them in MNIST's form, in reading order."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from digitflow.images.choosing import written_mass, written_parts
from digitflow.images.grouping import group_parts, reading_order, usual_height
from digitflow.images.ink import Ink, find_ink, with_edges
from digitflow.images.normalising import NormalisedImage, from_ink, normalise, normalise_batch
from digitflow.images.parts import Parts
from digitflow.images.placing import SIDE
from digitflow.images.sheets import find_sheet, only_sheet
from digitflow.images.touching import split_touching

# Pages are looked at with this many pixels along the longer side at most: A4 at 170 dpi.
_WORKING_SIDE = 2000

#: A picture with more characters is a text or a texture, and none of them is read.
MAX_DIGITS = 2000


@dataclass(frozen=True)
class FoundDigit:
    """One of several digits of a picture."""

    digit: NormalisedImage
    line: int  # it stands on, counted from 0 at the top
    clear: bool  # False where it touches another and the place to part them is not sure


def find_digits(grey: np.ndarray) -> list[FoundDigit]:
    """Find the digits of a picture, in reading order.

    Parameters
    ----------
    grey : ndarray of shape (rows, columns), uint8
        A picture of any number of digits: any size, polarity and paper.

    Returns
    -------
    list of FoundDigit
        Empty where nothing is written. A picture of one digit gives what `normalise` does.

    Raises
    ------
    ValueError
        If `grey` is not two-dimensional uint8 with at least one pixel.
    """
    alone = normalise(grey)
    if alone.blank:
        return []
    if grey.shape == (SIDE, SIDE) and normalise_batch(grey[np.newaxis])[1][0]:
        return [FoundDigit(alone, line=0, clear=True)]
    left = top = 0
    sheet = find_sheet(grey)
    if sheet is not None:
        grey, left, top = only_sheet(grey, sheet)
    found = _find_on_sheet(grey)
    if len(found) <= 1:
        return [FoundDigit(alone, line=0, clear=all(each.clear for each in found))]
    return [
        replace(each, digit=replace(each.digit, x=each.digit.x + left, y=each.digit.y + top))
        for each in found
    ]


def _find_on_sheet(grey: np.ndarray) -> list[FoundDigit]:
    """Find the digits of a picture that is all one sheet."""
    ink = find_ink(grey, _WORKING_SIDE)
    if ink is None:
        return []
    parts = written_parts(ink)
    mass = written_mass(parts, ink)
    groups = group_parts(parts, mass)
    if not 0 < len(groups) <= MAX_DIGITS:
        return []
    boxes = np.array([parts.box_around(group) for group in groups])
    order, lines = reading_order(boxes)
    height = usual_height(parts.boxes, mass)
    return [
        FoundDigit(digit, int(line), clear)
        for number, line in zip(order, lines, strict=True)
        for digit, clear in _digits_of(parts, groups[number], height, ink, grey.shape)
    ]


def _digits_of(
    parts: Parts, group: np.ndarray, height: float, ink: Ink, shape: tuple[int, ...]
) -> list[tuple[NormalisedImage, bool]]:
    """Return the digits of a group of parts, and whether each was clearly parted from others."""
    left, top, right, bottom = parts.box_around(group)
    mask = parts.paint_cropped(group)
    amount = ink.amount[top:bottom, left:right]
    cuts, clear = split_touching(mask, height)
    edges = [0, *cuts, mask.shape[1]]
    return [
        (_digit_between(start, stop, mask, amount, (left, top), ink, shape), clear)
        for start, stop in pairwise(edges)
    ]


def _digit_between(
    start: int,
    stop: int,
    mask: np.ndarray,
    amount: np.ndarray,
    corner: tuple[int, int],
    ink: Ink,
    shape: tuple[int, ...],
) -> NormalisedImage:
    """Return the digit in some columns of a group that begins at a corner (left, top)."""
    rows = np.flatnonzero(mask[:, start:stop].any(axis=1))
    own = slice(int(rows[0]), int(rows[-1]) + 1), slice(start, stop)
    left, top = corner[0] + start, corner[1] + own[0].start
    right, bottom = corner[0] + stop, corner[1] + own[0].stop
    box = (ink.factor * left, ink.factor * top, ink.factor * right, ink.factor * bottom)
    return from_ink(with_edges(mask[own], amount[own]), box, shape, ink.polarity)
