"""Spread over runs and McNemar's test, by hand."""

import math

import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.evaluation.comparison import (
    Summary,
    compare_predictions,
    summarise,
    summarise_runs,
)


def test_summary_by_hand() -> None:
    result = summarise([0.990, 0.995, 0.991])
    # Distances from the mean: 2, 3 and 1 thousandths; divided by n - 1.
    assert result.mean == pytest.approx(0.992)
    assert result.deviation == pytest.approx(math.sqrt((4 + 9 + 1) / 2) / 1000)
    assert (result.n, result.minimum, result.maximum) == (3, 0.990, 0.995)


def test_a_single_run_has_no_deviation() -> None:
    assert summarise([0.5]) == Summary(1, 0.5, None, 0.5, 0.5)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [[0.5]]])
def test_what_cannot_be_summarised_is_refused(values: list) -> None:
    with pytest.raises(UsageError, match="at least one, all finite"):
        summarise(values)


def test_runs_are_summarised_by_each_number_they_share() -> None:
    runs = [
        {"accuracy": 0.9, "errors": 10, "class_names": ["a"], "promoted": True, "extra": 1},
        {"accuracy": np.float64(0.8), "errors": 20, "class_names": ["a"], "promoted": False},
    ]
    result = summarise_runs(runs)
    assert list(result) == ["accuracy", "errors"]
    assert result["errors"] == Summary(2, 15, pytest.approx(math.sqrt(50)), 10, 20)
    with pytest.raises(UsageError, match="no runs"):
        summarise_runs([])


def predictions(both: int, lost: int, gained: int, neither: int) -> tuple[np.ndarray, ...]:
    """Return labels and two predictions that are right together so often, and alone so often."""
    counts = [both, lost, gained, neither]
    first, second = (np.repeat(right, counts) for right in ([1, 1, 0, 0], [1, 0, 1, 0]))
    return np.ones(sum(counts), int), first, second


@pytest.mark.parametrize(
    ("lost", "gained", "p_value", "p_worse"),
    [
        # Of 2^6 outcomes of six fair draws, 1 + 6 have at most one on one side.
        (1, 5, 2 * 7 / 64, 63 / 64),
        (5, 1, 2 * 7 / 64, 7 / 64),
        (8, 0, 2 / 256, 1 / 256),
        (3, 3, 1.0, (20 + 15 + 6 + 1) / 64),
        (0, 0, 1.0, 1.0),
    ],
)
def test_mcnemar_by_hand(lost: int, gained: int, p_value: float, p_worse: float) -> None:
    result = compare_predictions(*predictions(50, lost, gained, 4))
    assert (result.lost, result.gained) == (lost, gained)
    assert result.p_value == pytest.approx(p_value)
    assert result.p_worse == pytest.approx(p_worse)


def test_predictions_that_do_not_pair_are_refused() -> None:
    with pytest.raises(UsageError, match="must be equal, one entry per sample"):
        compare_predictions([0, 1], [0, 1], [0])
