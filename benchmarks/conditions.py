"""What people's pictures of digits look like, 29 ways, made from digits of MNIST's form.

Each condition takes a digit, uint8 (28, 28), bright ink on black, and a random generator, and
returns the content of an image file. A person reads the digit in each at a glance. `scale` is how
many pixels of the picture one of MNIST's becomes; a digit is 20 of those high or wide.
"""

from collections.abc import Callable

import numpy as np
from painting import (
    cut,
    draw_hairline,
    draw_lines,
    draw_paper,
    draw_pen,
    draw_scale,
    draw_sheet,
    draw_slope,
    draw_strokes,
    paint,
    place,
    rotate,
    smooth_noise,
    surround,
    take_photo,
    to_jpeg,
    to_png,
    widen,
    write,
)

Condition = Callable[[np.ndarray, np.random.Generator], bytes]


def chalk(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Grainy chalk on a board that was wiped."""
    ink = surround(draw_strokes(digit, draw_scale(random)), random)
    ink = ink * np.clip(0.9 + 0.35 * smooth_noise(ink.shape, 2.5, random), 0, 1)
    board = random.uniform(35, 70) + np.array([-8, 6, 0])
    smears = 6 * smooth_noise(ink.shape, max(ink.shape) / 6, random)
    picture = paint(ink, (225, 225, 220), board + smears[..., np.newaxis])
    return to_jpeg(take_photo(picture, random))


def white_on_black(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A drawing in white on a black canvas."""
    return to_png(255 * surround(write(digit, draw_scale(random), random), random))


def transparent(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A drawing of any colour on a canvas that is transparent."""
    ink = surround(write(digit, draw_scale(random), random), random)
    picture = np.zeros((*ink.shape, 4))
    colours = ((0, 0, 0), (255, 255, 255), (30, 60, 200), (220, 30, 30))
    picture[ink > 0, :3] = colours[random.integers(len(colours))]
    picture[..., 3] = 255 * ink
    return to_png(picture)


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
    form = paint(frame, random.uniform(0, 90) + np.zeros(3), draw_paper(random, 230, 252))
    return to_jpeg(take_photo(paint(ink, draw_pen(random), form), random, noise=2))


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


def hard_shadow(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo with the edge of a shadow across the digit."""
    ink = surround(write(digit, draw_scale(random), random), random)
    edge = random.uniform(2, 6)
    distance = (draw_slope(ink.shape, random) - random.uniform(0.35, 0.65)) * max(ink.shape)
    shadow = np.clip(distance / edge + 0.5, 0, 1) * random.uniform(0.3, 0.55)
    picture = paint(ink, draw_pen(random), draw_paper(random)) * (1 - shadow)[..., np.newaxis]
    return to_jpeg(take_photo(picture, random))


def gradient(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo by a lamp: light falls to a third across it."""
    ink = surround(write(digit, draw_scale(random), random), random)
    light = 1 - random.uniform(0.5, 0.68) * draw_slope(ink.shape, random)
    picture = paint(ink, draw_pen(random), draw_paper(random)) * light[..., np.newaxis]
    return to_jpeg(take_photo(picture, random))


def faint(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A pen that is nearly empty: ink 8 to 18 % darker than the paper."""
    ink = surround(write(digit, draw_scale(random), random), random)
    paper = draw_paper(random)
    picture = paint(ink, paper * (1 - random.uniform(0.08, 0.18)), paper)
    return to_jpeg(take_photo(picture, random, noise=2))


def small_in_a_large_photo(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo of two or three megapixels with a digit of 40 to 100 px."""
    ink = write(digit, draw_scale(random, 2, 5), random)
    shape = int(random.integers(1200, 1600)), int(random.integers(1600, 2000))
    light = 1 - 0.25 * draw_slope(shape, random)
    picture = paint(_place_anywhere(ink, shape, random), draw_pen(random), draw_paper(random))
    return to_jpeg(take_photo(picture * light[..., np.newaxis], random))


def photo_noise(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo in bad light: noise of 15 to 30 grey levels."""
    ink = surround(write(digit, draw_scale(random), random), random)
    picture = paint(ink, draw_pen(random), draw_paper(random, 150, 220))
    return to_jpeg(take_photo(picture, random, noise=random.uniform(15, 30), blur=1))


def hair_thin(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A drawing with a pen of one to three pixels on a large canvas."""
    ink = draw_hairline(draw_strokes(digit, draw_scale(random, 5, 16)), random.uniform(1, 3))
    tone = random.uniform(0, 120)
    return to_png(paint(surround(ink, random), (tone, tone, tone), (255, 255, 255)))


def broken_strokes(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A pen that skips: two or three gaps of about a stroke's half width."""
    scale = draw_scale(random)
    ink = draw_strokes(digit, scale)
    for _ in range(random.integers(2, 4)):
        rows, columns = np.nonzero(ink > 0.5)
        at = random.integers(len(rows))
        y, x = np.indices(ink.shape)
        angle = random.uniform(0, np.pi)
        across = (y - rows[at]) * np.sin(angle) + (x - columns[at]) * np.cos(angle)
        along = (x - columns[at]) * np.sin(angle) - (y - rows[at]) * np.cos(angle)
        gap = (np.abs(across) < scale * random.uniform(0.4, 0.7)) & (np.abs(along) < 3 * scale)
        ink = np.where(gap, 0, ink)
    picture = paint(surround(cut(ink), random), draw_pen(random), draw_paper(random))
    return to_jpeg(take_photo(picture, random))


def thick(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A marker: strokes about twice as wide."""
    scale = draw_scale(random)
    ink = cut(widen(draw_strokes(digit, scale), scale * random.uniform(0.9, 1.6)))
    return to_png(paint(surround(ink, random), draw_pen(random), (255, 255, 255)))


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
    """A dirty scan: dots up to the width of a stroke all over it."""
    scale = draw_scale(random)
    ink = surround(write(digit, scale, random), random)
    y, x = np.indices(ink.shape, np.float32)
    for _ in range(random.integers(8, 30)):
        row, column = random.uniform(0, ink.shape[0]), random.uniform(0, ink.shape[1])
        radius = scale * random.uniform(0.15, 0.7)
        ink = np.maximum(ink, np.clip(radius + 0.5 - np.hypot(y - row, x - column), 0, 1))
    return to_jpeg(take_photo(paint(ink, draw_pen(random), draw_paper(random)), random))


def same_luminance(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Coloured ink as bright as the coloured paper: in grey it all but disappears."""
    ink = surround(draw_strokes(digit, draw_scale(random)), random)
    luma = np.array([0.299, 0.587, 0.114])
    hue = np.array([1.0, -0.3, -0.2]) if random.random() < 0.5 else np.array([-0.3, -0.15, 1.0])
    hue -= luma @ hue  # no brightness of its own
    tone = random.uniform(140, 170)
    strength = random.uniform(45, 75)
    picture = paint(ink, tone + strength * hue + random.uniform(-3, 3), tone - strength * hue)
    return to_png(take_photo(picture, random, noise=1.5))


def blur(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo out of focus by about half a stroke's width."""
    scale = draw_scale(random)
    ink = surround(draw_strokes(digit, scale), random)
    picture = paint(ink, draw_pen(random), draw_paper(random))
    return to_jpeg(take_photo(picture, random, blur=scale * random.uniform(0.7, 1.2)))


def jpeg(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A small picture that was sent through a messenger: JPEG of quality 8 to 25."""
    ink = surround(write(digit, draw_scale(random, 3, 7), random), random)
    picture = take_photo(paint(ink, draw_pen(random), draw_paper(random)), random)
    return to_jpeg(picture, quality=int(random.integers(8, 26)))


def rotation(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A digit tilted by up to 20 degrees."""
    ink = rotate(write(digit, draw_scale(random), random), random.uniform(-20, 20))
    picture = paint(surround(ink, random), draw_pen(random), draw_paper(random))
    return to_jpeg(take_photo(picture, random))


def pencil(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A scan of pencil on rough paper: grey, and grainy within the strokes."""
    ink = surround(draw_strokes(digit, draw_scale(random)), random)
    grain = np.clip(0.65 + 0.3 * smooth_noise(ink.shape, 1.5, random), 0.1, 1)
    tone = random.uniform(70, 120)
    picture = paint(ink * grain, (tone, tone, tone), draw_paper(random, 225, 250))
    return to_jpeg(take_photo(picture, random, noise=2, blur=0.5))


def pixel_editor(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Black squares set one by one on a grid of 24 to 48, saved as such or enlarged."""
    ink = draw_strokes(digit, random.uniform(0.8, 1.3)) >= 0.5
    side = random.integers(max(24, max(ink.shape) + 2), 49)
    top, left = (random.integers(1, side - length) for length in ink.shape)
    squares = place(ink, (side, side), top, left)
    block = random.choice([1, 1, 8, 12])
    return to_png(255 * (1 - squares.repeat(block, axis=0).repeat(block, axis=1)))


CONDITIONS: dict[str, Condition] = {
    condition.__name__.replace("_", " "): condition
    for condition in (
        chalk,
        white_on_black,
        transparent,
        patch,
        grey_patch,
        dark_patch,
        page,
        framed,
        cut_frame,
        touching_frame,
        squared_paper,
        ruled_paper,
        hard_shadow,
        gradient,
        faint,
        small_in_a_large_photo,
        photo_noise,
        hair_thin,
        broken_strokes,
        thick,
        tight_crop,
        neighbour_at_the_rim,
        specks,
        same_luminance,
        blur,
        jpeg,
        rotation,
        pencil,
        pixel_editor,
    )
}
