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
    classification_table,
    compute_metrics,
    most_confused,
    percent,
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
    # Squared distances of the rows: 0.06, 0.14, 0.86 and 0.98.
    assert result["brier_score"] == pytest.approx(0.51)
    # The surest two are right, the others wrong.
    assert result["area_under_risk_coverage"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
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
    brier = sklearn_metrics.brier_score_loss(labels, exact, scale_by_half=False)
    assert result["brier_score"] == pytest.approx(brier, rel=1e-5)


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
    assert result["brier_score"] == result["area_under_risk_coverage"] == 0
    assert result["accuracy_interval_95"][1] == 1.0
    assert most_confused(result) == []


def test_disputed_labels_are_counted_apart() -> None:
    result = compute_metrics(LABELS, PROBABILITIES, NAMES[:3], disputed=[2, 0, 2])
    assert (result["n"], result["errors"]) == (4, 2)
    assert result["disputed"] == {"n": 2, "errors": 1}
    rest = result["without_disputed"]
    assert (rest["n"], rest["errors"], rest["accuracy"]) == (2, 1, 0.5)
    assert rest["accuracy_interval_95"] == list(wilson_interval(1, 2))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_no_disputed_labels_change_nothing() -> None:
    result = compute_metrics(LABELS, PROBABILITIES, NAMES[:3], disputed=[])
    assert result["disputed"] == {"n": 0, "errors": 0}
    assert result["without_disputed"]["accuracy"] == result["accuracy"]
    assert "disputed" not in compute_metrics(LABELS, PROBABILITIES, NAMES[:3])


@pytest.mark.parametrize(
    ("disputed", "message"),
    [
        ([4], "must be indices of some of the 4 samples"),
        ([-1], "must be indices of some of the 4 samples"),
        ([0, 1, 2, 3], "not of all"),
        ([0.5], "float64: give indices"),
        ([True, False, False, True], "bool: give indices"),
        ([[0], [1]], r"shape \(2, 1\)"),
    ],
)
def test_disputed_labels_must_be_indices_of_samples(disputed: list, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compute_metrics(LABELS, PROBABILITIES, NAMES[:3], disputed=disputed)


@pytest.mark.parametrize(("successes", "n"), [(8, 10), (0, 7), (7, 7), (9952, 10_000)])
def test_wilson_interval_agrees_with_scipy(successes: int, n: int) -> None:
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


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


@pytest.mark.parametrize("module", ["metrics", "comparison"])
def test_importing_the_numbers_is_light(module: str) -> None:
    code = (
        f"import sys, digitflow.evaluation.{module};"
        "print(*{'scipy', 'sklearn', 'pandas', 'matplotlib', 'tensorflow'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (loaded.returncode, loaded.stdout.strip()) == (0, ""), loaded.stderr
