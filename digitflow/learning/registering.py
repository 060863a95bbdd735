"""The last stage of a training run: a draft becomes a bundle, and current if it deserves it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digitflow.datasets.preparing import PreparedData, open_prepared
from digitflow.learning.drafts import library_versions, read_draft
from digitflow.learning.promotion import current_predictor
from digitflow.models.bundle import WEIGHTS, Bundle, write_bundle
from digitflow.models.promotions import promote


def register_draft(
    prepared: Path, draft: Path, destination: Path, *, command: str, may_promote: bool = True
) -> dict[str, Any]:
    """Turn the draft into a bundle, and promote it if it is not worse than the current version.

    Parameters
    ----------
    prepared : Path
    draft : Path
        Fitted, exported, compared and evaluated.
    destination : Path
        `models/<name>/<version>`, which must not exist yet.
    command : str
        How the run was started, for the manifest.
    may_promote : bool
        False leaves the current version as it is.

    Returns
    -------
    dict
        `folder` and `model` (name@version) of the bundle, its `model_id` and `weights_digest`
        (SHA-256 of the weights' file), whether it was `promoted`, and the `outcome` in a sentence.
    """
    data, facts = open_prepared(prepared), read_draft(draft)
    bundle = write_bundle(draft, destination, _manifest(data, facts, destination, command))
    promoted, reason = False, "promotion was not asked for"
    if may_promote:
        promoted, reason = _decide(bundle, facts["comparison"])
    if promoted:
        promote(bundle, reason)
    return {
        "folder": str(destination),
        "model": f"{bundle.name}@{bundle.version}",
        "model_id": bundle.model_id,
        "weights_digest": bundle.manifest["files"][WEIGHTS]["sha256"],
        "promoted": promoted,
        "outcome": f"{'promoted' if promoted else 'not promoted'}: {reason}",
    }


def _decide(bundle: Bundle, comparison: dict[str, Any]) -> tuple[bool, str]:
    """Return whether to promote a bundle, and why, by what its draft was found to be."""
    by_hand = (
        f"digitflow models promote {bundle.name}@{bundle.version} makes it current all the same"
    )
    current, _ = current_predictor(bundle.name)
    if (current and current.bundle.model_id) != comparison["model_id"]:
        return False, f"another version became current during the run; {by_hand}"
    if not comparison["deserves"]:
        return False, f"{comparison['reason']}; {by_hand}"
    return True, comparison["reason"]


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
        "comparison": facts["comparison"],
        "libraries": library_versions(),
    }
