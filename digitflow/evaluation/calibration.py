"""How far a confidence can be taken at its word, and the temperature that corrects it.

Loads NumPy alone at import.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError
from digitflow.evaluation.predictions import check_predictions, logarithms_of

#: Bins of the expected calibration error, as in Guo et al. 2017.
CALIBRATION_BINS = 15

#: The range in which `fit_temperature` searches.
TEMPERATURE_BOUNDS = (0.05, 20.0)


@dataclass(frozen=True)
class ReliabilityBins:
    """Predictions sorted by confidence into intervals (a, b] of equal width from 0 to 1."""

    count: NDArray[np.intp]  # (bins,), predictions in each
    correct: NDArray[np.intp]  # (bins,), those of them that are right
    confidence: NDArray[np.float64]  # (bins,), their mean confidence; 0 where there are none

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share that is right, of shape (bins,); 0 where there are none."""
        return self.correct / np.maximum(self.count, 1)


def reliability_bins(
    right: NDArray[np.bool_], confidence: NDArray[np.floating], bins: int = CALIBRATION_BINS
) -> ReliabilityBins:
    """Return confidence and accuracy side by side: the numbers of a reliability diagram.

    Parameters
    ----------
    right : ndarray of shape (n,), bool
        Whether the prediction is the true class.
    confidence : ndarray of shape (n,), floating
        Probability of the predicted class.
    bins : int

    References
    ----------
    Niculescu-Mizil, A. & Caruana, R. (2005). Predicting good probabilities with supervised
    learning. ICML.
    """
    confidence = confidence.astype(np.float64)
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    total = np.bincount(bin_of, weights=confidence, minlength=bins)
    correct = np.bincount(bin_of[right], minlength=bins)
    return ReliabilityBins(count, correct, total / np.maximum(count, 1))


def expected_calibration_error(
    right: NDArray[np.bool_], confidence: NDArray[np.floating], bins: int = CALIBRATION_BINS
) -> float:
    """Return the mean distance between confidence and accuracy over bins of equal width.

    Parameters are those of `reliability_bins`.

    References
    ----------
    Guo, C. et al. (2017). On calibration of modern neural networks. ICML. Equation 3, 15 bins.
    """
    binned = reliability_bins(right, confidence, bins)
    return float((binned.count * np.abs(binned.accuracy - binned.confidence)).sum() / len(right))


def fit_temperature(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the temperature T that calibrates probabilities best on held-out data.

    T minimises the mean negative log-likelihood of ``softmax(log(p) / T)``, a function with one
    minimum, within `TEMPERATURE_BOUNDS`. Above 1 it lowers the confidences, below 1 it raises them.

    T is 1.0 where the data cannot tell: where no T beats 1, and where every prediction is
    right, since the likelihood then rises without end as T falls to 0.

    Parameters
    ----------
    labels : array-like of shape (n,), integer
    probabilities : array-like of shape (n, k), floating

    Raises
    ------
    UsageError
        See `check_predictions`.

    References
    ----------
    Guo, C. et al. (2017). On calibration of modern neural networks. ICML. Section 4.2.
    """
    from scipy.optimize import minimize_scalar

    labels, probabilities = check_predictions(labels, probabilities)
    if (probabilities.argmax(axis=1) == labels).all():
        return 1.0
    logarithms = logarithms_of(probabilities)
    of_label = logarithms[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        beta = math.exp(-log_temperature)
        return float((_log_sum_exp(logarithms * beta)[:, 0] - of_label * beta).mean())

    bounds = tuple(math.log(bound) for bound in TEMPERATURE_BOUNDS)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return math.exp(found.x) if found.fun < loss(0.0) else 1.0


def apply_temperature(
    probabilities: NDArray[np.floating], temperature: float
) -> NDArray[np.floating]:
    """Return ``softmax(log(p) / T)``; the order of the classes stays as it was.

    Parameters
    ----------
    probabilities : ndarray of shape (n, k), floating
        No negative ones; n may be 0. A probability of 0 counts as the smallest
        normal float32.
    temperature : float
        Positive, as `fit_temperature` returns it.

    Returns
    -------
    ndarray of shape (n, k), same dtype
        Rows sum to 1.

    Raises
    ------
    UsageError
        If the temperature is not a positive number.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UsageError(f"temperature {temperature}: must be a positive number")
    scaled = logarithms_of(probabilities) / temperature
    return np.exp(scaled - _log_sum_exp(scaled)).astype(probabilities.dtype)


def _log_sum_exp(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(sum(exp(values))) of each row, shape (n, 1), without overflow."""
    largest = values.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(values - largest).sum(axis=1, keepdims=True))
