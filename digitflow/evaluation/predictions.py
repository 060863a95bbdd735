"""Labels and probabilities that fit each other: what every other module here starts from.

Loads NumPy alone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError

#: A row of probabilities may miss 1 by this much: an int8 model rounds each to 1/256.
ROW_SUM_TOLERANCE = 0.1

#: Stands in for probability 0, whose logarithm is infinite: the smallest normal float32.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)


def check_predictions(
    labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Return labels and probabilities as arrays that fit together.

    Parameters
    ----------
    labels : array-like of shape (n,), integer
        Index of the true class.
    probabilities : array-like of shape (n, k), floating
        One probability per class; rows sum to 1, up to the rounding of an int8 model.
    class_names : sequence of k distinct str, optional

    Raises
    ------
    UsageError
        If they are empty, not finite, not probabilities, or do not fit each other.
    """
    probabilities = _check_probabilities(probabilities)
    labels = np.asarray(labels)
    n, k = probabilities.shape
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(
            f"labels of shape {labels.shape}, {labels.dtype}: must be {n} integers, one per row"
            " of probabilities"
        )
    if labels.min() < 0 or labels.max() >= k:
        raise UsageError(
            f"labels from {labels.min()} to {labels.max()}: must lie in 0 to {k - 1}, as there are"
            f" {k} columns of probabilities"
        )
    if class_names is not None and not len(set(class_names)) == len(class_names) == k:
        raise UsageError(f"class names {list(class_names)}: give {k} distinct ones, one per column")
    return labels.astype(np.intp), probabilities


def predictions_of(probabilities: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray]:
    """Return the most probable class and its probability, both of shape (n,)."""
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def logarithms_of(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return natural logarithms, all finite: 0 counts as `SMALLEST_PROBABILITY`."""
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY, dtype=np.float64))


def _check_probabilities(probabilities: ArrayLike) -> NDArray[np.floating]:
    probabilities = np.asarray(probabilities)
    shape, dtype = probabilities.shape, probabilities.dtype
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 2 or not np.issubdtype(dtype, np.floating):
        raise UsageError(
            f"probabilities of shape {shape}, {dtype}: must be floating, of at least one row and"
            " two classes"
        )
    is_distribution = (
        np.isfinite(probabilities).all()
        and probabilities.min() >= 0
        and np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1).max() <= ROW_SUM_TOLERANCE
    )
    if not is_distribution:
        raise UsageError(
            "probabilities with rows that are negative, not finite or do not sum to 1: give the"
            " output of a softmax, not logits"
        )
    return probabilities
