"""Conditions of pen, ink, light and camera.

Each takes a digit, uint8 (28, 28), bright ink on black, and a random generator, and returns the
content of an image file. A person reads the digit in it at a glance. The scale is how many pixels
of the picture one of MNIST's becomes; a digit is 20 of those high or wide.
"""

import numpy as np
from painting import (
    Kind,
    cut,
    draw_hairline,
    draw_paper,
    draw_pen,
    draw_scale,
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


def chalk(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Grainy chalk on a board that was wiped."""
    ink = surround(draw_strokes(digit, draw_scale(random)), random)
    ink = ink * np.clip(0.9 + 0.35 * smooth_noise(ink.shape, 2.5, random), 0, 1)
    board = random.uniform(35, 70) + np.array([-8, 6, 0])
    smears = 6 * smooth_noise(ink.shape, max(ink.shape) / 6, random)
    picture = paint(ink, (225, 225, 220), board + smears[..., np.newaxis])
    return to_jpeg(take_photo(picture, random))


def pencil(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A scan of pencil on rough paper: grey, and grainy within the strokes."""
    ink = surround(draw_strokes(digit, draw_scale(random)), random)
    grain = np.clip(0.65 + 0.3 * smooth_noise(ink.shape, 1.5, random), 0.1, 1)
    tone = random.uniform(70, 120)
    picture = paint(ink * grain, (tone, tone, tone), draw_paper(random, 225, 250))
    return to_jpeg(take_photo(picture, random, noise=2, blur=0.5))


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


def pixel_editor(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Black squares set one by one on a grid of 24 to 48, saved as such or enlarged."""
    ink = draw_strokes(digit, random.uniform(0.8, 1.3)) >= 0.5
    side = random.integers(max(24, max(ink.shape) + 2), 49)
    top, left = (random.integers(1, side - length) for length in ink.shape)
    squares = place(ink, (side, side), top, left)
    block = random.choice([1, 1, 8, 12])
    return to_png(255 * (1 - squares.repeat(block, axis=0).repeat(block, axis=1)))


def hair_thin(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A drawing with a pen of one to three pixels on a large canvas."""
    ink = draw_hairline(draw_strokes(digit, draw_scale(random, 5, 16)), random.uniform(1, 3))
    tone = random.uniform(0, 120)
    return to_png(paint(surround(ink, random), (tone, tone, tone), (255, 255, 255)))


def thick(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A marker: strokes about twice as wide."""
    scale = draw_scale(random)
    ink = cut(widen(draw_strokes(digit, scale), scale * random.uniform(0.8, 1.4)))
    return to_png(paint(surround(ink, random), draw_pen(random), (255, 255, 255)))


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


def rotation(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A digit tilted by up to 20 degrees."""
    ink = rotate(write(digit, draw_scale(random), random), random.uniform(-20, 20))
    picture = paint(surround(ink, random), draw_pen(random), draw_paper(random))
    return to_jpeg(take_photo(picture, random))


def faint(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A pen that is nearly empty: ink 8 to 18 % darker than the paper."""
    ink = surround(write(digit, draw_scale(random), random), random)
    paper = draw_paper(random)
    picture = paint(ink, paper * (1 - random.uniform(0.08, 0.18)), paper)
    return to_jpeg(take_photo(picture, random, noise=2))


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


def gradient(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo by a lamp: light falls to a third across it."""
    ink = surround(write(digit, draw_scale(random), random), random)
    light = 1 - random.uniform(0.5, 0.68) * draw_slope(ink.shape, random)
    picture = paint(ink, draw_pen(random), draw_paper(random)) * light[..., np.newaxis]
    return to_jpeg(take_photo(picture, random))


def hard_shadow(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo with the edge of a shadow across the digit."""
    ink = surround(write(digit, draw_scale(random), random), random)
    edge = random.uniform(2, 6)
    distance = (draw_slope(ink.shape, random) - random.uniform(0.35, 0.65)) * max(ink.shape)
    shadow = np.clip(distance / edge + 0.5, 0, 1) * random.uniform(0.3, 0.55)
    picture = paint(ink, draw_pen(random), draw_paper(random)) * (1 - shadow)[..., np.newaxis]
    return to_jpeg(take_photo(picture, random))


def blur(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo out of focus by about half a stroke's width."""
    scale = draw_scale(random)
    ink = surround(draw_strokes(digit, scale), random)
    picture = paint(ink, draw_pen(random), draw_paper(random))
    return to_jpeg(take_photo(picture, random, blur=scale * random.uniform(0.7, 1.2)))


def photo_noise(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A photo in bad light: noise of 15 to 30 grey levels."""
    ink = surround(write(digit, draw_scale(random), random), random)
    picture = paint(ink, draw_pen(random), draw_paper(random, 150, 220))
    return to_jpeg(take_photo(picture, random, noise=random.uniform(15, 30), blur=1))


def jpeg(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """A small picture that was sent through a messenger: JPEG of quality 8 to 25."""
    ink = surround(write(digit, draw_scale(random, 3, 7), random), random)
    picture = take_photo(paint(ink, draw_pen(random), draw_paper(random)), random)
    return to_jpeg(picture, quality=int(random.integers(8, 26)))


CONDITIONS: dict[str, Kind] = {
    "chalk": chalk,
    "pencil": pencil,
    "white on black": white_on_black,
    "transparent": transparent,
    "pixel editor": pixel_editor,
    "hair thin": hair_thin,
    "thick": thick,
    "broken strokes": broken_strokes,
    "rotation": rotation,
    "faint": faint,
    "same luminance": same_luminance,
    "gradient": gradient,
    "hard shadow": hard_shadow,
    "blur": blur,
    "photo noise": photo_noise,
    "jpeg": jpeg,
}
