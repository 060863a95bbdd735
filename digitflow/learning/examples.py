"""What a training learns from, and what it is validated on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from digitflow.datasets.splitting import split_by_writer
from digitflow.errors import UsageError
from digitflow.learning.losses import NO_CLASS


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with what a training needs to know of them."""

    images: np.ndarray  # (n, height, width, 1) or (n, n_features), float32
    codes: np.ndarray  # (n,), int64: the number of the output that each should light up, or none
    weights: np.ndarray | None = None  # (n,), float64, 0 or more

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.codes)

    def weighing(self) -> "Examples":
        """Return the images that weigh anything."""
        return self if self.weights is None else self.part(np.flatnonzero(self.weights))

    def part(self, indices: np.ndarray) -> "Examples":
        """Return some of the images."""
        weights = None if self.weights is None else self.weights[indices]
        return Examples(self.images[indices], self.codes[indices], weights)

    def normalised(self) -> "Examples":
        """Return the same with weights whose mean is 1.

        Keras divides by the number of images: so a weight of 2 is the image twice.
        """
        if self.weights is None:
            return self
        return Examples(self.images, self.codes, self.weights / self.weights.mean())

    def with_outliers(self, images: np.ndarray) -> "Examples":
        """Return the same and images of no class, which weigh as much as the others on average."""
        codes = np.full(len(images), NO_CLASS, self.codes.dtype)
        weights = self.weights
        if weights is not None:
            weights = np.append(weights, np.full(len(images), weights.mean()))
        return Examples(
            np.concatenate([self.images, images]), np.append(self.codes, codes), weights
        )

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return images and codes, and the weights if there are, as Keras takes them."""
        known = (self.images, self.codes, self.weights)
        return tuple(array for array in known if array is not None)


def hold_out(
    examples: Examples, groups: Any, fraction: float | None, seed: int
) -> tuple[Examples, Examples | None]:
    """Split examples into those to learn from and those to validate with, if any.

    Parameters
    ----------
    examples : Examples
    groups : array-like of shape (n,), or None
        Who wrote each image: whole writers are held out.
    fraction : float in (0, 0.5], or None
        About which part to hold out.
    seed : int
        The same seed gives the same split.

    Raises
    ------
    UsageError
        If there is not one group for each image, nothing is held out by them, or there are too
        few images.
    """
    if groups is not None and fraction is None:
        raise UsageError(
            "groups: tell who wrote which image, to hold whole writers out, but nothing is held "
            "out; set validation_fraction, or leave groups away"
        )
    if fraction is None:
        return examples.weighing(), None
    writers = None
    if groups is not None:
        shape, n = np.shape(groups), len(examples)
        if shape != (n,):
            raise UsageError(f"groups has shape {shape}; give who wrote each of {n} images")
        writers = np.unique(groups, return_inverse=True)[1]
        if examples.weights is not None:
            writers = writers[examples.weights > 0]
    examples = examples.weighing()
    train, validation, _ = split_by_writer(examples.codes, writers, fraction, seed)
    return examples.part(train), examples.part(validation)
