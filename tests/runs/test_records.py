"""Reading records back: what is damaged or foreign is told."""

import json
from pathlib import Path

import pytest
from runs_support import record_run

from digitflow import settings
from digitflow.errors import UsageError
from digitflow.runs.records import find_run, list_runs, read_record


def change(folder: Path, **entries: object) -> None:
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**facts, **entries}))


def test_without_reports_there_are_no_runs():
    assert list_runs().records == []


def test_runs_come_newest_first():
    for name, started in [("b", "2026-01-02"), ("a", "2026-03-01"), ("c", "2026-01-03")]:
        change(record_run(name), started_at=f"{started}T00:00:00+00:00")

    assert [record.name for record in list_runs().records] == ["a", "c", "b"]


def test_a_moved_run_has_the_name_of_its_folder(tmp_path: Path):
    moved = record_run("before").rename(tmp_path / "after")

    assert read_record(moved).name == "after"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[]", "is no record of a run"),
        ('{"format": "1"}', "is no record of a run"),
        ('{"a": 1}', "is no record of a run"),
        ('{"format": 2}', "has format 2, this digitflow knows up to 1; use a newer one"),
        ('{"format": 1}', "is damaged .run is missing or no str"),
        ("[" * 100_000, "is damaged"),
    ],
)
def test_a_damaged_record_is_told_beside_the_others(content: str, why: str):
    record_run("good")
    damaged = record_run("bad")
    (damaged / "run.json").write_text(content)

    runs = list_runs()

    assert [record.name for record in runs.records] == ["good"]
    (line,) = runs.damaged
    assert line.startswith(f"{damaged / 'run.json'}: ")
    with pytest.raises(UsageError, match=why):
        find_run("bad")


@pytest.mark.parametrize(
    "entries",
    [
        {"state": "asleep"},
        {"started_at": "yesterday"},
        {"started_at": "2026-01-01T00:00:00"},
        {"parameters": []},
        {"seconds": "5"},
        {"metrics": None},
        {"outputs": {}},
    ],
)
def test_entries_of_other_kinds_are_damage(entries: dict[str, object]):
    change(record_run("bad"), **entries)

    assert len(list_runs().damaged) == 1


def test_what_is_no_run_is_passed_over_or_named():
    record_run("good")
    reports = settings.reports_folder()
    (reports / "README.md").write_text("not a folder")
    (reports / ".hidden").mkdir()
    (reports / "older").mkdir()
    (reports / "link").mkdir()
    (reports / "link" / "run.json").symlink_to(reports / "good" / "run.json")

    runs = list_runs()

    assert [record.name for record in runs.records] == ["good"]
    assert runs.unrecorded == ["older"]
    assert "a link" in runs.damaged[0]


def test_a_run_is_found_by_name_beginning_or_folder():
    folder = record_run("20260101-a")
    record_run("20260102-b")

    assert find_run("20260101-a").folder == folder
    assert find_run("20260101").folder == folder
    assert find_run(str(folder)).folder == folder
    with pytest.raises(UsageError, match=r"2 begin so .20260102-b, 20260101-a.; give more of"):
        find_run("2026")
    for unknown in ("x", ""):
        with pytest.raises(UsageError, match=r"there is none in .*; digitflow runs list"):
            find_run(unknown)
    with pytest.raises(UsageError, match=r"gone/run\.json: cannot be read"):
        find_run("./gone")
