"""Conditions of what lies around and under a digit: tables, frames, lines, neighbours, dirt.

Each takes a digit, uint8 (28, 28), bright ink on black, and a random generator, and returns the
content of an image file. A person reads the digit in it at a glance. The scale is how many pixels
of the picture one of MNIST's becomes; a digit is 20 of those high or wide.
"""

import numpy as np
from painting import (
    Kind,
    draw_lines,
    draw_paper,
    draw_pen,
    draw_scale,
    draw_sheet,
    draw_slope,
    draw_strokes,
    paint,
    place,
    smooth_noise,
    surround,
    take_photo,
    to_jpeg,
    to_png,
    write,
)
from scipy import ndimage


def patch(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A light slip of paper on a dark table."""
    return _on_a_sheet(digit, random, draw_paper(random), (30, 110))


def grey_patch(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A grey card on a light table."""
    return _on_a_sheet(digit, random, draw_paper(random, 130, 170), (215, 245))


def _on_a_sheet(
    digit: np.ndarray,
    random: np.random.Generator,
    paper: np.ndarray,
    table_tones: tuple[float, float],
) -> bytes:
    ink = surround(write(digit, draw_scale(random, 4, 12), random), random, 0.25, 0.6)
    margin = round(random.uniform(0.2, 0.5) * max(ink.shape))
    ink = np.pad(ink, margin)
    sheet = draw_sheet(ink.shape, margin, random.uniform(-5, 5))
    table = random.uniform(*table_tones) + random.uniform(-12, 12, 3)
    grain = 3 * smooth_noise(ink.shape, 6, random)[..., np.newaxis]
    picture = paint(ink, draw_pen(random), paint(sheet, paper, table + grain))
    return to_jpeg(take_photo(picture, random))


def dark_patch(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A screenshot of a program with a black canvas to draw on in a light window."""
    ink = surround(write(digit, draw_scale(random, 3, 10), random), random, 0.15, 0.5)
    canvas = 255 * ink
    margins = np.rint(random.uniform(0.1, 0.5, (2, 2)) * max(ink.shape)).astype(int)
    return to_png(np.pad(canvas, margins, constant_values=random.uniform(225, 255)))


def page(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A digit anywhere on a scanned page, a sixth to a twelfth as high."""
    ink = write(digit, draw_scale(random, 3, 6), random)
    height = round(max(ink.shape) * random.uniform(6, 12))
    shape = height, round(height * 0.7)
    ink = _place_anywhere(ink, shape, random)
    picture = paint(ink, draw_pen(random), draw_paper(random, 235, 252))
    return to_jpeg(take_photo(picture, random, noise=2, blur=0.5))


def small_in_a_large_photo(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo of two or three megapixels with a digit of 40 to 100 px."""
    ink = write(digit, draw_scale(random, 2, 5), random)
    shape = int(random.integers(1200, 1600)), int(random.integers(1600, 2000))
    light = 1 - 0.25 * draw_slope(shape, random)
    picture = paint(_place_anywhere(ink, shape, random), draw_pen(random), draw_paper(random))
    return to_jpeg(take_photo(picture * light[..., np.newaxis], random))


def _place_anywhere(
    ink: np.ndarray, shape: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    """Put ink on empty paper, a twentieth of the paper or more from its rim."""
    top, left = (
        round(random.uniform(0.05 * side, 0.95 * side - length))
        for side, length in zip(shape, ink.shape, strict=True)
    )
    return place(ink, shape, top, left)


def framed(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A cell of a form with its whole frame."""
    return _in_a_frame(digit, random, outside=random.uniform(0.1, 0.3, 4))


def cut_frame(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A cell that was cut out carelessly: two or three sides of its frame are seen."""
    outside = random.uniform(0.02, 0.1, 4)
    lost = random.permutation(4)[: random.integers(1, 3)]
    outside[lost] = -random.uniform(0.02, 0.1, len(lost))
    return _in_a_frame(digit, random, outside)


def touching_frame(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A cell whose frame the digit touches or crosses on one side."""
    inside = random.uniform(0.15, 0.4, 4)
    inside[random.integers(4)] = random.uniform(-0.12, 0.0)
    return _in_a_frame(digit, random, random.uniform(0.15, 0.3, 4), inside)


def _in_a_frame(
    digit: np.ndarray,
    random: np.random.Generator,
    outside: np.ndarray,
    inside: np.ndarray | None = None,
) -> bytes:
    """Draw a digit in a frame, its sides so far from the ink and from the picture's rim.

    Both are shares of the digit's longest side: left, top, right, bottom. A negative distance from
    the rim cuts the frame away.
    """
    ink = write(digit, draw_scale(random, 4, 12), random)
    side = max(ink.shape)
    inside = random.uniform(0.15, 0.5, 4) if inside is None else inside
    left, top, right, bottom = np.rint(side * (inside + outside)).astype(int)
    rows, columns = ink.shape
    shape = rows + top + bottom, columns + left + right
    ink = place(ink, shape, top, left)
    y, x = np.indices(shape)
    far = np.rint(side * outside)
    into = np.minimum(
        np.minimum(x - far[0], shape[1] - 1 - x - far[2]),
        np.minimum(y - far[1], shape[0] - 1 - y - far[3]),
    )
    width = max(1.5, side * random.uniform(0.01, 0.04))
    frame = np.clip(width / 2 + 0.5 - np.abs(into), 0, 1)
    form = paint(frame, np.full(3, random.uniform(0, 90)), draw_paper(random, 230, 252))
    scan = paint(ink, draw_pen(random), form)
    scan = ndimage.rotate(scan, random.uniform(-1.5, 1.5), order=1, reshape=False, mode="nearest")
    return to_jpeg(take_photo(scan, random, noise=2))


def squared_paper(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo of squared paper, held nearly straight."""
    ink = surround(write(digit, draw_scale(random), random), random)
    spacing = max(ink.shape) * random.uniform(0.12, 0.3)
    width = max(1.0, spacing * random.uniform(0.03, 0.06))
    tilt = random.uniform(-3, 3)
    lines = np.maximum(
        draw_lines(ink.shape, spacing, width, tilt, random.uniform(0, spacing)),
        draw_lines(ink.shape, spacing, width, tilt + 90, random.uniform(0, spacing)),
    )
    return _on_lined_paper(ink, lines, random)


def ruled_paper(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo of ruled paper, held nearly straight."""
    ink = surround(write(digit, draw_scale(random), random), random)
    spacing = max(ink.shape) * random.uniform(0.25, 0.5)
    width = max(1.0, spacing * random.uniform(0.02, 0.05))
    lines = draw_lines(ink.shape, spacing, width, random.uniform(-3, 3), random.uniform(0, spacing))
    return _on_lined_paper(ink, lines, random)


def _on_lined_paper(ink: np.ndarray, lines: np.ndarray, random: np.random.Generator) -> bytes:
    paper = draw_paper(random)
    printed = paper * np.array([0.9, 0.96, 1.0]) * random.uniform(0.6, 0.92)
    picture = paint(ink, draw_pen(random), paint(lines, printed, paper))
    return to_jpeg(take_photo(picture, random))


def tight_crop(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A crop that leaves next to no paper around the digit."""
    ink = surround(draw_strokes(digit, draw_scale(random)), random, 0, 0.06)
    return to_jpeg(take_photo(paint(ink, draw_pen(random), draw_paper(random)), random))


def neighbour_at_the_rim(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A crop into which a quarter to a half of the next digit reaches."""
    ink = write(digit, draw_scale(random), random)
    rows, columns = ink.shape
    # The same digit upside down: strokes of the same pen, but of no digit that could be read.
    other = ink[::-1, ::-1]
    above, away, gap = np.rint(rows * random.uniform(0.15, 0.4, 3)).astype(int)
    seen = round(columns * random.uniform(0.25, 0.5))
    on_the_right = random.random() < 0.5
    left = away if on_the_right else seen + gap
    beside = left + columns + gap if on_the_right else seen - columns
    higher = above + round(rows * random.uniform(-0.1, 0.1))
    shape = rows + 2 * above, away + columns + gap + seen
    both = np.maximum(place(ink, shape, above, left), place(other, shape, higher, beside))
    return to_jpeg(take_photo(paint(both, draw_pen(random), draw_paper(random)), random))


def specks(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A dirty scan: dots up to the width of a felt pen all over it."""
    scale = draw_scale(random)
    ink = surround(write(digit, scale, random), random)
    y, x = np.indices(ink.shape, np.float32)
    for _ in range(random.integers(8, 30)):
        row, column = random.uniform(0, ink.shape[0]), random.uniform(0, ink.shape[1])
        radius = scale * random.uniform(0.15, 0.7)
        ink = np.maximum(ink, np.clip(radius + 0.5 - np.hypot(y - row, x - column), 0, 1))
    return to_jpeg(take_photo(paint(ink, draw_pen(random), draw_paper(random)), random))


CONDITIONS: dict[str, Kind] = {
    "patch": patch,
    "grey patch": grey_patch,
    "dark patch": dark_patch,
    "page": page,
    "small in a large photo": small_in_a_large_photo,
    "framed": framed,
    "cut frame": cut_frame,
    "touching frame": touching_frame,
    "squared paper": squared_paper,
    "ruled paper": ruled_paper,
    "tight crop": tight_crop,
    "neighbour at the rim": neighbour_at_the_rim,
    "specks": specks,
}
