"""A run writes down what it does: at its start, after each stage, and whole at its end."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digitflow.errors import OutputError, UsageError, in_one_line
from digitflow.files import as_output_error, sha256_of, write_text
from digitflow.locks import locked
from digitflow.provenance import code_version, library_versions
from digitflow.runs.records import (
    COMPLETED,
    FAILED,
    FORMAT,
    INTERRUPTED,
    LOCK,
    RECORD,
    RUNNING,
    read_record,
)


class Run:
    """A run that is going on.

    Parameters
    ----------
    folder : Path
        Where `run.json` is.
    facts : dict
        What is known at the start.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.facts = facts
        self._outputs: list[Path] = []
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; what is known after it is written at once, for a run that is killed."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.facts["stages"][name] = round(time.perf_counter() - started, 3)
        self.write()

    def note(self, **facts: Any) -> None:
        """Keep facts: `outcome`, `data`, `metrics`, `model`, `identity` and others."""
        self.facts.update(facts)

    def add_output(self, *paths: Path) -> None:
        """Keep which files outside its folder came of the run; of a folder all files in it."""
        self._outputs += paths

    def write(self) -> None:
        """Write what is known so far, in one step.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        write_text(self.folder / RECORD, json.dumps(self.facts, indent=1, default=str) + "\n")

    def end(self, state: str, outcome: str = "") -> None:
        """Write the record as it stays.

        Raises
        ------
        OutputError
            If it cannot be written, or an output cannot be read.
        """
        with as_output_error(self.folder):
            outputs = [*_files_of(self.folder), *(f for p in self._outputs for f in _files_of(p))]
            described = [_described(file, self.folder) for file in outputs]
        self.facts |= {
            "state": state,
            "outcome": outcome or self.facts["outcome"],
            "ended_at": _now(),
            "seconds": round(time.perf_counter() - self._started, 3),
            "outputs": described,
        }
        self.write()


@contextmanager
def recording(folder: Path, kind: str, parameters: Mapping[str, Any]) -> Iterator[Run]:
    """Record a run in a folder of its own, made if need be.

    Its state is `running` until it ends, and then `completed`, `failed` or `interrupted`. A run
    that is killed cannot say so: its lock, which dies with it, tells (see `records`).

    Parameters
    ----------
    folder : Path
        `reports/<run>`. A run that was there before is kept in a line, under `earlier`.
    kind : str
        What kind of run it is: `"train"`, `"tune"`, `"score"`, or another word.
    parameters : mapping
        What it was given, as JSON can hold it.

    Yields
    ------
    Run
        To measure stages and to note what came of them.

    Raises
    ------
    OutputError
        If the folder cannot be written to, or another run is recorded in it at the moment.
    """
    with contextlib.ExitStack() as held, as_output_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held.enter_context(locked(folder / LOCK))
        except BlockingIOError as error:
            raise OutputError(
                f"{folder}: another run is at work there; wait for its end, or name this one "
                "otherwise"
            ) from error
        run = Run(folder, _first_facts(folder, kind, parameters))
        run.write()
        try:
            yield run
        except BaseException as error:
            # What went wrong matters more than that it could not be written down.
            with contextlib.suppress(OutputError):
                state = FAILED if isinstance(error, Exception) else INTERRUPTED
                run.end(state, in_one_line(_what(error), error))
            raise
        run.end(COMPLETED)


def _first_facts(folder: Path, kind: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "run": folder.name,
        "kind": kind,
        "state": RUNNING,
        "outcome": "",
        "started_at": _now(),
        "ended_at": None,
        "seconds": None,
        "parameters": dict(parameters),
        "data": {},
        "code": code_version(),
        "libraries": library_versions(),
        "stages": {},
        "metrics": {},
        "model": {},
        "outputs": [],
        "earlier": _earlier(folder),
    }


def _earlier(folder: Path) -> list[dict[str, Any]]:
    """Return in short which runs were recorded in a folder before, the last one at the end."""
    try:
        before = read_record(folder, alive=False)
    except UsageError:  # there is none, or it cannot be read
        return []
    told = ("state", "started_at", "ended_at", "seconds", "outcome")
    facts = {**before.facts, "state": before.state}
    return [*facts.get("earlier", []), {name: facts.get(name) for name in told}]


def _what(error: BaseException) -> str:
    """Return an error's message, and of one without a message its kind."""
    return " ".join(str(error).split()) or type(error).__name__


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = (file for file in sorted(path.rglob("*")) if file.is_file())
    return [file for file in files if file.name != RECORD and not file.name.startswith(".")]


def _described(file: Path, folder: Path) -> dict[str, Any]:
    """Return path, size and digest of a file; its path is relative where it is the run's own."""
    inside = file.is_relative_to(folder)
    return {
        "path": str(file.relative_to(folder) if inside else file.absolute()),
        "size": file.stat().st_size,  # bytes
        "sha256": sha256_of(file),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
