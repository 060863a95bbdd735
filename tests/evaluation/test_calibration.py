"""Reliability by hand, and temperatures that were known before."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from digitflow.errors import UsageError
from digitflow.evaluation.calibration import (
    TEMPERATURE_BOUNDS,
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
)
from digitflow.evaluation.metrics import compute_metrics

PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.5, 0.3, 0.2]])


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


def test_calibration_error_weighs_each_bin_by_its_samples() -> None:
    right = np.array([True, False, True, True])
    confidence = np.array([0.9, 0.9, 1.0, 1.0], np.float32)
    assert expected_calibration_error(right, confidence) == pytest.approx(0.5 * 0.4, abs=1e-6)
    # In one bin for all, 3 of 4 are right at a mean confidence of 0.95.
    assert expected_calibration_error(right, confidence, bins=1) == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_fit_recovers_a_known_temperature(temperature: float) -> None:
    random = np.random.default_rng(1)
    logits = random.normal(scale=2, size=(20_000, 10))
    truth = softmax(logits, axis=1)
    labels = (truth.cumsum(axis=1) > random.random((len(truth), 1))).argmax(axis=1)
    miscalibrated = softmax(logits * temperature, axis=1).astype(np.float32)
    assert fit_temperature(labels, miscalibrated) == pytest.approx(temperature, rel=0.03)


def test_fitted_temperature_lowers_log_loss_and_calibration_error() -> None:
    labels, probabilities = random_predictions(n=5000)
    overconfident = softmax(3 * np.log(probabilities), axis=1)
    calibrated = apply_temperature(overconfident, fit_temperature(labels, overconfident))
    before, after = (compute_metrics(labels, p, list("abcd")) for p in (overconfident, calibrated))
    assert after["log_loss"] < before["log_loss"]
    assert after["expected_calibration_error"] < before["expected_calibration_error"] / 3
    assert after["accuracy"] == before["accuracy"]


def test_temperature_is_one_where_the_data_cannot_tell() -> None:
    assert fit_temperature(*binary([0.9, 0.8], [True, True])) == 1.0
    assert fit_temperature([0, 1], np.full((2, 2), 0.5)) == 1.0


def test_temperature_stays_in_bounds_where_everything_is_wrong() -> None:
    temperature = fit_temperature([1, 0], np.eye(2))
    assert temperature == pytest.approx(TEMPERATURE_BOUNDS[1], rel=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 20.0])
def test_apply_temperature_keeps_type_order_and_sums(dtype: type, temperature: float) -> None:
    rows = [[1, 0, 0], [0.5, 0.3, 0.2], [1 - 2e-30, 1e-30, 1e-30], [1e-45, 1, 1e-38]]
    probabilities = np.array(rows, dtype)
    with np.errstate(all="raise", under="ignore"):
        result = apply_temperature(probabilities, temperature)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(result.argmax(axis=1), probabilities.argmax(axis=1))
    if temperature == 1.0:
        np.testing.assert_allclose(result, probabilities, rtol=1e-6, atol=1e-37)


def test_apply_temperature_by_hand_and_to_nothing() -> None:
    result = apply_temperature(np.array([[0.8, 0.2]]), 0.5)
    np.testing.assert_allclose(result, [[0.64 / 0.68, 0.04 / 0.68]])
    assert apply_temperature(np.empty((0, 10), np.float32), 2.0).shape == (0, 10)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_apply_temperature_refuses_what_is_none(temperature: float) -> None:
    with pytest.raises(UsageError, match="must be a positive number"):
        apply_temperature(PROBABILITIES, temperature)


def test_reliability_bins_by_hand() -> None:
    right = np.array([True, False, True, True, False])
    confidence = np.array([0.9, 0.9, 1.0, 1.0, 0.5], np.float32)
    bins = reliability_bins(right, confidence, bins=10)
    # A confidence on the edge of two bins belongs to the lower one.
    assert bins.count.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 2, 2]
    assert bins.correct.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    assert bins.accuracy.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 0.5, 1]
    assert bins.confidence[[4, 8, 9]] == pytest.approx([0.5, 0.9, 1.0])


def test_calibration_error_is_the_gap_of_the_reliability_bins() -> None:
    labels, probabilities = random_predictions()
    right, confidence = probabilities.argmax(axis=1) == labels, probabilities.max(axis=1)
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean(dtype=np.float64))
            expected += gap * inside.mean()
    assert expected_calibration_error(right, confidence) == pytest.approx(expected)
