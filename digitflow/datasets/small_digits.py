"""scikit-learn's own 8×8 digits, brought to 28×28 as far as they allow.

They are real handwriting that needs no network: 1,797 digits of 13 writers, each pixel the count
of ink in a block of 4×4 of a 32×32 bitmap.
"""

import numpy as np
from PIL import Image

from digitflow.images.placing import DIGIT_SIDE, place

FULL_BLOCK = 16  # value of a pixel whose block is all ink

# Shares of ink that become black and white. They give strokes as thick and as sharp as MNIST's
# (mean grey level 34 against 33), where resampling alone leaves a blur.
BLACK, WHITE = 0.3, 0.9


def load_small_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits in their stored order.

    Returns
    -------
    images : ndarray of shape (1797, 28, 28), uint8
        Ink bright on black.
    labels : ndarray of shape (1797,), int64

    References
    ----------
    E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = [_as_mnist(counts) for counts in pixels.reshape(-1, 8, 8)]
    return np.stack(images), labels.astype(np.int64)


def _as_mnist(counts: np.ndarray) -> np.ndarray:
    """Bring one digit, (8, 8) of 0..16, to the form of MNIST, (28, 28) of 0..255."""
    rows = np.flatnonzero(counts.any(axis=1))
    columns = np.flatnonzero(counts.any(axis=0))
    box = counts[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = DIGIT_SIDE / max(box.shape)
    size = (round(box.shape[1] * scale), round(box.shape[0] * scale))
    blocks = Image.fromarray(box.astype(np.float32))
    share = np.asarray(blocks.resize(size, Image.Resampling.LANCZOS)) / FULL_BLOCK
    return place(np.clip((share - BLACK) / (WHITE - BLACK), 0, 1))
