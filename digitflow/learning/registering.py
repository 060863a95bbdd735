"""The last stage of a training run: a draft becomes a bundle, and current if it deserves it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from digitflow.datasets.preparing import PreparedData, find_difference, open_prepared
from digitflow.errors import BundleError, UnknownModelError
from digitflow.evaluation.comparison import compare_predictions
from digitflow.learning.drafts import library_versions, read_draft
from digitflow.models.bundle import Bundle, write_bundle
from digitflow.models.predictor import Predictor
from digitflow.models.registry import promote

#: A new model counts as worse if it being no better than even has less than this probability.
_SIGNIFICANCE = 0.05


def register_draft(
    prepared: Path, draft: Path, destination: Path, *, command: str, may_promote: bool = True
) -> dict[str, Any]:
    """Turn the draft into a bundle, and promote it if it is not worse than the current version.

    Parameters
    ----------
    prepared : Path
    draft : Path
    destination : Path
        `models/<name>/<version>`, which must not exist yet.
    command : str
        How the run was started, for the manifest.
    may_promote : bool
        False leaves the current version as it is.

    Returns
    -------
    dict
        `folder` and `model` (name@version) of the bundle, its `model_id`, whether it was
        `promoted`, and the `outcome` in a sentence.
    """
    data = open_prepared(prepared)
    bundle = write_bundle(
        draft, destination, _manifest(data, read_draft(draft), destination, command)
    )
    promoted, reason = False, "promotion was not asked for"
    if may_promote:
        promoted, reason = _compare_with_current(data, bundle)
    if promoted:
        promote(bundle)
    return {
        "folder": str(destination),
        "model": f"{bundle.name}@{bundle.version}",
        "model_id": bundle.model_id,
        "promoted": promoted,
        "outcome": f"{'promoted' if promoted else 'not promoted'}: {reason}",
    }


def is_worse(labels: np.ndarray, old: np.ndarray, new: np.ndarray) -> bool:
    """Tell whether new predictions are significantly worse than old ones on the same images.

    The exact, one-sided form of McNemar's test: only images that one reads rightly and the other
    wrongly count (McNemar 1947; Dietterich 1998).

    Parameters
    ----------
    labels, old, new : ndarray of shape (n,), int
        True classes and the two predictions.
    """
    return compare_predictions(labels, old, new).p_worse < _SIGNIFICANCE


def _compare_with_current(data: PreparedData, bundle: Bundle) -> tuple[bool, str]:
    """Return whether to promote a bundle, and why; decided on the validation images."""
    try:
        current = Predictor.load(bundle.name)
    except UnknownModelError:
        return True, "it is the first version"
    except BundleError as error:
        return True, f"the current version cannot be used ({error})"
    difference = _find_difference(current.bundle, bundle)
    if difference:
        return False, (
            f"{difference}, so the two cannot be compared; "
            f"digitflow models promote {bundle.name}@{bundle.version} makes it current all the same"
        )
    images, labels = data.load("validation")
    old = current.predict_proba(images).argmax(axis=1)
    new = Predictor(bundle).predict_proba(images).argmax(axis=1)
    counts = (
        f"{int((new != labels).sum())} errors on {len(labels):,} validation images, "
        f"the current version ({current.bundle.version}) {int((old != labels).sum())}"
    )
    if is_worse(labels, old, new):
        return False, f"it is worse: {counts}"
    return True, f"it is not worse: {counts}"


def _find_difference(current: Bundle, new: Bundle) -> str | None:
    """Return in what the data of two versions differ, if a comparison would not be fair."""
    if current.class_names != new.class_names:
        return "its classes are not those of the current version"
    difference = find_difference(current.manifest.get("data", {}), new.manifest["data"])
    if difference:
        return f"the current version was {difference}"
    known, learned = current.manifest.get("options", {}), new.manifest["options"]
    if any(known.get(drawn, 0) and not learned[drawn] for drawn in ("drawn_digits", "outliers")):
        # What these are for, the validation images do not show.
        return "the current version learned from drawn pictures as well"
    return None


def _manifest(
    data: PreparedData, facts: dict[str, Any], destination: Path, command: str
) -> dict[str, Any]:
    return {
        "name": destination.parent.name,
        "version": destination.name,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "estimator": facts["estimator"],
        "class_names": data.facts["class_names"],
        "input": "float32 (n, 28, 28, 1) in 0..1, ink bright on black, placed as in MNIST",
        "output": "logits; probabilities are softmax(logits / temperature)",
        "temperature": facts["temperature"],
        "thresholds": facts["thresholds"],
        "reference": facts["reference"],
        "data": dict(data.facts),
        "note": facts["note"],
        "options": facts["options"],
        "fit_seconds": facts["seconds"],
        "metrics": {"test": facts["metrics"], "validation": facts["validation_metrics"]},
        "tflite": facts["tflite"],
        "libraries": library_versions(),
    }
