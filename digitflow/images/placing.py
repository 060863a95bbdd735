"""A digit that was cut out of a picture, brought to MNIST's size, place and width of strokes."""

from functools import lru_cache

import numpy as np
from PIL import Image

SIDE = 28  # px, of the images that the models see
DIGIT_SIDE = 20  # px, of the longest side of the digit in them

# In px of the 20-px box. MNIST's strokes are 1.6 / 2.3 / 3.6 wide (5 / 50 / 95 %).
_THIN_STROKE = 1.5
_WANTED_STROKE = 2.0

# Strokes are widened at this many pixels along the digit's longest side.
_WIDENING_SIDE = 4 * DIGIT_SIDE


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


@lru_cache(maxsize=64)
def _area_weights(side: int) -> np.ndarray:
    """Return the matrix (20, side) that averages `side` px to 20 by the area they cover."""
    edges = np.linspace(0, side, DIGIT_SIDE + 1)
    pixel = np.arange(side)
    covered = np.minimum(edges[1:, np.newaxis], pixel + 1) - np.maximum(
        edges[:-1, np.newaxis], pixel
    )
    return (np.maximum(covered, 0) * (DIGIT_SIDE / side)).astype(np.float32)
