"""Whether a model reads some class worse than another one did, on the same images.

Loads NumPy alone at import.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError

#: Of so many random flips the smallest p-value is 1 in 20,001: after Holm's correction it can be
#: below 0.5 % for up to 100 classes.
_N_FLIPS = 20_000
_FLIPS_AT_ONCE = 200  # so that the bits of many images fit into memory


@dataclass(frozen=True)
class ClassComparison:
    """Two models on the images of one class."""

    name: str
    n: int  # images
    lost: int  # the first is right, the second wrong
    gained: int  # the first is wrong, the second right
    before: float  # mean squared distance of the first's probabilities from the truth, 0 to 2
    now: float  # of the second's
    p_worse: float  # that chance alone makes the second so much worse; corrected for all classes


def compare_classes(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, class_names: Sequence[str]
) -> list[ClassComparison]:
    """Compare two models class by class, by the probabilities that they give.

    Errors alone tell too little of one class: of 600 images a good model misreads three. The
    squared distance of the probabilities from the truth (Brier 1950) counts errors and doubt
    alike. Whether its mean grew is tested by flipping the signs of the images' differences at
    random, which makes no assumption on their distribution (Fisher 1935); the p-values of all
    classes are corrected together (Holm 1979).

    Parameters
    ----------
    labels : array-like of shape (n,), integer
        True classes, as column numbers.
    first, second : array-like of shape (n, k), floating
        Calibrated probabilities of the two models.
    class_names : sequence of k str

    Returns
    -------
    list of ClassComparison
        Of each class that has images.

    Raises
    ------
    UsageError
        If the shapes do not fit each other.

    References
    ----------
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly
    Weather Review 78. Fisher, R. A. (1935). The Design of Experiments, section 21. Holm, S.
    (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
    Statistics 6. Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero.
    Statistical Applications in Genetics and Molecular Biology 9.
    """
    labels, first, second = np.asarray(labels), np.asarray(first), np.asarray(second)
    shape = (len(labels), len(class_names))
    if labels.ndim != 1 or first.shape != shape or second.shape != shape:
        raise UsageError(
            f"labels and probabilities of shapes {labels.shape}, {first.shape} and {second.shape}: "
            f"must be one label and {len(class_names)} probabilities for each image"
        )
    was_right, is_right = (each.argmax(axis=1) == labels for each in (first, second))
    before, now = squared_distances(labels, first), squared_distances(labels, second)
    there = [place for place in range(len(class_names)) if (labels == place).any()]
    chances = holm([sign_flip_p_value((now - before)[labels == place]) for place in there])
    compared = []
    for place, chance in zip(there, chances, strict=True):
        own = labels == place
        compared.append(
            ClassComparison(
                name=class_names[place],
                n=int(own.sum()),
                lost=int((own & was_right & ~is_right).sum()),
                gained=int((own & ~was_right & is_right).sum()),
                before=float(before[own].mean()),
                now=float(now[own].mean()),
                p_worse=float(chance),
            )
        )
    return compared


def squared_distances(labels: NDArray, probabilities: NDArray) -> NDArray[np.float64]:
    """Return the squared distance of each image's probabilities from the truth, (n,), 0 to 2."""
    truth = np.eye(probabilities.shape[1])[labels]
    return ((probabilities - truth) ** 2).sum(axis=1)


def sign_flip_p_value(differences: ArrayLike, seed: int = 0) -> float:
    """Return how often chance alone gives a sum as large as that of paired differences.

    Parameters
    ----------
    differences : array-like of shape (n,), floating
    seed : int
        Of the random flips: the same differences give the same value.
    """
    values = np.asarray(differences, np.float64)
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    random, n_as_large = np.random.default_rng(seed), 0
    # A flip of the signs that changes nothing must count, whatever the order of the additions.
    least = values.sum() - 1e-9 * np.abs(values).sum()
    for _ in range(_N_FLIPS // _FLIPS_AT_ONCE):
        bits = random.integers(0, 2, (_FLIPS_AT_ONCE, len(values)), np.int8)
        n_as_large += int((values.sum() - 2 * (bits @ values) >= least).sum())
    return (1 + n_as_large) / (1 + _N_FLIPS)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values corrected for their number, so that any below a level is rare by chance.

    Parameters
    ----------
    p_values : array-like of shape (n,), floating
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values)
    scaled = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected
