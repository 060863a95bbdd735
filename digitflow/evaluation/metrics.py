"""Labels and probabilities into the numbers of a report: accuracy and its uncertainty foremost.

Loads NumPy alone at import, and so do the modules whose functions it hands on.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError
from digitflow.evaluation.calibration import (
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
)
from digitflow.evaluation.predictions import check_predictions, logarithms_of, predictions_of
from digitflow.evaluation.selection import ACCEPT_NOTHING, risk_coverage, threshold_for_error_rate

__all__ = [
    "ACCEPT_NOTHING",
    "apply_temperature",
    "brier_score",
    "classification_table",
    "compute_metrics",
    "fit_temperature",
    "most_confused",
    "percent",
    "threshold_for_error_rate",
    "wilson_interval",
]

#: Two-sided 95 % quantile of the standard normal distribution.
Z_95 = 1.959963984540054


def compute_metrics(
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    disputed: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return everything the report says about a set of predictions, ready for JSON.

    Parameters
    ----------
    labels : array-like of shape (n,), integer
        Index of the true class.
    probabilities : array-like of shape (n, k), floating
    class_names : sequence of k distinct str
    disputed : array-like of int, optional
        Indices of the samples whose label people do not agree on.

    Returns
    -------
    dict
        ``n``, ``errors``, ``accuracy``, ``accuracy_interval_95`` (Wilson), ``macro_f1``,
        ``top_2_accuracy``, ``log_loss`` (mean negative log-likelihood, nats), ``brier_score``
        (0 to 2), ``expected_calibration_error`` (15 bins of equal width),
        ``area_under_risk_coverage``, ``mean_confidence``, ``class_names``,
        ``per_class`` (name to ``precision``, ``recall``, ``f1``, ``support``) and
        ``confusion_matrix`` (k rows of k counts; rows are the true class).
        Where a share is 0/0 it is 0. ``macro_f1`` leaves out classes that occur neither among the
        labels nor among the predictions, as scikit-learn does.
        With `disputed` also ``disputed`` (``n`` and ``errors`` among them) and
        ``without_disputed`` (``n``, ``errors``, ``accuracy``, ``accuracy_interval_95``).

    Raises
    ------
    UsageError
        See `check_predictions`; or if `disputed` are not indices of some of the samples.
    """
    labels, probabilities = check_predictions(labels, probabilities, class_names)
    n, k = probabilities.shape
    predicted, confidence = predictions_of(probabilities)
    right = predicted == labels
    matrix = np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)
    per_class = _per_class(matrix, class_names)
    return {
        **_accuracy(right),
        "macro_f1": _macro_average(matrix, per_class, "f1"),
        "top_2_accuracy": _top_2_accuracy(labels, probabilities),
        "log_loss": float(-logarithms_of(probabilities)[np.arange(n), labels].mean()),
        "brier_score": brier_score(labels, probabilities),
        "expected_calibration_error": expected_calibration_error(right, confidence),
        "area_under_risk_coverage": risk_coverage(labels, probabilities).area,
        "mean_confidence": float(confidence.mean(dtype=np.float64)),
        **({} if disputed is None else _with_and_without(right, disputed)),
        "class_names": [str(name) for name in class_names],
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
    }


def brier_score(labels: NDArray[np.intp], probabilities: NDArray[np.floating]) -> float:
    """Return the mean squared distance between probabilities and truth, summed over classes.

    From 0 (certain and right) to 2 (certain and wrong).

    References
    ----------
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly
    Weather Review 78. Equation 2.
    """
    distances = probabilities.astype(np.float64)
    distances[np.arange(len(labels)), labels] -= 1
    return float(np.square(distances).sum(axis=1).mean())


def wilson_interval(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return the score interval of a share, which stays within 0 to 1 and is sound near them.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference.
    """
    share = successes / n
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half_width = z / scale * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # The ends are exact where there are no failures or no successes; rounding would miss them.
    low = 0.0 if successes == 0 else centre - half_width
    high = 1.0 if successes == n else centre + half_width
    return low, high


def classification_table(metrics: Mapping[str, Any]) -> list[dict[str, str | float | int]]:
    """Return the rows of scikit-learn's classification report: classes, accuracy, averages.

    Parameters
    ----------
    metrics : mapping
        As `compute_metrics` returns it.

    Returns
    -------
    list of dict
        Keys ``class``, ``precision``, ``recall``, ``f1-score``, ``support``. The accuracy stands
        under ``f1-score``, its precision and recall are empty, as in scikit-learn's text.
    """
    matrix, per_class, n = np.array(metrics["confusion_matrix"]), metrics["per_class"], metrics["n"]
    scores = ("precision", "recall", "f1")
    macro = [_macro_average(matrix, per_class, score) for score in scores]
    weighted = [
        sum(row[score] * row["support"] for row in per_class.values()) / n for score in scores
    ]
    rows = [
        (name, row["precision"], row["recall"], row["f1"], row["support"])
        for name, row in per_class.items()
    ]
    rows += [
        ("accuracy", "", "", metrics["accuracy"], n),
        ("macro avg", *macro, n),
        ("weighted avg", *weighted, n),
    ]
    columns = ("class", "precision", "recall", "f1-score", "support")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def most_confused(metrics: Mapping[str, Any], count: int = 5) -> list[tuple[str, str, int]]:
    """Return the most frequent mistakes as (true class, predicted class, how often)."""
    names = metrics["class_names"]
    mistakes = np.array(metrics["confusion_matrix"])
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = [(int(cell) // len(names), int(cell) % len(names)) for cell in order]
    return [
        (names[true], names[predicted], int(mistakes[true, predicted]))
        for true, predicted in pairs
        if mistakes[true, predicted]
    ]


def percent(share: float, decimals: int = 2) -> str:
    """Return a share as text such as ``99.52 %``: 100 and 0 only where it is exactly 1 or 0."""
    if 0 < share < 1:
        step = 10.0**-decimals
        share = min(max(share, step / 100), 1 - step / 100)
    return f"{100 * share:.{decimals}f}\N{NO-BREAK SPACE}%"


def _accuracy(right: NDArray[np.bool_]) -> dict[str, Any]:
    n, correct = len(right), int(right.sum())
    return {
        "n": n,
        "errors": n - correct,
        "accuracy": correct / n,
        "accuracy_interval_95": list(wilson_interval(correct, n)),
    }


def _with_and_without(right: NDArray[np.bool_], disputed: ArrayLike) -> dict[str, Any]:
    """Return the mistakes among the disputed samples, and the accuracy on all others."""
    indices, n = np.asarray(disputed), len(right)
    if indices.size == 0:
        indices = indices.astype(np.intp)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise UsageError(
            f"disputed samples of shape {indices.shape}, {indices.dtype}: give indices"
        )
    if not np.isin(indices, np.arange(n)).all() or len(np.unique(indices)) == n:
        raise UsageError(
            f"disputed samples {indices.min()} to {indices.max()}: must be indices of some of the"
            f" {n} samples, not of all"
        )
    is_disputed = np.zeros(n, dtype=bool)
    is_disputed[indices] = True
    return {
        "disputed": {"n": int(is_disputed.sum()), "errors": int((is_disputed & ~right).sum())},
        "without_disputed": _accuracy(right[~is_disputed]),
    }


def _per_class(matrix: NDArray[np.integer], class_names: Sequence[str]) -> dict[str, Any]:
    hits, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    return {
        str(name): {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": int(support[i]),
        }
        for i, name in enumerate(class_names)
    }


def _macro_average(matrix: NDArray[np.integer], per_class: dict[str, Any], score: str) -> float:
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return float(np.mean([row[score] for row in per_class.values()], where=occurs))


def _top_2_accuracy(labels: NDArray[np.intp], probabilities: NDArray[np.floating]) -> float:
    top_2 = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return float((top_2 == labels[:, None]).any(axis=1).mean())
