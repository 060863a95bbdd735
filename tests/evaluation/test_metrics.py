"""Numbers checked against values worked out by hand, scikit-learn's and SciPy's."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

from digitflow.errors import UsageError
from digitflow.evaluation.metrics import (
    ACCEPT_NOTHING,
    TEMPERATURE_BOUNDS,
    apply_temperature,
    check_predictions,
    classification_table,
    compute_metrics,
    expected_calibration_error,
    fit_temperature,
    most_confused,
    percent,
    threshold_for_error_rate,
    wilson_interval,
)

NAMES = ["ant", "bee", "cat", "dog"]

# Four samples: right, right, wrong with the label second, wrong with the label third.
LABELS = np.array([0, 1, 1, 2])
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


def test_metrics_of_four_samples_by_hand() -> None:
    result = compute_metrics(LABELS, PROBABILITIES, NAMES[:3])
    assert result["n"] == 4
    assert result["errors"] == 2
    assert result["accuracy"] == 0.5
    assert result["top_2_accuracy"] == 0.75
    assert result["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert result["log_loss"] == pytest.approx(-np.log([0.8, 0.7, 0.3, 0.2]).mean())
    assert result["mean_confidence"] == pytest.approx(0.65)
    assert result["per_class"]["ant"] == pytest.approx(
        {"precision": 1 / 3, "recall": 1, "f1": 0.5, "support": 1}
    )
    assert result["per_class"]["cat"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert result["macro_f1"] == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    # Each confidence lies in a bin of its own.
    assert result["expected_calibration_error"] == pytest.approx((0.2 + 0.3 + 0.6 + 0.5) / 4)


def test_metrics_agree_with_scikit_learn() -> None:
    labels, probabilities = random_predictions()
    predicted = probabilities.argmax(axis=1)
    result = compute_metrics(labels, probabilities, NAMES)
    expected = sklearn_metrics.confusion_matrix(labels, predicted)
    assert result["confusion_matrix"] == expected.tolist()
    assert result["macro_f1"] == pytest.approx(
        sklearn_metrics.f1_score(labels, predicted, average="macro")
    )
    assert result["top_2_accuracy"] == pytest.approx(
        sklearn_metrics.top_k_accuracy_score(labels, probabilities, k=2)
    )
    exact = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    assert result["log_loss"] == pytest.approx(sklearn_metrics.log_loss(labels, exact), rel=1e-5)


def test_a_class_that_never_occurs_stays_out_of_the_macro_average() -> None:
    labels, probabilities = random_predictions(k=3)
    padded = np.column_stack([probabilities, np.zeros(len(labels), np.float32)])
    without = compute_metrics(labels, probabilities, NAMES[:3])
    result = compute_metrics(labels, padded, NAMES)
    assert result["macro_f1"] == without["macro_f1"]
    assert result["per_class"]["dog"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_metrics_are_plain_json_even_where_the_label_had_probability_zero() -> None:
    result = compute_metrics(np.array([1, 0], np.uint8), np.eye(2)[[0, 0]], ["a", "b"])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["log_loss"] > 40


def test_perfect_predictions() -> None:
    result = compute_metrics([0, 1], np.eye(2), ["a", "b"])
    assert (result["accuracy"], result["errors"], result["macro_f1"]) == (1.0, 0, 1.0)
    assert result["log_loss"] == result["expected_calibration_error"] == 0
    assert result["accuracy_interval_95"][1] == 1.0
    assert most_confused(result) == []


@pytest.mark.parametrize(("successes", "n"), [(8, 10), (0, 7), (7, 7), (9952, 10_000)])
def test_wilson_interval_agrees_with_scipy(successes: int, n: int) -> None:
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


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
    before, after = (compute_metrics(labels, p, NAMES) for p in (overconfident, calibrated))
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
        threshold_for_error_rate(LABELS, PROBABILITIES, error_rate)


@pytest.mark.parametrize(
    ("labels", "probabilities", "names", "message"),
    [
        (LABELS[:3], PROBABILITIES, None, "must be 4 integers"),
        (LABELS.astype(float), PROBABILITIES, None, "must be 4 integers"),
        (LABELS + 1, PROBABILITIES, None, r"must lie in 0 to 2"),
        (LABELS - 1, PROBABILITIES, None, r"labels from -1 to 1"),
        (LABELS, PROBABILITIES[:, 0], None, "must be floating"),
        (LABELS[:0], PROBABILITIES[:0], None, "at least one row"),
        (LABELS, PROBABILITIES * 5 - 2, None, "not logits"),
        (LABELS, PROBABILITIES * np.nan, None, "not finite"),
        (LABELS, np.full((4, 3), np.inf), None, "not finite"),
        (LABELS, PROBABILITIES, ["a", "b"], "give 3 distinct ones"),
        (LABELS, PROBABILITIES, ["a", "b", "a"], "give 3 distinct ones"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(
    labels: np.ndarray, probabilities: np.ndarray, names: list[str] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_predictions(labels, probabilities, names)


def test_classification_table_agrees_with_scikit_learn() -> None:
    labels, probabilities = random_predictions()
    rows = classification_table(compute_metrics(labels, probabilities, NAMES))
    expected = sklearn_metrics.classification_report(
        labels, probabilities.argmax(axis=1), target_names=NAMES, output_dict=True
    )
    assert [row["class"] for row in rows] == [*NAMES, "accuracy", "macro avg", "weighted avg"]
    for row in rows:
        if row["class"] == "accuracy":
            assert row["f1-score"] == pytest.approx(expected["accuracy"])
            assert row["precision"] == row["recall"] == ""
        else:
            scores = {name: row[name] for name in ("precision", "recall", "f1-score", "support")}
            assert scores == pytest.approx(expected[row["class"]])


def test_most_confused_names_true_and_predicted() -> None:
    labels, probabilities = np.array([0, 0, 2, 1]), np.eye(3)[[1, 1, 0, 1]]
    pairs = most_confused(compute_metrics(labels, probabilities, NAMES[:3]))
    assert pairs == [("ant", "bee", 2), ("cat", "ant", 1)]


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0.995, 2, "99.50 %"),
        (0.9952, 2, "99.52 %"),
        (1.0, 2, "100.00 %"),
        (0.999999, 2, "99.99 %"),
        (0.0, 1, "0.0 %"),
        (0.0001, 1, "0.1 %"),
        (0.9999, 1, "99.9 %"),
    ],
)
def test_percent_never_rounds_to_all_or_nothing(share: float, decimals: int, text: str) -> None:
    assert percent(share, decimals).replace("\N{NO-BREAK SPACE}", " ") == text


def test_importing_metrics_is_light() -> None:
    code = (
        "import sys, digitflow.evaluation.metrics;"
        "print(*{'scipy', 'sklearn', 'pandas', 'matplotlib', 'tensorflow'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (loaded.returncode, loaded.stdout.strip()) == (0, ""), loaded.stderr
