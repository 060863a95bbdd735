"""Dated folders: what lies in ``inbox/2026-01-05/`` came in on that day, whenever it is scored."""

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from digitflow.errors import UsageError

# A folder's name, or its place in the walk, in which a zero byte ends it.
_DATED = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2})(?=[/\0]|\Z)")


@dataclass(frozen=True)
class Days:
    """A range of days."""

    first: str  # as 2026-01-01
    last: str  # included

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"

    def holds(self, path: bytes) -> bool:
        """Tell whether a path lies in the dated folder of one of them."""
        day = day_of(path)
        return day is not None and self.first <= day <= self.last


def parse_days(text: str) -> Days:
    """Read a range of days, as ``2026-01-01..2026-01-31``, or one day.

    Raises
    ------
    UsageError
        If it is none.
    """
    first, dots, last = text.partition("..")
    days = Days(first, last if dots else first)
    if not (_is_date(days.first) and _is_date(days.last)):
        raise UsageError(f"{text}: is no range of days; give it as 2026-01-01..2026-01-31")
    if days.last < days.first:
        raise UsageError(f"{text}: ends before it begins; give the earlier day first")
    return days


def day_of(path: bytes) -> str | None:
    """Return the day of the dated folder that a path lies in, or None.

    Parameters
    ----------
    path : bytes
        Relative to the scanned folder; or its place in the walk.
    """
    found = _DATED.match(path)
    if found is None:
        return None
    day = found[1].decode()
    return day if _is_date(day) else None


@lru_cache(maxsize=64)
def _is_date(text: str) -> bool:
    if not _DATED.fullmatch(text.encode(errors="replace")):
        return False  # other ways of writing a date
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
