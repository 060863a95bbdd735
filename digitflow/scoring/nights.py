"""A dataset by the day: what each day has, and whether its images look like those before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from digitflow.errors import UsageError
from digitflow.scoring.dataset import DAY_FOLDER, Dataset
from digitflow.scoring.days import Days
from digitflow.scoring.drift import Drift, measure_drift
from digitflow.scoring.growing import count_rows
from digitflow.scoring.table import RowCounts

#: With how many earlier days a day is compared, and how many are shown.
MOST_DAYS = 28


@dataclass(frozen=True)
class Day:
    """The rows of one day."""

    name: str  # as 2026-01-05
    folder: Path
    counts: RowCounts

    def as_row(self) -> dict[str, str | int]:
        """Return the day as a row of a table."""
        names = ("ok", "uncertain", "rejected", "blank", "error")
        statuses = {name: self.counts.statuses.get(name, 0) for name in names}
        return {"day": self.name, "rows": self.counts.n_rows, **statuses}


def latest_days(dataset: Path, days: Days | None = None, most: int = MOST_DAYS + 1) -> list[Day]:
    """Return the last days of a dataset that is kept by day, in their order.

    Parameters
    ----------
    dataset : Path
        Its folder.
    days : Days or None
        Only up to the last of these. Default: up to tomorrow, as somewhere it is that already;
        what has a later date was misnamed.
    most : int
        How many.

    Raises
    ------
    OutputError
        If its parts cannot be read.
    """
    last = days.last if days else f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    parts: dict[str, list[Path]] = {}
    for part in Dataset(dataset, by_day=True).parts():
        parts.setdefault(part.parent.name.removeprefix(DAY_FOLDER), []).append(part)
    names = sorted(name for name in parts if name <= last)[-most:]
    return [Day(name, parts[name][0].parent, count_rows(parts[name])) for name in names]


def measure_latest(days: Sequence[Day], against: Sequence[Path | str] = ()) -> Drift:
    """Compare the last day with earlier tables.

    Parameters
    ----------
    days : sequence of Day
        In their order, at least one.
    against : sequence of Path or str
        As `measure_drift` takes them. Default: the other days; where there are none, the own data
        of the model that scored the last one.

    Raises
    ------
    UsageError, BundleError
        As `measure_drift` raises them.
    """
    if not days:
        raise UsageError("there is no day to compare")
    *before, last = (day.folder for day in days)
    return measure_drift(last, against or before)
