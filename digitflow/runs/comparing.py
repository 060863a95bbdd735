"""Two runs beside each other: in what they differ, and what each takes for what."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digitflow.errors import UsageError
from digitflow.runs.records import RunRecord

#: What of a record is compared, in this order.
_SECTIONS = ("parameters", "data", "code", "libraries", "metrics", "model", "stages")

#: Above this many classes two matrices do not fit on a console.
MOST_CLASSES = 12

_LONGEST_VALUE = 44  # characters of a value in the table


@dataclass(frozen=True)
class Difference:
    """One thing in which two runs differ."""

    section: str  # of the record
    name: str  # within the section, with dots where it lies deeper
    first: Any  # as JSON has it; None where the run does not have it
    second: Any


@dataclass(frozen=True)
class Confusions:
    """How often a run took each class for each."""

    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # rows are the true class


def differences(first: RunRecord, second: RunRecord) -> list[Difference]:
    """Return what differs between two records, numbers and words; long lists are left out."""
    found = []
    for section in _SECTIONS:
        one, other = dict(_leaves(first.facts[section])), dict(_leaves(second.facts[section]))
        found += [
            Difference(section, name, one.get(name), other.get(name))
            for name in dict.fromkeys([*one, *other])
            if one.get(name) != other.get(name)
        ]
    return found


def confusions_of(record: RunRecord) -> Confusions | None:
    """Return a run's confusion matrix, None where it has none.

    Raises
    ------
    UsageError
        If what it has is no such matrix.
    """
    metrics = record.facts["metrics"]
    names, matrix = metrics.get("class_names"), metrics.get("confusion_matrix")
    if matrix is None:
        return None
    if not _is_matrix(names, matrix):
        raise UsageError(f"{record.folder}: its confusion matrix is damaged; remove its folder")
    return Confusions(tuple(names), tuple(map(tuple, matrix)))


def table_of(found: Sequence[Difference], names: Sequence[str]) -> list[str]:
    """Return differences as aligned lines, one each, under a header."""
    rows = [("", *names)]
    for each in found:
        rows.append((f"{each.section}.{each.name}", _shown(each.first), _shown(each.second)))
    return aligned(rows)


def confusions_in_words(pair: Sequence[Confusions], names: Sequence[str]) -> list[str]:
    """Return two matrices of the same few classes side by side, a line for each true class."""
    blocks = [_block(confusions, name) for confusions, name in zip(pair, names, strict=True)]
    width = max(map(len, blocks[0]))
    return [f"{left:<{width}}    {right}".rstrip() for left, right in zip(*blocks, strict=True)]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of text as lines whose columns begin below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _block(confusions: Confusions, name: str) -> list[str]:
    cells = [["", *confusions.class_names]]
    for true, counts in zip(confusions.class_names, confusions.counts, strict=True):
        cells.append([true, *(str(count) if count else "." for count in counts)])
    width = max(len(cell) for row in cells for cell in row)
    lines = [" ".join(f"{cell:>{width}}" for cell in row) for row in cells]
    return [name, *lines]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the single values of nested mappings by their dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif not isinstance(value, list) or _is_short(value):
        yield name, value


def _is_short(values: list[Any]) -> bool:
    nested = any(isinstance(value, list | dict) for value in values)
    return not nested and len(json.dumps(values)) <= _LONGEST_VALUE


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _is_matrix(names: Any, matrix: Any) -> bool:
    return (
        isinstance(names, list)
        and isinstance(matrix, list)
        and len(matrix) == len(names) > 0
        and all(isinstance(name, str) for name in names)
        and all(isinstance(row, list) and len(row) == len(names) for row in matrix)
        and all(type(count) is int and count >= 0 for row in matrix for count in row)
    )
