"""The draft of a model: a folder that gathers, stage by stage, what the bundle will hold."""

import json
from pathlib import Path
from typing import Any

from digitflow import provenance
from digitflow.errors import UsageError
from digitflow.files import write_text
from digitflow.learning.descriptions import Estimator, rebuild_estimator
from digitflow.models.bundle import WEIGHTS

#: What a fit keeps until it is done.
CHECKPOINT = "checkpoint.npz"

_FACTS = "draft.json"


def is_draft(draft: Path) -> bool:
    """Tell whether a folder holds a draft that has been fitted."""
    return (draft / _FACTS).exists()


def load_draft(draft: Path) -> Estimator:
    """Return the fitted estimator of a draft."""
    return rebuild_estimator(read_draft(draft)["estimator"], (draft / WEIGHTS).read_bytes())


def read_draft(draft: Path) -> dict[str, Any]:
    """Return what the stages before have noted in the draft.

    Raises
    ------
    UsageError
        If there is no draft.
    """
    try:
        return json.loads((draft / _FACTS).read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{draft}: holds no draft of a model ({error}); fit one first") from error


def update_draft(draft: Path, facts: dict[str, Any]) -> None:
    """Note more facts in the draft."""
    known = read_draft(draft) if is_draft(draft) else {}
    write_text(draft / _FACTS, json.dumps(known | facts, indent=1) + "\n")


def library_versions() -> dict[str, str]:
    """Return the versions of what decides a network's weights and predictions."""
    return provenance.library_versions("tensorflow", "keras", "scikit-learn", "scikeras", "numpy")
