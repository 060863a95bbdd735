"""Accepting only what the model is sure of: how many mistakes remain at which coverage.

Loads NumPy alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError
from digitflow.evaluation.predictions import check_predictions, predictions_of

#: What no confidence reaches, in float32 as well: the next float32 after 1.
ACCEPT_NOTHING = float(np.nextafter(np.float32(1), np.float32(2)))

#: Of the readings that a new model is sure of, at most this share may be wrong: a night of ten
#: thousand digits then holds some ten silent errors.
STATED_ERROR_RATE = 0.001


@dataclass(frozen=True)
class RiskCoverage:
    """The risk-coverage curve: one point for each distinct confidence, the surest first.

    Predictions of equal confidence are accepted together, so that the curve does not depend on
    the order of the samples.
    """

    threshold: NDArray[np.floating]  # (m,), the lowest confidence accepted, falling
    coverage: NDArray[np.float64]  # (m,), share of the predictions accepted, rising to 1
    risk: NDArray[np.float64]  # (m,), share of wrong ones among the accepted

    @property
    def area(self) -> float:
        """Area under the curve: the mean risk over the thresholds that the samples set; 0 is best.

        References
        ----------
        Geifman, Y., Uziel, G. & El-Yaniv, R. (2019). Bias-reduced uncertainty estimation for deep
        neural classifiers. ICLR. Section 3.
        """
        return float((np.diff(self.coverage, prepend=0.0) * self.risk).sum())

    def risk_at(self, coverage: float) -> float:
        """Return the risk of the surest predictions, at most this share of them; 0 for none."""
        accepted = int(np.searchsorted(self.coverage, coverage + 1e-12, side="right"))
        return float(self.risk[accepted - 1]) if accepted else 0.0


def risk_coverage(labels: ArrayLike, probabilities: ArrayLike) -> RiskCoverage:
    """Return how the share of mistakes grows as ever less sure predictions are accepted.

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
    El-Yaniv, R. & Wiener, Y. (2010). On the foundations of noise-free selective classification.
    JMLR 11. Geifman, Y. & El-Yaniv, R. (2017). Selective classification for deep neural networks.
    NeurIPS; the confidence is the softmax response, the largest probability.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    predicted, confidence = predictions_of(probabilities)
    surest_first = np.argsort(-confidence, kind="stable")
    confidence = confidence[surest_first]
    wrong = np.cumsum((predicted != labels)[surest_first])
    accepted = np.arange(1, len(labels) + 1)
    # Only after the last of equal confidences can a line be drawn.
    is_last_of_equals = np.append(confidence[1:] != confidence[:-1], True)
    points = np.flatnonzero(is_last_of_equals)
    return RiskCoverage(
        confidence[points], accepted[points] / len(labels), wrong[points] / accepted[points]
    )


def threshold_for_error_rate(
    labels: ArrayLike, probabilities: ArrayLike, error_rate: float
) -> float:
    """Return the smallest confidence from which on predictions may be accepted.

    Among the predictions with ``confidence >= threshold``, at most the share `error_rate` is wrong
    on these data. Of all such thresholds it is the one that accepts the most. Predictions
    of equal confidence are accepted or refused together.

    Parameters
    ----------
    labels : array-like of shape (n,), integer
    probabilities : array-like of shape (n, k), floating
    error_rate : float
        From 0 to 1.

    Returns
    -------
    float
        The lowest confidence that is accepted; 0.0 where everything may be; `ACCEPT_NOTHING`, just
        above 1, where even the surest predictions are wrong too often.

    Raises
    ------
    UsageError
        If `error_rate` is not a share, or see `check_predictions`.
    """
    if not 0 <= error_rate <= 1:
        raise UsageError(f"error rate {error_rate}: must lie between 0 and 1")
    curve = risk_coverage(labels, probabilities)
    possible = np.flatnonzero(curve.risk <= error_rate)
    if len(possible) == 0:
        return ACCEPT_NOTHING
    if possible[-1] == len(curve.risk) - 1:
        return 0.0
    return float(curve.threshold[possible[-1]])
