"""Which readings may be relied on."""

from types import SimpleNamespace

import numpy as np
import pytest

from digitflow.models.judging import familiarity, judge

BUNDLE = SimpleNamespace(uncertain_below=0.8, rejected_below=0.6)


def calibrated(logits: list[float], temperature: float) -> np.ndarray:
    exponentials = np.exp(np.array([logits]) / temperature)
    return (exponentials / exponentials.sum()).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_familiarity_is_the_share_of_the_best_two_before_calibration(temperature: float) -> None:
    logits = [3.0, 1.0, 0.0, -2.0]
    shares = np.exp(logits) / np.exp(logits).sum()
    found = familiarity(calibrated(logits, temperature), temperature)
    assert found == pytest.approx([shares[:2].sum()], rel=1e-4)


def test_a_digit_between_two_classes_is_familiar_and_what_is_like_none_is_not() -> None:
    between, none = [4.0, 4.0, *[0.0] * 8], [1.0, 0.8, *[0.5] * 8]
    assert familiarity(calibrated(between, 0.4), 0.4)[0] > 0.9
    assert familiarity(calibrated(none, 0.4), 0.4)[0] < 0.4


def test_probabilities_of_nothing_are_no_trouble() -> None:
    sure = np.array([[1.0, 0.0, 0.0]], np.float32)
    assert familiarity(sure, 0.4).tolist() == [1.0]


@pytest.mark.parametrize(
    ("confidence", "familiar", "status", "reason"),
    [
        (0.9, 0.9, "ok", None),
        (0.8, 0.6, "ok", None),
        (0.79, 0.9, "uncertain", "low_confidence"),
        (0.99, 0.59, "rejected", "not_a_digit"),
        (0.2, 0.3, "rejected", "not_a_digit"),
    ],
)
def test_both_thresholds_decide(confidence, familiar, status, reason) -> None:
    found = judge(confidence, familiar, BUNDLE)
    assert found[:2] == (status, reason)
    assert (found[2] is None) == (status == "ok")


def test_no_temperature_makes_familiarity_of_nothing() -> None:
    even = np.full((1, 10), 0.1, np.float32)
    assert familiarity(even, 100.0) == pytest.approx([0.2])
