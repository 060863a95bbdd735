"""What fits together and what is refused."""

import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.evaluation.predictions import check_predictions, logarithms_of, predictions_of

LABELS = np.array([0, 1, 1, 2])
PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.5, 0.3, 0.2]])


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


def test_what_fits_comes_back_as_indices_and_probabilities() -> None:
    labels, probabilities = check_predictions(LABELS.astype(np.uint8), PROBABILITIES, list("abc"))
    assert labels.dtype == np.intp
    predicted, confidence = predictions_of(probabilities)
    assert predicted.tolist() == [0, 1, 0, 0]
    assert confidence.tolist() == [0.8, 0.7, 0.6, 0.5]


def test_logarithm_of_nothing_is_finite() -> None:
    result = logarithms_of(np.array([[1.0, 0.0]], np.float32))
    assert result[0, 0] == 0
    assert -90 < result[0, 1] < -80
