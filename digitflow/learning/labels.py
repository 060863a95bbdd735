"""What the estimators accept as labels and weights, and what the training gets."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from digitflow.errors import UsageError
from digitflow.learning.inputs import check_number


def learn_classes(y: np.ndarray) -> np.ndarray:
    """Return the sorted classes among the labels.

    Raises
    ------
    UsageError
        If there is only one: a classifier needs two.
    ValueError
        If the labels are no classes, by scikit-learn's check.
    """
    check_classification_targets(y)
    try:
        classes = np.unique(y)
    except TypeError as error:
        raise UsageError("y mixes types or lacks labels; labels are integers or strings") from error
    if len(classes) < 2:
        raise UsageError(f"y holds one class only ({classes[0]!r}); a classifier needs two")
    return classes


def agree_on_classes(named: Any, known: np.ndarray | None) -> np.ndarray:
    """Return the classes of a training in parts, from those named now and those known before.

    Raises
    ------
    UsageError
        If none are named at first, or others than the known ones later.
    """
    if named is None:
        if known is None:
            raise UsageError("classes: the first call of partial_fit must name them all")
        return known
    classes = learn_classes(column_or_1d(named))
    if known is not None and not np.array_equal(classes, known):
        raise UsageError(
            f"classes={classes.tolist()} are not those of the first call, {known.tolist()}"
        )
    return classes


def encode(y: Any, classes: np.ndarray, name: str = "y") -> np.ndarray:
    """Return each label as its place among the classes, int64.

    Raises
    ------
    UsageError
        If a label is none of the classes, or text where they are numbers.
    """
    labels = column_or_1d(y, warn=True)
    if _is_text(labels) != _is_text(classes):  # numpy would compare 3 with "3" as texts
        kinds = [("text" if _is_text(array) else "numbers") for array in (labels, classes)]
        raise UsageError(
            f"{name} holds {kinds[0]}, {labels[:3].tolist()}, but the classes are {kinds[1]}, "
            f"{classes[:10].tolist()}; give the same kind"
        )
    unknown = np.setdiff1d(labels, classes)
    if len(unknown):
        raise UsageError(
            f"{name} holds labels that are none of the classes, {unknown[:3].tolist()}; "
            f"the classes are {classes[:10].tolist()}"
        )
    return np.searchsorted(classes, labels).astype(np.int64)


def _is_text(labels: np.ndarray) -> bool:
    return isinstance(labels[0], str) if labels.dtype.kind == "O" else labels.dtype.kind in "UT"


def weights_of(
    sample_weight: Any, class_weight: Any, y: np.ndarray, classes: np.ndarray
) -> np.ndarray | None:
    """Return the weight of each image in the loss, float64 (n,), a copy; None if all are 1.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), a number, or None
    class_weight : "balanced", dict of class to weight, or None
    y : ndarray of shape (n,)
        The labels.
    classes : ndarray of shape (n_classes,)
        All of them: a part of the data may lack some.

    Raises
    ------
    UsageError
        If a weight is negative, or all that is left weighs nothing or is of one class.
    ValueError
        If a weight is not a number, or there is not one for each image.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(y))
    if sample_weight is not None:
        given = np.asarray(sample_weight)
        if given.ndim == 0:
            given = np.full(len(y), given)
        given = check_array(given, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
        if given.ndim != 1:
            raise UsageError(f"sample_weight has shape {given.shape}; give one for each of y")
        check_consistent_length(given, y)
        if (given < 0).any():
            raise UsageError(f"sample_weight has {given.min():g}; weights are 0 or more")
        weights = weights * given
    if class_weight is not None:
        weights = weights * _class_weights(class_weight, y, classes)
    _check_something_weighs(weights, y)
    return weights


def _class_weights(class_weight: Any, y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    if class_weight != "balanced" and not isinstance(class_weight, dict):
        raise UsageError(
            f"class_weight={class_weight!r}: must be 'balanced', a dict of class to weight, or None"
        )
    if isinstance(class_weight, dict):
        unknown = set(class_weight) - set(classes.tolist())
        if unknown:
            raise UsageError(
                f"class_weight names {sorted(map(str, unknown))}, which are none of the classes "
                f"{classes[:10].tolist()}"
            )
        for name, weight in class_weight.items():
            check_number(f"class_weight[{name!r}]", weight, Real, 0)
    return compute_sample_weight(class_weight, y)


def _check_something_weighs(weights: np.ndarray, y: np.ndarray) -> None:
    left = np.unique(y[weights > 0])
    if len(left) == 0:
        raise UsageError(
            "sample_weight and class_weight are zero for all images; give some a weight"
        )
