"""The scored dataset: a folder of parts that takes up new rows without writing the old ones again.

A file of the scanned folder has its rows in exactly one part. Nothing but parts lies in the folder
where readers look, so that they all read it as it is.
"""

import errno
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from digitflow.errors import OutputError, UsageError
from digitflow.scoring.scored import read_facts, shown
from digitflow.scoring.stores import StorePath

#: By what the parts can lie in folders of their own.
PARTITIONS = ("day",)

#: How the folder of a day begins, which Hive's readers take for a column.
DAY_FOLDER = "added_on="

#: In the order of their names, parts are in the order of the runs that made them.
_PART = re.compile(r"part-\d{8}T\d{12}Z-[0-9a-f]{6}-\d{5}\.parquet")
_DAY = re.compile(rf"{DAY_FOLDER}\d{{4}}-\d{{2}}-\d{{2}}")

#: Nobody takes files of such names for data, unless they are Parquet all the same, which DuckDB and
#: Polars read. What systems and other tools leave does no harm: .DS_Store, .nfs…, _SUCCESS.
_HIDDEN = re.compile(r"[._].*(?<!\.parquet)", re.DOTALL)

_Entry: TypeAlias = "os.DirEntry[str]"


@dataclass(frozen=True)
class Dataset:
    """Where a dataset lies, and how."""

    folder: Path  # absolute; need not exist
    by_day: bool = False  # whether its parts lie in folders by the day on which files came in

    def parts(self) -> list[Path]:
        """Return its parts, in the order in which they were added.

        Raises
        ------
        OutputError
            If something lies in the folder that readers would take for a part, or stumble over.
        OSError
            If it cannot be listed.
        """
        found = _visible(self.folder) if self.folder.exists() else []
        if self.by_day:
            found = [each for day in self._checked(found, _is_day) for each in _visible(day.path)]
        parts = (Path(part.path) for part in self._checked(found, _is_part))
        return sorted(parts, key=lambda part: part.name)

    def new_parts(self, now: datetime, days: Iterable[str | None]) -> Iterator[Path]:
        """Give names for parts that are added at a moment (UTC), in their order.

        `days` tells of each part which dated folder its files lie in, or None: then they came in
        at this moment.
        """
        run = f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"
        for number, day in enumerate(days):
            name = f"part-{run}-{number:05d}.parquet"
            folder = f"{DAY_FOLDER}{day or format(now, '%Y-%m-%d')}" if self.by_day else ""
            yield self.folder / folder / name

    def _checked(
        self, entries: list[_Entry], is_right: Callable[[_Entry], bool]
    ) -> Iterator[_Entry]:
        for entry in entries:
            if not is_right(entry):
                raise OutputError(f"{self.folder}/: {self._why_refused(Path(entry.path))}")
            yield entry

    def _why_refused(self, found: Path) -> str:
        name = shown(found.relative_to(self.folder))
        if not self.by_day and _DAY.fullmatch(found.name):
            return "is a dataset by day; say so with --partition-by day, or name another folder"
        if self.by_day and _PART.fullmatch(found.name):
            return "is a dataset not by day; leave out --partition-by, or name another folder"
        return f"holds {name}, which is no part of a scored dataset; name a folder for it alone"


def asked_for(output: Path | str) -> bool:
    """Tell whether an output means a dataset: it ends in a slash, or is one already.

    A `Path` has lost its slash; text has not.
    """
    if os.fsdecode(output).endswith(("/", "/.")):
        return True
    return Path(output).is_dir() and _is_dataset(Path(output))


def check_dataset(output: Path | str, partition_by: str | None) -> Dataset:
    """Return the dataset at an output, or the place for a new one; nothing is written.

    Raises
    ------
    UsageError
        If its parts cannot lie as is asked.
    OutputError
        If none can be there.
    OSError
        If it cannot be looked at.
    """
    if partition_by not in (None, *PARTITIONS):
        known = " or ".join(map(repr, PARTITIONS))
        raise UsageError(f"partition_by is {partition_by!r}; it can be {known}, or left out")
    path = Path(os.path.realpath(output))
    if path.exists() and not path.is_dir():
        raise OutputError(
            f"{output}: is a file; leave out the slash for a single table, or name another folder"
        )
    if path.is_dir() and not _takes_renames(path):
        raise OutputError(
            f"{output}: is a file system of its own, and beside it is no place for unfinished "
            f"parts; name a folder in it, as {path / 'scored'}/"
        )
    dataset = Dataset(path, partition_by == "day")
    dataset.parts()
    return dataset


def check_not_within(table: Path) -> None:
    """Refuse a single table among the parts of a dataset, whose readers would take it for one.

    Raises
    ------
    OutputError
        If it would lie there.
    OSError
        If its folder cannot be listed.
    """
    if _is_dataset(table.parent):
        raise OutputError(
            f"{table}: lies in a scored dataset, which takes in parts only; name a place elsewhere"
        )


def read_part_facts(
    dataset: Dataset, folder: Path | StorePath, class_names: list[str]
) -> dict[Path, dict[str, Any]]:
    """Return what each part says of its model and run.

    Parameters
    ----------
    dataset : Dataset
        Whose parts.
    folder : Path or StorePath
        The scanned folder.
    class_names : list of str
        The classes of the model that is to score.

    Raises
    ------
    OutputError
        If a part is damaged.
    UsageError
        If the dataset is of another folder or of other classes.
    OSError
        If a part cannot be read.
    """
    found = {}
    for part in dataset.parts():
        facts = read_facts(part)
        if facts is None:
            raise OutputError(
                f"{part}: is damaged, or no scored table; without it, its images are scored again"
            )
        for what, was, would_be in [
            ("folder", facts.get("run", {}).get("folder"), str(folder)),
            ("classes", facts.get("model", {}).get("class_names"), class_names),
        ]:
            if was != would_be:
                raise UsageError(
                    f"{dataset.folder}/: is a dataset of another {what} ({was}); name another"
                )
        found[part] = facts
    return found


def _takes_renames(folder: Path) -> bool:
    """Tell whether a file beside a folder can be renamed into it; nothing is."""
    if folder.stat().st_dev != folder.parent.stat().st_dev:
        return False
    # Of a bind mount the number is the same. The kernel says so before it looks for the file.
    nowhere = f".{secrets.token_hex(8)}"
    try:
        (folder.parent / nowhere).rename(folder / nowhere)
    except OSError as error:
        return error.errno != errno.EXDEV
    return True


def _is_dataset(folder: Path) -> bool:
    """Tell whether a folder is a dataset, or one of its days, by the first thing in it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _is_hidden(entry):
                return _is_part(entry) or _is_day(entry)
    return False


def _visible(folder: Path | str) -> list[_Entry]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not _is_hidden(entry)]


def _is_hidden(entry: _Entry) -> bool:
    return bool(_HIDDEN.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)


def _is_part(entry: _Entry) -> bool:
    return bool(_PART.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)


def _is_day(entry: _Entry) -> bool:
    return bool(_DAY.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False)
