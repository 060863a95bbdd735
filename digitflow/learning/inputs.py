"""What the estimators accept as images, and what the networks get."""

import math
import sys
import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from digitflow.errors import UsageError
from digitflow.learning.scales import Range, learn_range, to_unit_range
from digitflow.models.tflite import IMAGE_SIZE

#: Flat rows of a square number of features from this on are pixels if their values can be: 8x8.
_FEWEST_PIXELS = 64


@dataclass(frozen=True)
class InputForm:
    """What an estimator learned of the form of its training data, and holds all other data to."""

    image_shape: tuple[int, int] | None  # height and width, px; None for mere features
    size: tuple[int, int] | None  # to which images are brought, px; None leaves them as they are
    # What becomes 0 and 1; None for features that are taken as they are.
    value_range: Range | None

    @property
    def network_shape(self) -> tuple[int, int, int] | None:
        """Height, width and channels of the network's input; None for features."""
        shape = self.size or self.image_shape
        return None if shape is None else (*shape, 1)


def learn_form(
    rows: np.ndarray, image_shape: tuple[int, int] | None, images_only: bool
) -> InputForm:
    """Return the form of training data.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
    image_shape : tuple of (height, width), px, or None
        As `flatten` returned it.
    images_only : bool
        Flat rows are images in any case, and all are brought to 28x28 and to 0..1.
    """
    shape = image_shape or _shape_of_flat(rows, images_only)
    size = (IMAGE_SIZE, IMAGE_SIZE) if images_only else None
    return InputForm(shape, size, None if shape is None else learn_range(rows, images_only))


def to_network(rows: np.ndarray, form: InputForm) -> np.ndarray:
    """Return rows as the network takes them.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
    form : InputForm

    Returns
    -------
    ndarray of shape (n, height, width, 1) or (n, n_features), float32

    Raises
    ------
    UsageError
        If the values cannot be on the scale of the training data.
    """
    scaled = to_unit_range(rows, form.value_range)
    if form.image_shape is None:
        return scaled
    images = scaled.reshape(-1, *form.image_shape)
    return _resize(images, form.size or form.image_shape)[..., np.newaxis]


def flatten_alike(X: Any, form: InputForm) -> Any:
    """Return images as rows of pixels, as `flatten`; refuse images of another shape.

    Raises
    ------
    UsageError
        If they have another height and width than the training images.
    """
    rows, image_shape = flatten(X)
    if image_shape and form.image_shape and image_shape != form.image_shape:
        shapes = ["x".join(map(str, shape)) for shape in (image_shape, form.image_shape)]
        raise UsageError(
            f"X has images of {shapes[0]} pixels, but the estimator was fitted on {shapes[1]}; "
            "bring them to that size"
        )
    return rows


def flatten(X: Any) -> tuple[Any, tuple[int, int] | None]:
    """Return images as rows of pixels, as scikit-learn's checks want them, and their shape.

    Parameters
    ----------
    X : array-like
        (n, height, width) and (n, height, width, 1) become (n, height * width); all else stays
        as it is.

    Returns
    -------
    rows : array-like
    image_shape : tuple of (height, width), px, or None
        None where `X` was not in the form of images.

    Raises
    ------
    UsageError
        If it has more dimensions, or more than one channel.
    """
    if sparse.issparse(X) or hasattr(X, "columns"):
        return X, None
    try:
        array = np.asarray(X)
    except ValueError:  # rows of unequal length, which scikit-learn explains
        return X, None
    if array.ndim < 3:
        return X, None
    if array.ndim > 4 or (array.ndim == 4 and array.shape[3] != 1):
        raise UsageError(
            f"X has shape {array.shape}; images must be (n, height, width), "
            "(n, height, width, 1) or flat (n, height * width), in grey"
        )
    n, height, width = array.shape[:3]
    return array.reshape(n, height * width), (height, width)


def _shape_of_flat(rows: np.ndarray, images_only: bool) -> tuple[int, int] | None:
    """Return height and width of images that came as rows, px; None where they are none."""
    n_features = rows.shape[1]
    side = math.isqrt(n_features)
    could_be_pixels = n_features >= _FEWEST_PIXELS and rows.min() >= 0 and rows.max() <= 255
    if side * side == n_features and (images_only or could_be_pixels):
        return side, side
    if not images_only:
        return None
    warnings.warn(
        f"{n_features} features are no square image; they count as one line of pixels. Give "
        "images as (n, height, width)",
        UserWarning,
        stacklevel=5,
    )
    return 1, n_features


def _resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring images (n, height, width) to a size, px: bilinear, with anti-aliasing."""
    if images.shape[1:] == size:
        return images
    vertical = _resampling_matrix(images.shape[1], size[0])
    horizontal = _resampling_matrix(images.shape[2], size[1])
    return vertical @ images @ horizontal.T


def _resampling_matrix(length: int, size: int) -> np.ndarray:
    """Return the (size, length) float32 matrix of a triangle filter, each row summing to 1."""
    scale = length / size
    centres = (np.arange(size) + 0.5) * scale - 0.5
    distance = np.abs(centres[:, np.newaxis] - np.arange(length)) / max(scale, 1)
    weights = np.maximum(1 - distance, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def images_for_network(X: Any) -> np.ndarray:
    """Bring images of MNIST's form to what a network of an exported model takes.

    Parameters
    ----------
    X : ndarray of shape (n, 28, 28), uint8

    Returns
    -------
    ndarray of shape (n, 28, 28, 1), float32
        In 0..1.
    """
    return np.multiply(X, np.float32(1 / 255), dtype=np.float32)[..., np.newaxis]


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


def check_flag(name: str, value: Any) -> None:
    """Refuse a hyper-parameter that is neither True nor False.

    Raises
    ------
    UsageError
        With the parameter's name and its value.
    """
    if not isinstance(value, bool | np.bool_):
        raise UsageError(f"{name}={value!r}: must be True or False")
