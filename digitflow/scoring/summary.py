"""What a scoring run did: in words, as JSON, and whether too much of it failed."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from digitflow.errors import UnreadableImagesError, UsageError
from digitflow.files import write_text
from digitflow.scoring.stopwatch import profile_in_words
from digitflow.scoring.stores import is_uri

#: In place of a file's name: standard output.
CONSOLE = "-"


@dataclass(frozen=True)
class ScoreSummary:
    """What a run did, and what its table holds."""

    output: Path | str  # the scored table, or the folder of a dataset; text where it is in a store
    run_id: str
    model: str  # name
    version: str
    model_id: str
    n_files: int  # in the table, each with at least one row
    n_rows: int
    n_scored: int  # files scored by this run
    n_kept: int  # files whose rows stayed as the earlier table had them
    n_resumed: int  # files whose rows an interrupted run had left
    n_removed: int  # files that are gone since the earlier table, and their rows with them
    n_unseen: int  # files that are gone, or of days not asked for, and whose rows stayed
    n_unreadable: int  # files that are there and could not be read; each is tried in every run
    unchanged: bool  # whether what was there was right as it was, and was not written again
    statuses: dict[str, int]  # rows by status
    reasons: dict[str, int]  # rows that are not `ok`, by reason
    labels: dict[str, int]  # rows that were read, by label
    seconds: float  # from the call to the finished table
    n_parts: int | None = None  # of a dataset
    n_parts_written: int | None = None  # of these: new, or written anew
    #: Seconds of all processes by stage; empty unless asked for.
    profile: dict[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """How many files were scored in a second."""
        return self.n_scored / self.seconds

    @property
    def error_rate(self) -> float:
        """The share of the files seen that could not be read, 0 to 1."""
        return self.n_unreadable / (self.n_files - self.n_unseen)

    def in_words(self) -> str:
        """Return the summary as lines for a person."""
        done = {
            "scored": self.n_scored,
            "kept": self.n_kept,
            "taken up from an interrupted run": self.n_resumed,
            "removed": self.n_removed,
        }
        all_scored = self.n_scored == self.n_files and not self.n_removed
        speed = f"{self.images_per_second:,.0f} images/s, {self.seconds:.1f} s in all"
        lines = [
            ("files", f"{self.n_files:,} in {self.n_rows:,} row{'s' if self.n_rows > 1 else ''}"),
            ("work", "" if all_scored else _counts(done)),
            ("status", _counts(self.statuses)),
            ("reasons", _counts(self.reasons)),
            ("digits", _counts(self.labels)),
            ("speed", speed if self.n_scored else f"{self.seconds:.1f} s in all"),
            ("model", f"{self.model}@{self.version} ({self.model_id[:12]})"),
            self._place(),
        ]
        told = [f"{what:<8} {said}" for what, said in lines if said]
        if self.profile:
            told += ["", profile_in_words(self.profile, self.n_files)]
        return "\n".join(told)

    def _place(self) -> tuple[str, str]:
        """Return what the output is, and where."""
        # Its name need not be valid text, which a strict console would refuse.
        output = os.fsencode(self.output).decode(errors="backslashreplace")
        if self.n_parts is None:
            return "table", f"{output} (unchanged)" if self.unchanged else output
        done = "unchanged" if self.unchanged else f"{self.n_parts_written:,} written"
        return "dataset", f"{output}/ ({self.n_parts:,} part{'s' * (self.n_parts > 1)}, {done})"

    def as_json(self) -> str:
        """Return the summary as a JSON object, with `images_per_second` and `error_rate`."""
        facts: dict[str, Any] = asdict(self) | {
            "output": os.fspath(self.output),
            "images_per_second": self.images_per_second,
            "error_rate": self.error_rate,
        }
        return json.dumps(facts, indent=2)


def check_summary_file(path: str | None, images: Path | str, output: Path | str) -> None:
    """Refuse a place for the summary that would do harm or cannot be written; nothing is written.

    Parameters
    ----------
    path : str or None
        The file, `CONSOLE`, or None for none.
    images, output : Path or str
        The scanned folder and the scored table or dataset.

    Raises
    ------
    UsageError
        If it is the table, lies in the dataset or among the images, is no regular file, or its
        folder does not exist.
    """
    if path is None or path == CONSOLE:
        return
    if is_uri(path):
        raise UsageError("--summary: is no local file; name one, or - for the console")
    file, table, folder = (Path(os.path.realpath(each)) for each in (path, output, images))
    if file.is_dir() or not file.parent.is_dir():
        raise UsageError(f"{path}: is a folder or lies in none; name a file for the summary")
    if Path(path).exists() and not Path(path).is_file():
        raise UsageError(f"{path}: is no regular file; name one, or - for the console")
    if file.is_relative_to(table):
        what = "is the table" if file == table else "lies in the dataset"
        raise UsageError(f"{path}: {what}; name another file for the summary")
    if file.is_relative_to(folder):
        raise UsageError(f"{path}: lies among the images; name a file elsewhere for the summary")


def write_summary(summary: ScoreSummary, path: str) -> None:
    """Write a summary as JSON, whole or not at all.

    Parameters
    ----------
    summary : ScoreSummary
        What to write.
    path : str
        The file, links followed; what was there is replaced.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_text(Path(os.path.realpath(path)), summary.as_json() + "\n")


def check_error_rate(summary: ScoreSummary, max_error_rate: float | None) -> None:
    """Raise an error where more files than allowed could not be read.

    Parameters
    ----------
    summary : ScoreSummary
        Of a run that is done.
    max_error_rate : float or None
        The share allowed, 0 to 1. None allows all.

    Raises
    ------
    UnreadableImagesError
        If it is exceeded.
    """
    if max_error_rate is not None and summary.error_rate > max_error_rate:
        seen = summary.n_files - summary.n_unseen
        raise UnreadableImagesError(
            f"{summary.n_unreadable:,} of {seen:,} files could not be read, a share above "
            f"{max_error_rate:g}; the table is complete and tells why, row by row"
        )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
