"""The records of runs, read back; what is damaged or foreign is told, never trusted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from digitflow import settings
from digitflow.errors import UsageError
from digitflow.locks import is_locked
from digitflow.models.guarded_files import read_regular_file

#: Goes up when an older reader would misread a record.
FORMAT = 1

RECORD, LOCK = "run.json", ".run.lock"

RUNNING, COMPLETED, FAILED, INTERRUPTED = "running", "completed", "failed", "interrupted"

#: What a record that says `running` means where nobody runs any more.
KILLED = "killed"

_LIMIT = 32 << 20  # bytes of a record
_KINDS = {
    **dict.fromkeys(["run", "kind", "state", "outcome", "started_at"], str),
    **dict.fromkeys(["parameters", "data", "code", "libraries", "stages", "metrics"], dict),
    "model": dict,
    "outputs": list,
    "earlier": list,
}


@dataclass(frozen=True)
class RunRecord:
    """What a run wrote down."""

    folder: Path
    state: str  # as it is now: what the record says, but `killed` for a run that died running
    facts: Mapping[str, Any]  # the whole of `run.json`

    @property
    def name(self) -> str:
        """The name of the run: that of its folder, wherever it was moved."""
        return self.folder.name

    @property
    def started_at(self) -> datetime:
        """When the run began."""
        return datetime.fromisoformat(self.facts["started_at"])


@dataclass(frozen=True)
class Runs:
    """The runs of a folder."""

    records: list[RunRecord]  # newest first
    unrecorded: list[str]  # names of folders without a record
    damaged: list[str]  # a line for each record that cannot be read


def list_runs(folder: Path | None = None) -> Runs:
    """Return all runs of a folder of reports.

    Parameters
    ----------
    folder : Path, optional
        Default: `settings.reports_folder()`. One that does not exist has no runs.

    Raises
    ------
    UsageError
        If the folder cannot be read.
    """
    folder = folder or settings.reports_folder()
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except FileNotFoundError:
        entries = []
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be read ({error.strerror}); make it readable, or choose another "
            "folder of reports with DIGITFLOW_REPORTS"
        ) from error
    records, unrecorded, damaged = [], [], []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not (entry / RECORD).is_symlink() and not (entry / RECORD).exists():
            unrecorded.append(entry.name)
            continue
        try:
            records.append(read_record(entry))
        except UsageError as error:
            damaged.append(str(error))
    records.sort(key=lambda record: (record.started_at, record.name), reverse=True)
    return Runs(records, unrecorded, damaged)


def find_run(name: str) -> RunRecord:
    """Return the record of a run by its name, the beginning of its name, or its folder.

    Parameters
    ----------
    name : str
        Text with a `/` in it is a folder's path.

    Raises
    ------
    UsageError
        If there is no such run, several begin so, or its record cannot be read.
    """
    if "/" in name:
        return read_record(Path(name))
    folder = settings.reports_folder()
    if name and (folder / name).is_dir():
        return read_record(folder / name)
    known = [record for record in list_runs().records if name and record.name.startswith(name)]
    if len(known) == 1:
        return known[0]
    if known:
        names = ", ".join(record.name for record in known[:5])
        raise UsageError(f"run {name!r}: {len(known)} begin so ({names}); give more of the name")
    raise UsageError(
        f"run {name!r}: there is none in {folder.resolve()}; digitflow runs list shows all"
    )


def read_record(folder: Path, *, alive: bool | None = None) -> RunRecord:
    """Return the record in a run's folder.

    Parameters
    ----------
    folder : Path
    alive : bool, optional
        Whether the run that wrote it may still be at work. Default: as its lock tells.

    Raises
    ------
    UsageError
        If there is none, or it is damaged or of a later format.
    """
    facts = _read(folder)
    state = facts["state"]
    if state == RUNNING:
        if alive is None:
            alive = _is_alive(folder)
            # It may have ended between the two looks.
            facts = _read(folder)
            state = facts["state"]
        if state == RUNNING and not alive:
            state = KILLED
    return RunRecord(folder, state, facts)


def came_to_nothing(folder: Path) -> bool:
    """Tell whether a folder holds the record of a run that failed, was interrupted or killed."""
    try:
        return read_record(folder).state in (FAILED, INTERRUPTED, KILLED)
    except UsageError:
        return False


def _is_alive(folder: Path) -> bool:
    try:
        return is_locked(folder / LOCK)
    except OSError:  # a lock that cannot be looked at is somebody's
        return True


def _read(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    try:
        facts = json.loads(b"".join(read_regular_file(path, _LIMIT)))
        problem = _first_problem(facts)
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
    except (ValueError, RecursionError) as error:
        problem = f"is damaged ({str(error)[:100]})"
    if problem:
        raise UsageError(f"{path}: {problem}; it is left out, look at it or remove its folder")
    return facts


def _first_problem(facts: object) -> str | None:
    """Return why facts are no record, or None."""
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        return "is no record of a run"
    if facts["format"] > FORMAT:
        return f"has format {facts['format']}, this digitflow knows up to {FORMAT}; use a newer one"
    for name, kind in _KINDS.items():
        if not isinstance(facts.get(name), kind):
            return f"is damaged ({name} is missing or no {kind.__name__})"
    if facts["state"] not in (RUNNING, COMPLETED, FAILED, INTERRUPTED):
        return f"is damaged (state {facts['state']!r:.40})"
    if datetime.fromisoformat(facts["started_at"]).tzinfo is None:
        return "is damaged (started_at has no time zone)"
    seconds = facts.get("seconds")
    if seconds is not None and not isinstance(seconds, int | float):
        return "is damaged (seconds is no number)"
    return None
