"""What pictures of digits are painted with: strokes at any size, paper, light, and files.

Ink is float32 (rows, columns), from 0 paper to 1 ink. Pictures are float (rows, columns) or
(rows, columns, 3), 0 to 255, and become bytes when they are encoded. Lengths are in pixels of the
picture unless said otherwise.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

#: What makes the content of an image file of a digit, uint8 (28, 28), bright ink on black.
Kind = Callable[[np.ndarray, np.random.Generator], bytes]

Colour = Sequence[float] | np.ndarray

# Where the grey of an MNIST digit counts as ink: low enough for its thinnest strokes to hold.
_EDGE = 0.4

# A turn once around a pixel, as shifts of the picture: north, north-east, ... north-west.
_AROUND = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))


def draw_scale(random: np.random.Generator, low: float = 4, high: float = 16) -> float:
    """Draw how many pixels of the picture one of MNIST's becomes, as likely small as large."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def enlarge(digit: np.ndarray, scale: float) -> np.ndarray:
    """Enlarge a digit, uint8 (28, 28), smoothly to a grey picture."""
    side = round(digit.shape[0] * scale)
    grey = Image.fromarray(digit.astype(np.float32))
    return np.clip(np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC)), 0, 255)


def draw_strokes(digit: np.ndarray, scale: float) -> np.ndarray:
    """Draw a digit, uint8 (28, 28), as ink with edges a pixel or two wide, cut tightly."""
    grey = enlarge(np.pad(digit, 2), scale) / 255
    return cut(np.clip((grey - _EDGE) * scale + 0.5, 0, 1))


def write(digit: np.ndarray, scale: float, random: np.random.Generator) -> np.ndarray:
    """Draw a digit with a felt pen, whose strokes are MNIST's, or with a biro, as often."""
    ink = draw_strokes(digit, scale)
    if random.random() < 0.5:
        return ink
    return cut(draw_hairline(ink, max(1.5, scale * random.uniform(0.5, 1.2))))


def cut(ink: np.ndarray) -> np.ndarray:
    """Cut ink to its tight box."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def surround(
    ink: np.ndarray, random: np.random.Generator, low: float = 0.3, high: float = 1.0
) -> np.ndarray:
    """Put paper around ink: on each side a margin, drawn as a share of the ink's longest side."""
    margins = np.rint(random.uniform(low, high, (2, 2)) * max(ink.shape)).astype(int)
    return np.pad(ink, margins)


def place(ink: np.ndarray, shape: tuple[int, int], top: int, left: int) -> np.ndarray:
    """Put ink on empty paper; what lies beyond the rim is lost."""
    paper = np.zeros(shape, np.float32)
    part = ink[max(-top, 0) : shape[0] - top, max(-left, 0) : shape[1] - left]
    top, left = max(top, 0), max(left, 0)
    paper[top : top + part.shape[0], left : left + part.shape[1]] = part
    return paper


def rotate(ink: np.ndarray, degrees: float) -> np.ndarray:
    """Turn ink about its centre, anticlockwise, and cut it."""
    return cut(np.clip(ndimage.rotate(ink, degrees, order=1), 0, 1))


def draw_hairline(ink: np.ndarray, width: float) -> np.ndarray:
    """Draw the middle of the strokes with a pen of so many pixels."""
    margin = int(width) + 1
    away = ndimage.distance_transform_edt(~centre_line(np.pad(ink, margin) >= 0.5))
    return np.clip(width / 2 + 0.5 - away, 0, 1).astype(np.float32)


def centre_line(mask: np.ndarray) -> np.ndarray:
    """Return the middle of strokes, bool (rows, columns), one pixel wide.

    Zhang, T. Y. and Suen, C. Y. (1984), "A fast parallel algorithm for thinning digital patterns":
    in turns from the south-east and the north-west, border pixels go unless a stroke would break.
    """
    line = np.pad(mask, 1).astype(np.uint8)
    before = 0
    while before != (before := int(line.sum())):
        for first in (True, False):
            ring = [np.roll(line, shift, (0, 1)) for shift in _AROUND]
            north, east, south, west = ring[::2]
            inside = east & south & (north | west) if first else north & west & (east | south)
            n_ink = np.sum(ring, axis=0)
            n_strokes = np.sum(np.array(ring) < np.roll(ring, -1, axis=0), axis=0)
            line[(n_ink >= 2) & (n_ink <= 6) & (n_strokes == 1) & (inside == 0)] = 0
    return line[1:-1, 1:-1].astype(bool)


def widen(ink: np.ndarray, by: float) -> np.ndarray:
    """Widen strokes by so many pixels to each side; holes close by less than half."""
    mask = np.pad(ink, int(by) + 2) >= 0.5
    away = ndimage.distance_transform_edt(~mask)
    regions, n = ndimage.label(~mask)  # the paper, then the holes
    deepest = ndimage.maximum(away, regions, np.arange(n + 1))
    reach = np.minimum(by, 0.4 * np.asarray(deepest))[regions]
    reach[mask | (regions == regions[0, 0])] = by
    return np.clip(reach + 0.5 - away, 0, 1).astype(np.float32)


def smooth_noise(shape: tuple[int, int], grain: float, random: np.random.Generator) -> np.ndarray:
    """Return noise of standard deviation about 1 whose grains are so many pixels wide."""
    coarse = random.standard_normal([max(2, round(side / grain)) for side in shape])
    resized = Image.fromarray(coarse.astype(np.float32)).resize(
        shape[::-1], Image.Resampling.BICUBIC
    )
    return np.asarray(resized)


def draw_lines(
    shape: tuple[int, int], spacing: float, width: float, degrees: float, offset: float
) -> np.ndarray:
    """Draw parallel lines as ink: level at 0 degrees, upright at 90."""
    y, x = np.indices(shape, np.float32)
    angle = np.deg2rad(degrees)
    across = (y * np.cos(angle) + x * np.sin(angle) + offset) % spacing
    return np.clip(width / 2 + 0.5 - np.abs(across - spacing / 2), 0, 1)


def draw_slope(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Return a ramp from 0 to 1 across a picture, in any direction."""
    y, x = np.indices(shape, np.float32)
    angle = random.uniform(0, 2 * np.pi)
    ramp = y * np.sin(angle) + x * np.cos(angle)
    return (ramp - ramp.min()) / np.ptp(ramp)


def draw_sheet(shape: tuple[int, int], margin: float, degrees: float) -> np.ndarray:
    """Draw a tilted sheet as ink, so many pixels from the picture's rim."""
    rows, columns = shape
    y, x = np.indices(shape, np.float32)
    y, x = y - (rows - 1) / 2, x - (columns - 1) / 2
    angle = np.deg2rad(degrees)
    down = rows / 2 - margin - np.abs(y * np.cos(angle) + x * np.sin(angle))
    right = columns / 2 - margin - np.abs(x * np.cos(angle) - y * np.sin(angle))
    return np.clip(np.minimum(down, right) + 0.5, 0, 1)


def paint(ink: np.ndarray, colour: Colour, paper: Colour | np.ndarray) -> np.ndarray:
    """Return a picture of ink of one colour on paper, which is a colour or a picture."""
    share = ink[..., np.newaxis]
    return share * np.asarray(colour, np.float32) + (1 - share) * np.asarray(paper, np.float32)


def draw_paper(random: np.random.Generator, low: float = 200, high: float = 245) -> np.ndarray:
    """Draw the colour of paper: light and nearly grey."""
    return random.uniform(low, high) + random.uniform(-6, 6, 3)


def draw_pen(random: np.random.Generator) -> np.ndarray:
    """Draw the colour of a pen: black, blue, or a red that is not too bright."""
    pens = ((30, 30, 35), (35, 45, 130), (20, 25, 80), (150, 30, 40))
    return np.array(pens[random.integers(len(pens))]) + random.uniform(-10, 10, 3)


def take_photo(
    picture: np.ndarray, random: np.random.Generator, noise: float = 3, blur: float = 0.7
) -> np.ndarray:
    """Blur a colour picture by so many pixels and add noise of so many grey levels."""
    seen = ndimage.gaussian_filter(picture, (blur, blur, 0))
    return seen + noise * random.standard_normal(picture.shape, np.float32)


def to_image(picture: np.ndarray) -> Image.Image:
    """Return a picture as a Pillow image, grey or RGB."""
    return Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return the content of an image file; options are those of Pillow's writer."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def to_png(picture: np.ndarray) -> bytes:
    """Encode a picture as PNG."""
    return encode(to_image(picture), "PNG", compress_level=1)


def to_jpeg(picture: np.ndarray, quality: int = 85) -> bytes:
    """Encode a picture as JPEG."""
    return encode(to_image(picture), "JPEG", quality=quality)
