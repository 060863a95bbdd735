"""The same MNIST digit written otherwise: what must not change how it is read.

Each transformation takes a digit, uint8 (28, 28), bright ink on black, and a random generator, and
returns the content of an image file.
"""

import numpy as np
from painting import (
    Kind,
    draw_lines,
    draw_scale,
    draw_slope,
    encode,
    enlarge,
    to_image,
    to_jpeg,
    to_png,
)
from PIL import ExifTags, Image

# How a picture is stored whose EXIF orientation is the key: what undoes this turns it upright.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def unchanged(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """As it is; each must be read as the array is."""
    return to_png(digit)


def enlarged(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """3 to 40 times."""
    return to_png(enlarge(digit, draw_scale(random, 3, 40)))


def off_centre(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Anywhere on a canvas of 1.5 to 4 times its side."""
    return to_png(_place_anywhere(_medium(digit, random), random))


def inverted(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Dark on white."""
    return to_png(255 - _medium(digit, random))


def sixteen_bits(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Grey levels 0 to 65,535."""
    levels = np.rint(_medium(digit, random) * 257).astype(np.uint16)
    return encode(Image.fromarray(levels), "PNG", compress_level=1)


def on_transparent(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Black or white ink whose amount is the opacity, on nothing."""
    opacity = _medium(digit, random)
    tone = np.full_like(opacity, random.choice([0, 255]))
    return to_png(np.stack([tone, tone, tone, opacity], axis=2))


def cmyk_jpeg(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Black on white in the four colours of print, JPEG of quality 60."""
    image = to_image(255 - _medium(digit, random)).convert("CMYK")
    return encode(image, "JPEG", quality=60)


def turned_by_exif(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Stored turned or mirrored, with the EXIF orientation that says so."""
    orientation = int(random.integers(2, 9))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = to_image(255 - _medium(digit, random)).transpose(_STORED[orientation])
    return encode(image, "JPEG", quality=90, exif=exif)


def on_light_gradient(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Dark on paper whose brightness falls by 40 % across the picture."""
    picture = 240 - 0.85 * _place_anywhere(_medium(digit, random), random)
    return to_jpeg(picture * (1 - 0.4 * draw_slope(picture.shape, random)))


def on_squared_paper(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Dark on paper with squares of a third of its side, drawn under it."""
    picture = _medium(digit, random)
    ink = _place_anywhere(picture, random) / 255
    spacing = len(picture) / 3
    width = max(1.0, spacing / 25)
    level, upright = (
        draw_lines(ink.shape, spacing, width, degrees, random.uniform(0, spacing))
        for degrees in (0, 90)
    )
    paper = 245 - 60 * np.maximum(level, upright)
    return to_png(paper * (1 - ink) + 30 * ink)


def _medium(digit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Enlarge 3 to 12 times: too large to pass for one of MNIST's own."""
    return enlarge(digit, draw_scale(random, 3, 12))


def _place_anywhere(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side = len(picture)
    canvas = np.zeros(np.rint(side * random.uniform(1.5, 4, 2)).astype(int))
    top, left = (random.integers(0, length - side + 1) for length in canvas.shape)
    canvas[top : top + side, left : left + side] = picture
    return canvas


TRANSFORMATIONS: dict[str, Kind] = {
    "unchanged": unchanged,
    "enlarged": enlarged,
    "off centre": off_centre,
    "inverted": inverted,
    "sixteen bits": sixteen_bits,
    "on transparent": on_transparent,
    "cmyk jpeg": cmyk_jpeg,
    "turned by exif": turned_by_exif,
    "on light gradient": on_light_gradient,
    "on squared paper": on_squared_paper,
}
