"""Holding part of a data set out, so that what is measured on it holds for new writers."""

import numpy as np

from digitflow.errors import UsageError


def split_by_writer(
    labels: np.ndarray, writers: np.ndarray | None, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Split the images of a data set into those to train with and those to validate with.

    Where the writers are known, whole writers are held out: a network recognises a hand it has
    seen before, and digits of the same hand on both sides flatter it. Where they are not, or too
    few for a part of about that size, the split is random and keeps the shares of the classes.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
        The class of each image.
    writers : ndarray of shape (n,), int, or None
        Who wrote each image.
    fraction : float
        About which part of the images to hold out, in (0, 0.5].
    seed : int
        The same seed gives the same split.

    Returns
    -------
    train_indices, validation_indices : ndarray of int64
        Each in ascending order; together every image once. Every class is in the first.
    by_writer : bool
        Whether whole writers are held out; otherwise the split is random.

    Raises
    ------
    UsageError
        If the fraction is out of range, the lengths differ, or nothing can be held out.
    """
    if not 0 < fraction <= 0.5:
        raise UsageError(f"fraction {fraction}: must be above 0 and at most 0.5")
    if writers is not None and len(writers) != len(labels):
        raise UsageError(f"{len(writers)} writers for {len(labels)} labels: give one for each")
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), bool)
    if writers is not None:
        held_out = _choose_writers(labels, writers, fraction, generator)
    by_writer = bool(held_out.any())
    if not by_writer:
        held_out = _choose_in_each_class(labels, fraction, generator)
    if not held_out.any():
        raise UsageError(
            f"{len(labels)} images: too few to hold out a fraction of {fraction}; give more images"
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out), by_writer


def _choose_writers(
    labels: np.ndarray, writers: np.ndarray, fraction: float, generator: np.random.Generator
) -> np.ndarray:
    """Return which images to hold out, (n,) bool: writers in random order, as long as they fit."""
    names, writer_of = np.unique(writers, return_inverse=True)
    classes, class_of = np.unique(labels, return_inverse=True)
    shape = (len(names), len(classes))
    counts = np.bincount(writer_of * len(classes) + class_of, minlength=len(names) * len(classes))
    counts = counts.reshape(shape)  # images of each writer and class
    room = fraction * len(labels)
    remaining = counts.sum(axis=0)
    chosen = np.zeros(len(names), bool)
    for writer in generator.permutation(len(names)):
        # Half a writer over is as near as half a writer under.
        if counts[writer].sum() <= 2 * room and (remaining > counts[writer]).all():
            chosen[writer] = True
            room -= counts[writer].sum()
            remaining = remaining - counts[writer]
    return chosen[writer_of]


def _choose_in_each_class(
    labels: np.ndarray, fraction: float, generator: np.random.Generator
) -> np.ndarray:
    """Return which images to hold out, (n,) bool: at even distances in a random order by class."""
    order = generator.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    steps = np.floor(np.arange(len(labels) + 1) * fraction + 0.5)
    held_out = np.zeros(len(labels), bool)
    held_out[order] = np.diff(steps) > 0
    classes, counts = np.unique(labels, return_counts=True)
    held_out[np.isin(labels, classes[counts == 1])] = False
    return held_out
