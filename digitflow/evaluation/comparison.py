"""Runs beside each other: the spread over seeds, and whether one model is better than another.

Loads NumPy alone at import.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from digitflow.errors import UsageError


@dataclass(frozen=True)
class Summary:
    """A number measured in several runs of one recipe, which differ in the seed alone."""

    n: int  # runs
    mean: float
    deviation: float | None  # sample standard deviation, divisor n - 1; None for a single run
    minimum: float
    maximum: float


def summarise(values: ArrayLike) -> Summary:
    """Return mean, sample standard deviation, minimum and maximum of one number over runs.

    Parameters
    ----------
    values : array-like of shape (n,), n at least 1

    Raises
    ------
    UsageError
        If there are no values, or one is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise UsageError(f"scores {values.tolist()}: give at least one, all finite")
    return Summary(
        n=len(values),
        mean=float(values.mean()),
        deviation=float(values.std(ddof=1)) if len(values) > 1 else None,
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def summarise_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Summary]:
    """Return a summary of each single number that all runs have, in the first run's order.

    Parameters
    ----------
    runs : sequence of mapping
        One per seed, each as `digitflow.evaluation.metrics.compute_metrics` returns it.

    Raises
    ------
    UsageError
        If there is no run, or a number is not finite.
    """
    if not runs:
        raise UsageError("no runs to summarise: give the metrics of at least one")
    numbers = [name for name in runs[0] if all(_is_number(run.get(name)) for run in runs)]
    return {name: summarise([run[name] for run in runs]) for name in numbers}


@dataclass(frozen=True)
class PairedComparison:
    """Two sets of predictions on the same samples; only those that one alone gets right count."""

    lost: int  # the first is right, the second wrong
    gained: int  # the first is wrong, the second right
    p_value: float  # two-sided: of so great a difference if both were equally good
    p_worse: float  # one-sided: of so many lost if the second were as good as the first


def compare_predictions(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> PairedComparison:
    """Compare two sets of predictions by McNemar's test in its exact form.

    Under the null hypothesis each sample that one alone gets right is as likely to be one's as the
    other's, so that `lost` follows the binomial distribution of `lost` + `gained` fair draws.

    Parameters
    ----------
    labels, first, second : array-like of shape (n,), integer
        True classes and the two predictions.

    Raises
    ------
    UsageError
        If the shapes differ.

    References
    ----------
    McNemar, Q. (1947). Note on the sampling error of the difference between correlated
    proportions or percentages. Psychometrika 12. Dietterich, T. G. (1998). Approximate statistical
    tests for comparing supervised classification learning algorithms. Neural Computation 10.
    """
    from scipy.stats import binomtest

    labels, first, second = (np.asarray(values) for values in (labels, first, second))
    if not labels.shape == first.shape == second.shape:
        raise UsageError(
            f"labels and predictions of shapes {labels.shape}, {first.shape} and {second.shape}:"
            " must be equal, one entry per sample"
        )
    lost = int(((first == labels) & (second != labels)).sum())
    gained = int(((first != labels) & (second == labels)).sum())
    if lost + gained == 0:
        return PairedComparison(0, 0, p_value=1.0, p_worse=1.0)
    both = binomtest(lost, lost + gained)
    worse = binomtest(lost, lost + gained, alternative="greater")
    return PairedComparison(lost, gained, float(both.pvalue), float(worse.pvalue))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
