"""Risk, coverage and thresholds by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from digitflow.errors import UsageError
from digitflow.evaluation.selection import (
    ACCEPT_NOTHING,
    risk_coverage,
    threshold_for_error_rate,
)


def random_predictions(n: int = 500, k: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, k, n)
    logits = random.normal(size=(n, k))
    logits[np.arange(n), labels] += 1.5
    return labels, softmax(logits, axis=1).astype(np.float32)


def binary(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of two classes with these confidences."""
    confidence = np.array(confidences)
    return np.where(right, 0, 1), np.column_stack([confidence, 1 - confidence])


@pytest.mark.parametrize(
    ("right", "error_rate", "expected"),
    [
        ([True, True, True, True], 0.0, 0.0),
        ([True, True, True, False], 0.25, 0.0),
        ([True, True, True, False], 0.2, 0.7),
        ([True, False, True, True], 0.0, 0.9),
        # Too many errors at 0.8, few enough again further down.
        ([True, False, True, False], 0.34, 0.7),
        ([False, True, True, True], 0.0, ACCEPT_NOTHING),
        ([False, False, False, False], 1.0, 0.0),
    ],
)
def test_threshold_for_error_rate(right: list[bool], error_rate: float, expected: float) -> None:
    labels, probabilities = binary([0.9, 0.8, 0.7, 0.6], right)
    assert threshold_for_error_rate(labels, probabilities, error_rate) == expected


def test_threshold_takes_or_leaves_equal_confidences_together() -> None:
    labels, probabilities = binary([0.9, 0.8, 0.8, 0.8], [True, True, True, False])
    assert threshold_for_error_rate(labels, probabilities, 0.0) == 0.9
    assert threshold_for_error_rate(labels, probabilities, 0.25) == 0.0


def test_threshold_accepts_nothing_even_as_float32() -> None:
    assert not np.float32(1.0) >= ACCEPT_NOTHING
    assert 1 < ACCEPT_NOTHING < 1.000001


@pytest.mark.parametrize("error_rate", [0.0, 0.05, 0.1, 0.2])
def test_threshold_accepts_the_most_that_keeps_the_error_rate(error_rate: float) -> None:
    labels, probabilities = random_predictions(n=300, seed=3)
    wrong, confidence = probabilities.argmax(axis=1) != labels, probabilities.max(axis=1)

    def accepted_within_rate(threshold: float) -> int:
        accepted = confidence >= threshold
        return int(accepted.sum()) if wrong[accepted].mean() <= error_rate else 0

    threshold = threshold_for_error_rate(labels, probabilities, error_rate)
    assert 0 < threshold <= 1
    assert accepted_within_rate(threshold) == max(map(accepted_within_rate, confidence))


@pytest.mark.parametrize("error_rate", [-0.1, 1.1, float("nan")])
def test_threshold_refuses_a_rate_that_is_no_share(error_rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        threshold_for_error_rate(*binary([0.9, 0.8], [True, False]), error_rate)


def test_risk_coverage_by_hand() -> None:
    curve = risk_coverage(*binary([0.6, 0.9, 0.8, 0.7], [True, True, False, True]))
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4])
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert [curve.risk_at(coverage) for coverage in (0.1, 0.25, 0.6, 1.0)] == [0, 0, 0.5, 0.25]


def test_equal_confidences_are_one_point_whatever_their_order() -> None:
    right = [True, True, True, False]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        confidences = [[0.9, 0.8, 0.8, 0.8][place] for place in order]
        curve = risk_coverage(*binary(confidences, [right[place] for place in order]))
        assert (curve.coverage.tolist(), curve.risk.tolist()) == ([0.25, 1.0], [0, 0.25])
        assert curve.area == pytest.approx(0.75 * 0.25)


def test_area_lies_between_the_ideal_order_and_the_worst() -> None:
    labels, probabilities = random_predictions()
    wrong = np.sort(probabilities.argmax(axis=1) != labels)
    ideal, worst = (
        (np.cumsum(order) / np.arange(1, len(order) + 1)).mean() for order in (wrong, wrong[::-1])
    )
    assert ideal < risk_coverage(labels, probabilities).area < wrong.mean() < worst
    assert risk_coverage([0, 1], np.eye(2)).area == 0
