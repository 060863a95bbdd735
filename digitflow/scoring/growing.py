"""How a dataset takes up a run: what is new is added, and parts whose files changed written anew.

Each step is one rename or one removal, and after each the dataset is whole: a file's rows never
move from one part to another, so that readers find it at most once.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from digitflow.files import sync
from digitflow.scoring.assembling import assembled, kept_rows
from digitflow.scoring.columns import numbers_in, taken, words_in
from digitflow.scoring.dataset import Dataset
from digitflow.scoring.known import NEW, Comparison, Source
from digitflow.scoring.merging import AT_ONCE
from digitflow.scoring.scored import read_rows
from digitflow.scoring.table import COUNTED, RowCounts, write_table

#: Files whose rows go into one new part: some hundred megabytes, which are written in a second or
#: two should one of the files change.
PART_FILES = 1_000_000

#: Files whose rows are in memory at once while those of a run are dealt out to several parts.
DEALT_FILES = 131_072


def grow(
    dataset: Dataset,
    comparison: Comparison,
    scored: Source,
    work: Path,
    facts: dict[str, Any],
    began: datetime,
) -> int:
    """Write what is new or changed into a dataset.

    Parameters
    ----------
    dataset : Dataset
        Where the parts lie, which are the tables of the comparison, one file each.
    comparison : Comparison
        What was decided of each file.
    scored : Source
        The rows of this run.
    work : Path
        A folder on the dataset's file system, where parts are built.
    facts : dict
        The model and the run, as `write_table` takes them.
    began : datetime
        When the run began (UTC), by which new parts are named.

    Returns
    -------
    int
        How many parts were written.

    Raises
    ------
    OSError
        If a part cannot be written. What was written before is there to stay.
    """
    if not comparison.tables:  # otherwise the folder was there, and must not have vanished
        _make_folder(dataset.folder)
    homes, days = _homes(dataset, comparison)
    targets, emptied = _targets(dataset, comparison, began, days)
    for home in _still_failing(comparison, scored, homes):
        del targets[home]
    for group in _groups(targets, homes):
        wanted = np.isin(homes, group)
        rows = assembled(comparison, scored, wanted)
        for home, of_home in _dealt(rows, homes[wanted], group):
            target = targets[home]
            if target.parent != dataset.folder:
                _make_folder(target.parent)
            write_table(of_home, target, work / "table.parquet", facts)
    remove_parts(dataset, emptied)
    return len(targets)


def remove_parts(dataset: Dataset, parts: Iterable[Path]) -> None:
    """Remove parts, and the folders of days that have none left."""
    for part in parts:
        part.unlink(missing_ok=True)
        sync(part.parent)
        if part.parent != dataset.folder:
            with suppress(OSError):  # others are in it
                part.parent.rmdir()


def count_rows(parts: Iterable[Path]) -> RowCounts:
    """Count the rows of a dataset's parts."""
    counts = RowCounts()
    for part in parts:
        for rows in read_rows(part, COUNTED):
            counts.add(rows)
    return counts


def _homes(dataset: Dataset, comparison: Comparison) -> tuple[np.ndarray, list[str | None]]:
    """Return for each file the number of the part that its rows belong in.

    It is the table that had them; or one that follows those, where none had. Of the latter also
    return the days, where the dataset is kept by them.
    """
    homes = np.frombuffer(comparison.homes, np.uint32).copy()
    new = np.flatnonzero(homes == NEW)
    days: list[str | None] = []
    for day, places in _by_day(comparison) if dataset.by_day else [(None, np.arange(len(new)))]:
        first = comparison.tables.stop + len(days)
        homes[new[places]] = first + np.arange(len(places)) // PART_FILES
        days += [day] * -(-len(places) // PART_FILES)
    return homes, days


def _by_day(comparison: Comparison) -> Iterator[tuple[str | None, np.ndarray]]:
    """Give the days that new files came in on, and which of them did."""
    days = [day for day, _ in comparison.new_days]
    numbers = {day: number for number, day in enumerate(dict.fromkeys(days))}
    counts = [n_files for _, n_files in comparison.new_days]
    of_files = np.repeat([numbers[day] for day in days], counts)
    for day, number in numbers.items():
        yield day, np.flatnonzero(of_files == number)


def _targets(
    dataset: Dataset, comparison: Comparison, began: datetime, days: Sequence[str | None]
) -> tuple[dict[int, Path], list[Path]]:
    """Return the parts to write by their number, new ones first, and those to remove."""
    targets = dict(enumerate(dataset.new_parts(began, days), comparison.tables.stop))
    present = {*np.unique(np.frombuffer(comparison.homes, np.uint32)).tolist()}
    emptied = []
    for home in comparison.tables:
        source = comparison.sources[home]
        if not all(source.kept):
            if home in present:
                targets[home] = source.files[0]
            else:
                emptied.append(source.files[0])
    return targets, emptied


def _still_failing(comparison: Comparison, scored: Source, homes: np.ndarray) -> Iterator[int]:
    """Find the tables whose rows are right: what failed before has failed again in the same way.

    Broken images may be in every part, and would have every part written anew in every run.
    """
    origins = np.frombuffer(comparison.origins, np.uint32)
    replaced = origins != homes
    n_replaced = np.bincount(homes[replaced], minlength=comparison.tables.stop)
    tables = []
    for home in comparison.tables:
        source = comparison.sources[home]
        if source.trusted and 0 < source.kept.count(0) == n_replaced[home]:
            tables.append(home)
    wanted = replaced & np.isin(homes, tables)
    if not 0 < np.count_nonzero(wanted) <= DEALT_FILES:
        return
    rows = assembled(comparison, scored, wanted)
    for home, of_home in _dealt(rows, homes[wanted], tables):
        now = pa.concat_tables(of_home)
        if _all_failed(now):
            source = comparison.sources[home]
            others = bytearray(not kept for kept in source.kept)
            before = [rows for rows, _ in kept_rows(Source(source.files, kept=others))]
            if _are_same(pa.Table.from_batches(before), now):
                yield home


def _all_failed(rows: pa.Table) -> bool:
    statuses = rows.column("status").chunks
    found = {words_in(each)[place] for each in statuses for place in np.unique(numbers_in(each))}
    return found == {"error"}


def _are_same(before: pa.Table, now: pa.Table) -> bool:
    """Tell whether rows are the same but for when they were made."""
    rows = pa.concat_tables([before, now]).drop_columns(["run_id", "scored_at"])
    rows = rows.unify_dictionaries().combine_chunks()
    return rows.slice(0, len(before)).equals(rows.slice(len(before)))


def _groups(targets: Iterable[int], homes: np.ndarray) -> Iterator[list[int]]:
    """Put parts together that are written from one reading of the run's rows.

    Otherwise each of many parts would cost a reading of its own, when all are written anew.
    """
    counts = np.bincount(homes)
    group: list[int] = []
    n_files = 0
    for home in targets:
        n_files += counts[home]
        if group and (n_files > DEALT_FILES or len(group) == AT_ONCE):
            yield group
            group, n_files = [], counts[home]
        group.append(home)
    if group:
        yield group


def _dealt(
    tables: Iterator[pa.Table], homes: np.ndarray, group: Sequence[int]
) -> Iterator[tuple[int, Iterable[pa.Table]]]:
    """Deal rows out to their parts; those of a part that is alone are not held in memory.

    `homes` (n_files,) are the parts of the files whose rows these are, in their order.
    """
    if len(group) == 1:
        yield group[0], tables
        return
    of_home: dict[int, list[pa.Table]] = {home: [] for home in group}
    n_files = 0
    for table in tables:
        segments = np.concatenate([numbers_in(each) for each in table.column("segment").chunks])
        files = n_files - 1 + np.cumsum(segments == 0)
        n_files = int(files[-1]) + 1
        for home in np.unique(homes[files]).tolist():
            of_home[home].append(taken(table, np.flatnonzero(homes[files] == home)))
    while of_home:
        home = next(iter(of_home))
        yield home, of_home.pop(home)


def _make_folder(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    sync(folder.parent)
