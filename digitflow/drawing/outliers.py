"""Images that show no digit, for a network to be unsure of.

Mixed into the training images with a uniform target, they teach a network to tell what it was not
made for: Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure", 2019.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image, ImageFilter

from digitflow.drawing import areas, lines
from digitflow.drawing.letter_forms import (
    CAPITALS,
    DRAWINGS,
    FOREIGN_LETTERS,
    SIGNS,
    SMALL_LETTERS,
)
from digitflow.drawing.strokes import Form, Lines, draw_pen, ink_lines, narrowed
from digitflow.drawing.writing import (
    write_any,
    write_numbers,
    write_struck_out,
    write_words,
)
from digitflow.images.placing import DIGIT_SIDE, SIDE, place

Kind = Callable[[int, np.random.Generator], Iterable[np.ndarray]]


def draw_outliers(n: int, seed: int) -> np.ndarray:
    """Draw images that show no digit, of all kinds; what people write comes more often.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        The same seed draws the same images.

    Returns
    -------
    ndarray of shape (n, 28, 28), uint8
        In MNIST's form, bright on black.
    """
    generator = np.random.default_rng(seed)
    shares = np.repeat(range(len(KINDS)), [3 if kind in LIKELY else 1 for kind in KINDS])
    kinds = generator.permutation(np.resize(generator.permutation(shares), n))
    images = np.zeros((n, SIDE, SIDE), np.uint8)
    for number, kind in enumerate(KINDS):
        of_kind = np.flatnonzero(kinds == number)
        images[of_kind] = draw_kind(kind, len(of_kind), generator)
    return images


def draw_kind(kind: str, n: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one kind of image that shows no digit.

    Parameters
    ----------
    kind : str
        Its name in `KINDS`.
    n : int
        How many.
    generator : numpy.random.Generator
        Draws all that differs.

    Returns
    -------
    ndarray of shape (n, 28, 28), uint8
    """
    images = np.zeros((n, SIDE, SIDE), np.uint8)
    for i, picture in enumerate(KINDS[kind](n, generator)):
        images[i] = place(_cut(_photographed(picture, generator)))
    return images


def _photographed(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return ink 0..1, float32, sometimes with soft edges or faded in places."""
    ink: np.ndarray = picture.astype(np.float32)
    if generator.random() < 0.25:
        radius = generator.uniform(0.3, 0.9) * max(ink.shape) / DIGIT_SIDE
        margin = round(2 * radius)
        soft = Image.fromarray(np.rint(255 * np.pad(ink, margin)).astype(np.uint8))
        ink = np.asarray(soft.filter(ImageFilter.BoxBlur(radius)), np.float32) / 255
    if generator.random() < 0.2:
        strength = generator.uniform(0.4, 1, (4, 4)).astype(np.float32)
        size = ink.shape[::-1]
        ink = ink * np.asarray(Image.fromarray(strength).resize(size, Image.Resampling.BILINEAR))
    return ink


def _cut(ink: np.ndarray) -> np.ndarray:
    """Cut a picture to its ink."""
    inked = Image.fromarray((ink > ink.max() / 10).view(np.uint8))
    left, top, right, bottom = inked.getbbox() or (0, 0, *inked.size)
    return ink[top:bottom, left:right]


# Letters are drawn with pens as wide as digits are; lines that lie close, with finer ones.
_LETTERS_COVERED, _LINES_COVERED = 1.1, 0.7


def _written(write: Callable[[int, np.random.Generator], Iterable[Lines]]) -> Kind:
    return lambda n, generator: _inked(write(n, generator), generator, _LETTERS_COVERED)


def _forms(forms: dict[str, Form]) -> Kind:
    return _written(lambda n, generator: write_any(list(forms.values()), n, generator))


def _lines(draw: Callable[[np.random.Generator], Lines]) -> Kind:
    return lambda n, generator: _inked(
        (draw(generator) for _ in range(n)), generator, _LINES_COVERED
    )


def _area(draw: Callable[[np.random.Generator], np.ndarray]) -> Kind:
    return lambda n, generator: (draw(generator) for _ in range(n))


def _inked(
    drawn: Iterable[Lines], generator: np.random.Generator, covered: float
) -> Iterator[np.ndarray]:
    for strokes in drawn:
        yield ink_lines(strokes, narrowed(draw_pen(generator), strokes, covered))


#: How each kind's pictures are drawn, with how much ink there is, 0..1, of any size.
KINDS: dict[str, Kind] = {
    "capitals": _forms(CAPITALS),
    "small letters": _forms(SMALL_LETTERS),
    "foreign letters": _forms(FOREIGN_LETTERS),
    "signs": _forms(SIGNS),
    "drawings": _forms(DRAWINGS),
    "words": _written(write_words),
    "numbers": _written(write_numbers),
    "struck out": _written(write_struck_out),
    "scribbles": _lines(lines.scribble),
    "sticks": _lines(lines.sticks),
    "zigzags": _lines(lines.zigzag),
    "hatchings": _lines(lines.hatching),
    "coils": _lines(lines.coil),
    "spirals": _lines(lines.spiral),
    "curls": _lines(lines.curl),
    "doodles": _lines(lines.doodle),
    "signatures": _lines(lines.signature),
    "grids": _lines(lines.grid),
    "frames": _lines(lines.frame),
    "stars": _lines(lines.star),
    "cracks": _lines(lines.crack),
    "plots": _lines(lines.plot),
    "shapes": _area(areas.shape),
    "blobs": _area(areas.blobs),
    "dots": _area(areas.dots),
    "icons": _area(areas.icon),
    "blocks": _area(areas.blocks),
    "patterns": _area(areas.pattern),
    "textures": _area(areas.texture),
    "inkblots": _area(areas.inkblot),
    "speckles": _area(areas.speckle),
    "shades": _area(areas.shades),
    "soft blobs": _area(areas.soft_blobs),
}

#: What people write or scribble, likelier to come than a texture and more like a digit.
LIKELY = "capitals", "small letters", "signs", "words", "scribbles", "curls", "doodles"
