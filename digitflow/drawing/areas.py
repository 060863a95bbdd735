"""Areas that are no writing: shapes, blots, icons, patterns, textures, noise, shades of grey.

Each function draws one picture (rows, columns): bool, or float32 from 0, paper, to 1, ink.
"""

import math

import numpy as np
from PIL import Image

_SIDE = 60  # px, of the pictures
_Y, _X = np.meshgrid(*2 * [np.linspace(-1, 1, _SIDE, dtype=np.float32)], indexing="ij")


def shape(generator: np.random.Generator) -> np.ndarray:
    """A filled ellipse, rectangle, rhombus, polygon or star."""
    return _shape(generator)


def blobs(generator: np.random.Generator) -> np.ndarray:
    """One to four blobs with wavy rims, side by side rather than stacked as an 8."""
    count = int(generator.integers(1, 5))
    spread = 0.0 if count == 1 else 0.6
    areas = [_blob(generator, 0.8 / count**0.5, spread) for _ in range(count)]
    return np.any(areas, axis=0)


def dots(generator: np.random.Generator) -> np.ndarray:
    """Three to forty dots, all of a size or as of ink that was spilt, and not in one column."""
    count = int(generator.integers(3, 41))
    largest = generator.uniform(0.5, 1.5) / count**0.5 * 0.45
    sizes = largest * generator.uniform(0, 1, count) ** generator.choice([0, 1, 2])
    x, y = generator.uniform(-0.9, 0.9, (2, count, 1, 1)).astype(np.float32)
    x[:2, 0, 0] = -0.7, 0.7
    radii = np.maximum(sizes, 0.1).astype(np.float32)[:, np.newaxis, np.newaxis]
    return ((_X - x) ** 2 + (_Y - y) ** 2 < radii**2).any(axis=0)


def icon(generator: np.random.Generator) -> np.ndarray:
    """Three to five shapes put together and cut out of each other, often mirrored."""
    picture = _shape(generator)
    for side in (-1, 1, -1, 1)[: generator.integers(2, 5)]:
        # Beside the middle: with a hole there, it would be a 0.
        u, v = _X - side * generator.uniform(0.35, 0.7), _Y - generator.uniform(-0.6, 0.6)
        other = _shape_at(u, v, generator, size=generator.uniform(0.25, 0.6))
        picture = picture ^ other if generator.random() < 0.6 else picture | other
    return picture | picture[:, ::-1] if generator.random() < 0.4 else picture


def blocks(generator: np.random.Generator) -> np.ndarray:
    """Squares of a coarse grid, as in a matrix code, a pixel icon or a maze."""
    cells = int(generator.integers(7, 17))
    filled = generator.random((cells, cells)) < generator.uniform(0.35, 0.65)
    if generator.random() < 0.4:
        filled[:, cells - cells // 2 :] = filled[:, : cells // 2][:, ::-1]
    return _enlarged(filled.astype(np.float32), Image.Resampling.NEAREST)


def pattern(generator: np.random.Generator) -> np.ndarray:
    """Stripes, waves, a chessboard, a halftone, rings, through a window."""
    warp = _smooth_noise(generator, 3) * float(generator.choice([0, 0, 1.5]))
    u, v = _turned(_X, _Y, generator.uniform(0, math.pi))
    u, v = u * generator.uniform(11, 26) + warp, v * generator.uniform(11, 26) + warp
    match int(generator.integers(4)):
        case 0:
            height = np.sin(u)
        case 1:
            height = np.sin(u) * np.sin(v)
        case 2:
            height = (np.cos(u) + np.cos(v)) / 2 + generator.uniform(-0.6, 0.6) * _X
        case _:
            centre = generator.uniform(-0.6, 0.6), generator.uniform(-0.6, 0.6)
            distance = np.hypot(_X - centre[0], _Y - centre[1])
            height = np.sin(distance * generator.uniform(16, 30) + warp)
    return (height > generator.uniform(-0.5, 0.5)) & _window(generator)


def texture(generator: np.random.Generator) -> np.ndarray:
    """Smooth noise of any grain, in black and white, through a window."""
    noise = _smooth_noise(generator, int(generator.integers(12, 28)))
    inked = noise > np.quantile(noise[::3, ::3], generator.uniform(0.3, 0.7))
    return inked & _window(generator)


def inkblot(generator: np.random.Generator) -> np.ndarray:
    """Smooth noise, mirrored as Rorschach's."""
    noise = _smooth_noise(generator, int(generator.integers(10, 17)))
    noise = noise + noise[:, ::-1] - generator.uniform(0, 0.8) * (_X**2 + _Y**2)
    return noise > np.quantile(noise[::3, ::3], generator.uniform(0.4, 0.7))


def speckle(generator: np.random.Generator) -> np.ndarray:
    """Noise without any smoothness, of all densities, through a window if it is dense."""
    cells = int(generator.integers(12, 41))
    density = generator.uniform(0.06, 0.97)
    filled = (generator.random((cells, cells)) < density).astype(np.float32)
    noise = _enlarged(filled, Image.Resampling.NEAREST)
    return noise * _window(generator) if density > 0.25 else noise


def shades(generator: np.random.Generator) -> np.ndarray:
    """Shades of grey as in photographs: noise of all grains and a slope of light."""
    height = generator.normal(0, 0.6) * _X + generator.normal(0, 0.6) * _Y
    steepness = generator.uniform(0.5, 1)
    for octave, cells in enumerate((4, 8, 16, 32)):
        height = height + steepness**octave * _smooth_noise(generator, cells)
    shares = generator.uniform(0, 0.2), generator.uniform(0.7, 1)
    low, high = np.quantile(height[::3, ::3], shares)
    window = _window(generator)
    # Dark in the middle of a window, it would be a 0.
    darkest = 0 if window.all() else 0.3
    return ((height - low) / (high - low)).clip(darkest, 1) * window


def soft_blobs(generator: np.random.Generator) -> np.ndarray:
    """Three to six soft spots of light, side by side rather than stacked as an 8."""
    total = np.zeros_like(_X)
    for x in (-0.7, 0.7, 0, *generator.uniform(-0.9, 0.9, generator.integers(4)).tolist()):
        u, v = _turned(_X - x, _Y - generator.uniform(-0.5, 0.5), generator.uniform(0, math.pi))
        wide, high = generator.uniform(0.12, 0.4), generator.uniform(0.12, 0.4)
        total += generator.uniform(0.6, 1) * np.exp(-((u / wide) ** 2) - (v / high) ** 2)
    return (total.clip(max=1) - generator.uniform(0.05, 0.3)).clip(0)


def _window(generator: np.random.Generator) -> np.ndarray:
    """Return what is seen, bool (side, side): often all of it."""
    if generator.random() < 0.4:
        return np.ones_like(_X, bool)
    if generator.random() < 0.5:
        return _blob(generator, 0.8)
    return _shape(generator)


def _shape(generator: np.random.Generator) -> np.ndarray:
    return _shape_at(_X, _Y, generator, size=0.95)


def _shape_at(
    u: np.ndarray, v: np.ndarray, generator: np.random.Generator, size: float
) -> np.ndarray:
    """Return a convex or starry shape, no upright bar, around where u and v are 0."""
    thinness = generator.uniform(0.45, 1)
    # Lying rather than standing: a standing bar is a 1.
    turn = generator.uniform(-0.7, 0.7) if thinness < 0.7 else generator.uniform(0, math.pi)
    u, v = _turned(u, v, turn)
    v = v / thinness
    if generator.random() < 0.6:
        roundness = float(generator.choice([0.6, 1.0, 2.0, 4.0, 30.0]))
        return (np.abs(u) / size) ** roundness + (np.abs(v) / size) ** roundness < 1
    corners = int(generator.integers(3, 9))
    wedge = 2 * math.pi / corners
    angle = np.abs((np.arctan2(v, u) + math.pi) % wedge - wedge / 2)
    depth = generator.uniform(0.4, 1.2) if generator.random() < 0.5 else 0.0
    return np.hypot(u, v) * np.cos(angle) * (1 + depth * angle) < size * math.cos(wedge / 2)


def _blob(generator: np.random.Generator, size: float, spread: float = 0.0) -> np.ndarray:
    """Return an area with a wavy rim."""
    u = _X - generator.uniform(-spread, spread)
    v = _Y - generator.uniform(-spread, spread) / 2
    angle = np.arctan2(v, u)
    rim = np.ones_like(angle)
    for waves in range(2, 7):
        height = generator.uniform(-0.5, 0.5) / waves
        rim += height * np.cos(waves * angle + generator.uniform(0, 6))
    return np.hypot(u, v) < size * rim


def _turned(x: np.ndarray, y: np.ndarray, turn: float) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = math.cos(turn), math.sin(turn)
    return x * cos + y * sin, y * cos - x * sin


def _smooth_noise(generator: np.random.Generator, cells: int) -> np.ndarray:
    """Return noise with so many bumps along a side, float32 (side, side)."""
    coarse = generator.standard_normal((cells, cells), np.float32)
    return _enlarged(coarse, Image.Resampling.BICUBIC)


def _enlarged(values: np.ndarray, how: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize((_SIDE, _SIDE), how))
