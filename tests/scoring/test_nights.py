from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scoring_support import make_images

from digitflow.errors import UsageError
from digitflow.scoring.days import parse_days
from digitflow.scoring.folder import score_folder
from digitflow.scoring.nights import latest_days, measure_latest


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights")
    (folder / "inbox").mkdir()
    coming = f"{datetime.now(UTC) + timedelta(days=400):%Y-%m-%d}"
    for day in ("2026-01-01", "2026-01-02", "2026-01-05", coming):
        make_images(folder / "inbox" / day, 10)
    score_folder(folder / "inbox", f"{folder}/scored/", partition_by="day", workers=1)
    return folder / "scored"


def test_the_last_days_are_counted_but_for_what_was_misnamed(dataset: Path):
    names = [day.name for day in latest_days(dataset)]

    assert names == ["2026-01-01", "2026-01-02", "2026-01-05"]
    assert [day.name for day in latest_days(dataset, most=2)] == names[1:]
    (first, second) = latest_days(dataset, parse_days("2026-01-02..2026-01-04"))
    assert second.as_row() == second.as_row() | {"day": "2026-01-02", "rows": 10, "error": 1}
    assert sum(v for v in second.as_row().values() if isinstance(v, int)) == 20
    assert first.folder == dataset / "added_on=2026-01-01"


def test_a_day_is_compared_with_those_before_or_with_the_model(dataset: Path):
    days = latest_days(dataset)

    assert measure_latest(days).reference.n_rows == 20
    assert measure_latest(days[:1]).reference.name == "the validation images of mnist@pretrained"
    assert measure_latest(days, [days[0].folder]).reference.n_rows == 10
    with pytest.raises(UsageError, match="no day to compare"):
        measure_latest([])
