"""From probabilities to what may be relied on: `ok`, `uncertain` or `rejected`."""

import numpy as np

from digitflow.models.bundle import Bundle

#: Status, reason and message.
Judgement = tuple[str, str | None, str | None]

#: Of an image without ink.
BLANK: Judgement = ("blank", "no_ink", "nothing is written here")

#: Of digits that touch in a way that leaves open where to part them.
TOUCHING: Judgement = (
    "uncertain",
    "touching",
    "touches its neighbour; where to part them is not clear",
)

#: Of a picture that was to show one digit.
SEVERAL: Judgement = (
    "uncertain",
    "several",
    "more than one thing is written here; --multi, ?multi=true or read_all reads each",
)


_DIGITS = frozenset("0123456789")


def digit_of(class_name: str | None) -> int | None:
    """Return a class as a number where it is one digit, else None."""
    return int(class_name) if class_name in _DIGITS else None


def familiarity(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return how much images look like anything that a model has learned.

    It is the share of the two most probable classes before calibration. A digit between two classes
    keeps it; what looks like none, of which the model learned to be unsure, does not.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), float
        Calibrated.
    temperature : float
        That calibrated them.

    Returns
    -------
    ndarray of shape (n,), float
        2 / n_classes to 1.
    """
    # Of the highest, so that no temperature makes all of them too small for a number.
    before = (probabilities / probabilities.max(axis=1, keepdims=True)) ** temperature
    highest = np.partition(before, -2, axis=1)[:, -2:]
    return highest.sum(axis=1) / before.sum(axis=1)


def judge(confidence: float, familiar: float, bundle: Bundle) -> Judgement:
    """Return status, reason and message of a digit.

    Parameters
    ----------
    confidence : float
        Its calibrated probability.
    familiar : float
        Its `familiarity`.
    bundle : Bundle
        Whose thresholds decide.
    """
    if familiar < bundle.rejected_below:
        message = f"looks like no digit: familiarity {familiar:.3f} < {bundle.rejected_below:.3f}"
        return "rejected", "not_a_digit", message
    if confidence < bundle.uncertain_below:
        message = f"confidence {confidence:.3f} is below {bundle.uncertain_below:.3f}"
        return "uncertain", "low_confidence", message
    return "ok", None, None
