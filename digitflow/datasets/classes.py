"""Labels of any make, numbers or words, into class names and indices."""

import re

import numpy as np

from digitflow.errors import DatasetError

#: More are hardly classes: most likely something else was taken for the labels.
MAX_CLASSES = 1000
MAX_LENGTH = 100  # characters of a label


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts numbers within names by value: 2 before 10, x9 before x10."""
    pieces = re.findall(r"([0-9]+)|([^0-9]+)", name)
    return [(0, int(digits), digits) if digits else (1, 0, word) for digits, word in pieces]


def name_labels(labels: np.ndarray, where: str) -> np.ndarray:
    """Return labels as names: whole numbers in their shortest form, words without outer blanks.

    Parameters
    ----------
    labels : ndarray of shape (n,) or (n, 1), of numbers or strings
    where : str
        What messages call them.

    Returns
    -------
    ndarray of shape (n,), str

    Raises
    ------
    DatasetError
        If they are of another shape or kind, or a label is empty or no whole number.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DatasetError(f"{where}: labels have shape {labels.shape}; give one for each image")
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels % 1 == 0).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "biu":
        return labels.astype(np.int64).astype(str)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind != "U":
        raise DatasetError(f"{where}: labels are {labels.dtype}; give whole numbers or words")
    distinct, which = np.unique(labels, return_inverse=True)
    names = [re.sub(r"^0*([0-9]+)(\.0*)?$", r"\1", name.strip()) for name in distinct]
    for name in names:
        if not name or not name.isprintable() or len(name) > MAX_LENGTH:
            raise DatasetError(
                f"{where}: {name!r:.80} is no label; give each image a number or a word"
            )
    return np.array(names, str)[which]


def list_classes(names: np.ndarray, where: str) -> tuple[str, ...]:
    """Return the distinct names, sorted naturally.

    Raises
    ------
    DatasetError
        If they are fewer than 2 or more than `MAX_CLASSES`.
    """
    classes = sorted(np.unique(names).tolist(), key=natural_key)
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DatasetError(
            f"{where}: has {len(classes):,} classes; give labels of 2 to {MAX_CLASSES:,} classes"
        )
    return tuple(classes)


def index_labels(names: np.ndarray, class_names: tuple[str, ...], where: str) -> np.ndarray:
    """Return which class each name is, (n,) int64.

    Raises
    ------
    DatasetError
        If a name is none of the classes.
    """
    index = {name: number for number, name in enumerate(class_names)}
    distinct, which = np.unique(names, return_inverse=True)
    for name in distinct.tolist():
        if name not in index:
            raise DatasetError(
                f"{where}: the test part has the class {name!r}, the training part has not;"
                " give both the same classes"
            )
    return np.array([index[name] for name in distinct.tolist()], np.int64)[which]
