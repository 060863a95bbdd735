"""The last stage of a training run: a draft becomes a bundle, and current if it deserves it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digitflow.datasets.preparing import PreparedData, open_prepared
from digitflow.errors import BundleError, UnknownModelError
from digitflow.learning.drafts import library_versions, read_draft
from digitflow.models.bundle import WEIGHTS, Bundle, write_bundle
from digitflow.models.promotions import promote_over


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
        promoted, reason = _promote(bundle, facts["comparison"])
    return {
        "folder": str(destination),
        "model": f"{bundle.name}@{bundle.version}",
        "model_id": bundle.model_id,
        "weights_digest": bundle.manifest["files"][WEIGHTS]["sha256"],
        "promoted": promoted,
        "outcome": f"{'promoted' if promoted else 'not promoted'}: {reason}",
    }


def _promote(bundle: Bundle, comparison: dict[str, Any]) -> tuple[bool, str]:
    """Promote a bundle if its draft was found to deserve it; return whether it was, and why."""
    reason = comparison["reason"]
    if comparison["deserves"]:
        try:
            if promote_over(bundle, reason, comparison["model_id"]):
                return True, reason
            reason = "another version became current during the run"
        except (UnknownModelError, BundleError) as error:
            reason = f"it could not be promoted: {error}"
    model = f"{bundle.name}@{bundle.version}"
    return False, f"{reason}; digitflow models promote {model} makes it current all the same"


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
