"""What a run says of itself, and when too much of it failed."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from digitflow.errors import OutputError, UnreadableImagesError, UsageError
from digitflow.scoring.summary import (
    ScoreSummary,
    check_error_rate,
    check_summary_file,
    write_summary,
)

SUMMARY = ScoreSummary(
    output=Path("/tables/out.parquet"),
    run_id="tonight",
    model="mnist",
    version="1",
    model_id="ab" * 32,
    n_files=200,
    n_rows=201,
    n_scored=40,
    n_kept=150,
    n_resumed=10,
    n_removed=3,
    n_unseen=0,
    n_unreadable=4,
    unchanged=False,
    statuses={"error": 4, "ok": 197},
    reasons={"truncated": 4},
    labels={"7": 197},
    seconds=2.0,
)


def test_words_tell_what_was_done_and_what_was_not() -> None:
    work = "scored 40, kept 150, taken up from an interrupted run 10, removed 3"
    assert f"\nwork     {work}\n" in SUMMARY.in_words()
    assert "\nspeed    20 images/s, 2.0 s in all\n" in SUMMARY.in_words()
    idle = replace(SUMMARY, n_scored=0, n_kept=200, n_resumed=0, n_removed=0, unchanged=True)
    assert "\nwork     kept 200\n" in idle.in_words()
    assert "\nspeed    2.0 s in all\n" in idle.in_words()
    assert idle.in_words().endswith("/tables/out.parquet (unchanged)")
    first = replace(SUMMARY, n_scored=200, n_kept=0, n_resumed=0, n_removed=0)
    assert "work" not in first.in_words()


def test_json_holds_every_field_and_the_rates(tmp_path: Path) -> None:
    write_summary(SUMMARY, str(tmp_path / "summary.json"))
    facts = json.loads((tmp_path / "summary.json").read_text())
    assert facts.pop("images_per_second") == 20
    assert facts.pop("error_rate") == 0.02
    assert facts == {**vars(SUMMARY), "output": "/tables/out.parquet"}
    with pytest.raises(OutputError, match="cannot be written"):
        write_summary(SUMMARY, "/proc/summary.json")


def test_a_summary_is_written_where_a_link_leads(tmp_path: Path) -> None:
    link = tmp_path / "last.json"
    link.symlink_to("tonight.json")
    write_summary(SUMMARY, str(link))
    assert link.is_symlink()
    assert json.loads((tmp_path / "tonight.json").read_text())["run_id"] == "tonight"


def test_too_many_errors_are_an_error_that_counts_them() -> None:
    check_error_rate(SUMMARY, None)
    check_error_rate(SUMMARY, 0.02)
    with pytest.raises(
        UnreadableImagesError, match=r"^4 of 200 files .* above 0\.0199; "
    ) as caught:
        check_error_rate(SUMMARY, 0.0199)
    assert caught.value.exit_code == 3
    check_error_rate(replace(SUMMARY, n_unreadable=0), 0.0)
    emptied = replace(SUMMARY, n_unseen=190)
    with pytest.raises(UnreadableImagesError, match="4 of 10 files could not be read"):
        check_error_rate(emptied, 0.39)


def test_a_summary_is_kept_away_from_table_and_images(tmp_path: Path) -> None:
    images, output = tmp_path / "images", tmp_path / "out.parquet"
    (images / "sub").mkdir(parents=True)
    (tmp_path / "alias.json").symlink_to(output)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "stdout").symlink_to("pipe")
    for path in (None, "-", str(tmp_path / "summary.json")):
        check_summary_file(path, images, output)
    for path, why in [
        (output, "is the table"),
        (tmp_path / "alias.json", "is the table"),
        (images / "sub" / "summary.json", "lies among the images"),
        (tmp_path, "is a folder or lies in none"),
        (tmp_path / "stdout", "is no regular file; name one, or - for the console"),
        (tmp_path / "missing" / "summary.json", "is a folder or lies in none"),
        ("s3://key:secret@bucket/summary.json", "^--summary: is no local file"),
    ]:
        with pytest.raises(UsageError, match=why):
            check_summary_file(str(path), images, output)
    assert not (tmp_path / "missing").exists()
