"""Records of runs, made by the code that makes them."""

from pathlib import Path
from typing import Any

from digitflow import settings
from digitflow.runs.recording import recording


def record_run(name: str, kind: str = "train", **facts: Any) -> Path:
    """Leave the record of a run that is done; `parameters` and others are what it notes."""
    folder = settings.reports_folder() / name
    with recording(folder, kind, facts.pop("parameters", {})) as run:
        with run.stage("fit"):
            (folder / "made.txt").write_text(name)
        run.note(**facts)
    return folder
