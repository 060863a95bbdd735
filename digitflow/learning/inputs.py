"""What the estimators accept as images and labels, and what the networks get."""

from typing import Any

import numpy as np

from digitflow.errors import UsageError

IMAGE_SIZE = 28  # px, height and width


def images_for_network(X: Any) -> np.ndarray:
    """Bring images to what the networks take.

    Parameters
    ----------
    X : array-like of shape (n, 28, 28), (n, 28, 28, 1) or (n, 784)
        Ink bright on black; integers 0..255, or floats 0..1 or 0..255. Floats that are nowhere
        above 1 count as 0..1.

    Returns
    -------
    ndarray of shape (n, 28, 28, 1), float32
        In 0..1.

    Raises
    ------
    UsageError
        If the shape, the type or a value is another.
    """
    X = np.asarray(X)
    if X.shape[1:] not in {
        (IMAGE_SIZE, IMAGE_SIZE),
        (IMAGE_SIZE, IMAGE_SIZE, 1),
        (IMAGE_SIZE**2,),
    }:
        raise UsageError(
            f"X has shape {X.shape}; images must be (n, 28, 28), (n, 28, 28, 1) or (n, 784)"
        )
    if len(X) == 0:
        raise UsageError("X holds no images; give at least one")
    if X.dtype.kind not in "buif":
        raise UsageError(f"X has dtype {X.dtype}; pixels must be numbers")
    return _unit_range(X).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1)


def _unit_range(X: np.ndarray) -> np.ndarray:
    """Return the pixels as float32 in 0..1, whether they came as 0..255 or as 0..1."""
    if X.dtype == np.uint8:
        return np.multiply(X, np.float32(1 / 255), dtype=np.float32)
    low, high = float(X.min()), float(X.max())
    if not (low >= 0 and high <= 255):  # NaN fails too
        raise UsageError(f"X has pixels from {low:g} to {high:g}; they must be 0..255 or 0..1")
    return np.asarray(X, np.float32) / np.float32(255 if high > 1 else 1)


def encode_labels(y: Any, n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted classes, and each label as an index into them (int64).

    Raises
    ------
    UsageError
        If there is not one label for each image, a label is missing, or all are the same.
    """
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y.ravel()
    if y.shape != (n_images,):
        raise UsageError(f"y has shape {y.shape}; there must be one label for each of {n_images}")
    if y.dtype.kind == "f" and not np.array_equal(y, np.rint(y)):
        raise UsageError("y holds numbers that are not whole; a classifier's labels are classes")
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise UsageError(f"y holds one class only ({classes[0]!r}); a classifier needs two")
    return classes, codes.astype(np.int64)
