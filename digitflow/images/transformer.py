"""Pictures of digits to MNIST's form, as a step of a scikit-learn pipeline.

This module alone of its package needs scikit-learn.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from digitflow.errors import UsageError
from digitflow.images.grey import array_to_grey, to_grey
from digitflow.images.normalising import normalise
from digitflow.images.placing import SIDE
from digitflow.images.reading import decode_image, read_image


class DigitNormalizer(TransformerMixin, BaseEstimator):
    """Turn pictures of one digit each into images as MNIST's, 28x28 pixels, bright on black.

    It learns nothing: `fit` may be left out. What has MNIST's form already passes unchanged.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from digitflow import DigitNormalizer, load_estimator
    >>> reader = make_pipeline(DigitNormalizer(), load_estimator())
    >>> reader.predict(["seven.png"])  # doctest: +SKIP
    array([7])
    """

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Do nothing, for there is nothing to learn."""
        return self

    def transform(self, X: Iterable[Any]) -> np.ndarray:
        """Return the pictures in MNIST's form.

        Parameters
        ----------
        X : iterable of str, Path, bytes, PIL.Image.Image or ndarray
            Paths of image files, contents of image files, or pictures: grey of shape
            (rows, columns), or in colour with a third axis of 3, or 4 with transparency. An array
            of shape (n, rows, columns) is n grey pictures.

        Returns
        -------
        ndarray of shape (n, 28, 28), uint8
            All 0 where a picture has no ink.

        Raises
        ------
        ImageError
            If a file cannot be read.
        UsageError
            If an item is no picture (a `ValueError`).
        """
        if isinstance(X, str | bytes | Path | Image.Image):
            raise UsageError(f"X is one {type(X).__name__}; give a list of pictures")
        images = [normalise(_grey(item, place)).image for place, item in enumerate(X)]
        return np.stack(images) if images else np.zeros((0, SIDE, SIDE), np.uint8)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that there is nothing to fit, and that pictures may come in lists."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags


def _grey(item: Any, place: int) -> np.ndarray:
    if isinstance(item, str | Path):
        return read_image(item).pixels
    if isinstance(item, bytes):
        return decode_image(item, f"X[{place}]").pixels
    if isinstance(item, Image.Image):
        return to_grey(item)
    try:
        return array_to_grey(np.asarray(item))
    except ValueError as error:
        raise UsageError(f"X[{place}]: {error}") from error
