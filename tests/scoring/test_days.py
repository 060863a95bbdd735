"""Dated folders: each file in its own day's partition, whenever and in whichever order it came."""

import os
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import dataset as arrow_dataset
from scoring.scored_datasets import parts_of, rows_of, stand_of
from scoring_support import MOMENTS, make_images, settle

from digitflow.errors import UsageError
from digitflow.scoring import folder, growing
from digitflow.scoring.days import Days, day_of, parse_days

score_folder = partial(folder.score_folder, workers=1)
by_day = partial(score_folder, partition_by="day")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Three dated folders, and a file and a folder that are not dated between them."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for day in ("2026-01-01", "2026-01-02", "2026-01-10"):
        make_images(inbox / day, 3)
    (inbox / "2026-01-01.png").write_bytes((inbox / "2026-01-01" / "00000.png").read_bytes())
    make_images(inbox / "2026-01-99", 1)
    settle(inbox)
    return inbox


def days_of_files(place: Path) -> dict[str, str]:
    frame = arrow_dataset.dataset(place, partitioning="hive").to_table().to_pandas()
    assert not frame["path"].duplicated().any()
    return dict(zip(frame["path"], frame["added_on"], strict=True))


@pytest.mark.parametrize("part_files", [2, 100])
def test_a_dated_folder_is_its_own_day_and_all_else_that_of_the_run(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_files: int
):
    monkeypatch.setattr(growing, "PART_FILES", part_files)
    place = tmp_path / "scored"
    by_day(inbox, f"{place}/")

    found = days_of_files(place)

    today = f"{pd.Timestamp.now('UTC'):%Y-%m-%d}"
    assert len(found) == 11
    for path, day in found.items():
        assert day == (path[:10] if path[10] == "/" and "99" not in path else today)
    assert len(parts_of(place)) == (7 if part_files == 2 else 4)
    assert len(rows_of(place)) == 11  # and each part in the order of the walk


def test_a_range_scores_its_days_and_leaves_all_other_rows(inbox: Path, tmp_path: Path):
    place, at_once = tmp_path / "scored", tmp_path / "at-once"
    done = by_day(inbox, f"{place}/", days="2026-01-02..2026-01-09")
    assert (done.n_scored, done.n_files) == (3, 3)
    assert {*days_of_files(place).values()} == {"2026-01-02"}

    stand = stand_of(place)
    (inbox / "2026-01-02" / "00001.png").unlink()
    done = by_day(inbox, f"{place}/", days="2026-01-01")
    assert (done.n_scored, done.n_kept, done.n_removed) == (3, 3, 0)
    assert stand.items() <= stand_of(place).items()

    by_day(inbox, f"{place}/", days="2026-01-02")  # what is gone goes, within the range only
    assert len(days_of_files(place)) == 5
    by_day(inbox, f"{place}/")
    by_day(inbox, f"{at_once}/")
    assert days_of_files(place) == days_of_files(at_once)
    one, other = (rows_of(each).drop(columns=MOMENTS) for each in (place, at_once))
    pd.testing.assert_frame_equal(one, other)
    assert by_day(inbox, f"{place}/", days="2026-01-01..2026-12-31").unchanged


def test_a_late_file_joins_its_day(inbox: Path, tmp_path: Path):
    place = tmp_path / "scored"
    by_day(inbox, f"{place}/", days="2026-01-01..2026-01-10")
    late = inbox / "2026-01-01" / "late.png"
    late.write_bytes((inbox / "2026-01-01" / "00000.png").read_bytes())
    settle(inbox)

    by_day(inbox, f"{place}/")

    assert days_of_files(place)["2026-01-01/late.png"] == "2026-01-01"


def test_what_an_interrupted_run_left_of_other_days_is_not_lost(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = tmp_path / "scored"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder, "_save", killed)
        with pytest.raises(KeyboardInterrupt):
            by_day(inbox, f"{place}/")
    done = by_day(inbox, f"{place}/", days="2026-01-02")

    assert done.n_scored == 0
    assert by_day(inbox, f"{place}/").unchanged


def test_another_model_scores_its_days_anew_and_leaves_the_rest(
    inbox: Path, tmp_path: Path, other_model: Path
):
    place = tmp_path / "scored"
    by_day(inbox, f"{place}/")

    done = by_day(inbox, f"{place}/", days="2026-01-02", model=str(other_model))

    assert done.n_scored == 3
    models = rows_of(place).groupby("path")["model_id"].first()
    assert {path[:10] for path, model in models.items() if model == done.model_id} == {"2026-01-02"}


def test_a_dataset_in_one_folder_stays_in_one_part(inbox: Path, tmp_path: Path):
    score_folder(inbox, f"{tmp_path}/scored/")

    assert len(parts_of(tmp_path / "scored")) == 1


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ("2026-02-30", "2026-02-30: is no range of days; give it as 2026-01-01..2026-01-31"),
        ("20260101", "is no range of days"),
        ("", "is no range of days"),
        ("2026-01-02..2026-01-01", "ends before it begins"),
        ("2025-01-01..2025-12-31", "holds no files in folders dated 2025-01-01..2025-12-31 "),
    ],
)
def test_a_range_that_means_nothing_is_refused(
    inbox: Path, tmp_path: Path, days: str, message: str
):
    with pytest.raises(UsageError, match=message):
        by_day(inbox, f"{tmp_path}/scored/", days=days)

    assert os.listdir(tmp_path) == ["inbox"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("path", "day"),
    [
        (b"2026-01-05/a.png", "2026-01-05"),
        (b"2026-01-05\0a.png", "2026-01-05"),
        (b"2026-01-05", "2026-01-05"),  # a folder that cannot be listed is found as one path
        (b"2026-01-05.png", None),
        (b"2026-13-05/a.png", None),
        (b"scans/2026-01-05/a.png", None),
        (b"\xd9\xa2026-01-05/a.png", None),
    ],
)
def test_the_day_of_a_path(path: bytes, day: str | None):
    assert day_of(path) == day


def test_one_day_is_a_range():
    assert parse_days("2026-01-05") == Days("2026-01-05", "2026-01-05")
