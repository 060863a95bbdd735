"""Labels and probabilities into numbers: accuracy with its uncertainty, calibration, thresholds.

Loads NumPy alone at import, because scoring applies the temperature that was fitted here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError

#: Two-sided 95 % quantile of the standard normal distribution.
Z_95 = 1.959963984540054

#: Bins of the expected calibration error, as in Guo et al. 2017.
CALIBRATION_BINS = 15

#: The range in which `fit_temperature` searches.
TEMPERATURE_BOUNDS = (0.05, 20.0)

#: A row of probabilities may miss 1 by this much: an int8 model rounds each to 1/256.
ROW_SUM_TOLERANCE = 0.1

#: Stands in for probability 0, whose logarithm is infinite: the smallest normal float32.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)

#: What no confidence reaches, in float32 as well: the next float32 after 1.
ACCEPT_NOTHING = float(np.nextafter(np.float32(1), np.float32(2)))


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


def compute_metrics(
    labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]
) -> dict[str, Any]:
    """Return everything the report says about a set of predictions, ready for JSON.

    Parameters
    ----------
    labels : array-like of shape (n,), integer
        Index of the true class.
    probabilities : array-like of shape (n, k), floating
    class_names : sequence of k distinct str

    Returns
    -------
    dict
        ``n``, ``errors``, ``accuracy``, ``accuracy_interval_95`` (Wilson), ``macro_f1``,
        ``top_2_accuracy``, ``log_loss`` (mean negative log-likelihood, nats),
        ``expected_calibration_error``, ``mean_confidence``, ``class_names``,
        ``per_class`` (name to ``precision``, ``recall``, ``f1``, ``support``) and
        ``confusion_matrix`` (k rows of k counts; rows are the true class).
        Where a share is 0/0 it is 0. ``macro_f1`` leaves out classes that occur neither among the
        labels nor among the predictions, as scikit-learn does.

    Raises
    ------
    UsageError
        See `check_predictions`.
    """
    labels, probabilities = check_predictions(labels, probabilities, class_names)
    n, k = probabilities.shape
    predicted, confidence = predictions_of(probabilities)
    right = predicted == labels
    correct = int(right.sum())
    matrix = np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)
    per_class = _per_class(matrix, class_names)
    return {
        "n": n,
        "errors": n - correct,
        "accuracy": correct / n,
        "accuracy_interval_95": list(wilson_interval(correct, n)),
        "macro_f1": _macro_average(matrix, per_class, "f1"),
        "top_2_accuracy": _top_2_accuracy(labels, probabilities),
        "log_loss": float(-_log(probabilities)[np.arange(n), labels].mean()),
        "expected_calibration_error": expected_calibration_error(right, confidence),
        "mean_confidence": float(confidence.mean(dtype=np.float64)),
        "class_names": [str(name) for name in class_names],
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
    }


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


def expected_calibration_error(
    right: NDArray[np.bool_], confidence: NDArray[np.floating], bins: int = CALIBRATION_BINS
) -> float:
    """Return the mean distance between confidence and accuracy over bins of equal width.

    Parameters
    ----------
    right : ndarray of shape (n,), bool
        Whether the prediction is the true class.
    confidence : ndarray of shape (n,), floating
        Probability of the predicted class.
    bins : int
        Number of intervals (a, b] of equal width from 0 to 1.

    References
    ----------
    Guo, C. et al. (2017). On calibration of modern neural networks. ICML. Equation 3, 15 bins.
    """
    confidence = confidence.astype(np.float64)
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    gap = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


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
    logarithms = _log(probabilities)
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
        No negative ones; n may be 0. A probability of 0 counts as `SMALLEST_PROBABILITY`.
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
    scaled = _log(probabilities) / temperature
    return np.exp(scaled - _log_sum_exp(scaled)).astype(probabilities.dtype)


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
    labels, probabilities = check_predictions(labels, probabilities)
    predicted, confidence = predictions_of(probabilities)
    surest_first = np.argsort(-confidence, kind="stable")
    confidence = confidence[surest_first]
    wrong = (predicted != labels)[surest_first]
    error_share = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    # Only after the last of equal confidences can a line be drawn.
    is_last_of_equals = np.append(confidence[1:] != confidence[:-1], True)
    possible = np.flatnonzero(is_last_of_equals & (error_share <= error_rate))
    if len(possible) == 0:
        return ACCEPT_NOTHING
    if possible[-1] == len(wrong) - 1:
        return 0.0
    return float(confidence[possible[-1]])


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


def _log(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY, dtype=np.float64))


def _log_sum_exp(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(sum(exp(values))) of each row, shape (n, 1), without overflow."""
    largest = values.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(values - largest).sum(axis=1, keepdims=True))


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
