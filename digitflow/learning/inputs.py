"""What the estimators accept as images and labels, and what the networks get."""

import sys
from numbers import Integral
from typing import Any

import numpy as np

from digitflow.errors import UsageError
from digitflow.models.tflite import IMAGE_SIZE

#: Floats whose maximum lies between 1 and this could be of either range.
_OVERSHOOT = 2.0


def images_for_network(X: Any) -> np.ndarray:
    """Bring images to what the networks take.

    Parameters
    ----------
    X : array-like of shape (n, 28, 28), (n, 28, 28, 1) or (n, 784)
        Ink bright on black: integers 0..255, or floats 0..1 or 0..255. Floats that are nowhere
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
    low, high = X.min(), X.max()
    if not (low >= 0 and high <= 255):  # NaN fails too
        raise UsageError(f"X has pixels from {low:g} to {high:g}; they must be 0..255 or 0..1")
    if X.dtype.kind in "bf" and high <= 1:
        return X.astype(np.float32)
    if X.dtype.kind == "f" and high <= _OVERSHOOT:
        raise UsageError(
            f"X has floats up to {high:g}: 0..1 that went too far, or 0..255 of nearly black "
            "images? Clip them to 0..1, or give 0..255 as uint8"
        )
    return np.multiply(X, np.float32(1 / 255), dtype=np.float32)


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
    if y.dtype.kind not in "biufOUS":
        raise UsageError(f"y has dtype {y.dtype}; labels are integers or strings")
    try:
        classes, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise UsageError("y mixes types or lacks labels; labels are integers or strings") from error
    if len(classes) < 2:
        raise UsageError(f"y holds one class only ({classes[0]!r}); a classifier needs two")
    return classes, codes.astype(np.int64)


def check_sample_weight(sample_weight: Any, n_images: int) -> np.ndarray | None:
    """Return a copy of the weights, float32 (n,), because scikeras works on what it is given.

    Raises
    ------
    UsageError
        If there is not one for each image, or one is negative or not a number.
    """
    if sample_weight is None:
        return None
    weights = np.array(sample_weight, np.float32)
    if weights.shape != (n_images,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise UsageError(
            f"sample_weight has shape {weights.shape}; there must be a number of 0 or more for "
            f"each of {n_images} images"
        )
    return weights


def check_number(
    name: str, value: Any, kind: type, low: float, high: float = sys.float_info.max
) -> None:
    """Refuse a hyper-parameter that is not a number of its kind, or out of bounds.

    Raises
    ------
    UsageError
        With the parameter's name, its value and what it must be.
    """
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        what = "a whole number" if kind is Integral else "a number"
        bounds = (
            f"of {low:g} or more" if high == sys.float_info.max else f"from {low:g} to {high:g}"
        )
        raise UsageError(f"{name}={value!r}: must be {what} {bounds}")
