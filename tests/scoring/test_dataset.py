"""A dataset takes up what is new as new parts, and always holds what scoring anew would give."""

import errno
import io
import os
import shutil
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import dataset as arrow_dataset
from pyarrow import parquet
from scoring.scored_datasets import parts_of, rows_of, stand_of
from scoring_support import MOMENTS, frame_of, settle

from digitflow.errors import OutputError, UsageError
from digitflow.scoring import assembling, growing, merging, plan, table
from digitflow.scoring import folder as folder_module
from digitflow.scoring.drift import measure_drift
from digitflow.scoring.review import write_sheet

score_folder = partial(folder_module.score_folder, workers=1)


def check_against_a_fresh_run(images: Path, place: Path, multi: bool = False) -> None:
    table = place.with_name("fresh.parquet")
    score_folder(images, table, multi=multi)
    one, other = rows_of(place).drop(columns=MOMENTS), frame_of(table).drop(columns=MOMENTS)
    pd.testing.assert_frame_equal(one, other, check_dtype=False)
    table.unlink()


def add(images: Path, *names: str) -> None:
    for name in names:
        (images / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(images / "g.png", images / name)
    settle(images)


@pytest.fixture
def images(images: Path) -> Path:
    """The shared pictures, without those that cannot be read and so are tried in every run."""
    for name in ("cut.png", "empty.png", "notes.txt", "link.png", "pipe.png"):
        (images / name).unlink()
    return images


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    return tmp_path / "tables" / "scored"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten files fill several shards, row groups, blocks and parts."""
    monkeypatch.setattr(plan, "SHARD_FILES", 2)
    monkeypatch.setattr(table, "ROW_GROUP_ROWS", 4)
    monkeypatch.setattr(assembling, "_BLOCK_FILES", 3)
    monkeypatch.setattr(growing, "PART_FILES", 4)
    monkeypatch.setattr(growing, "DEALT_FILES", 5)
    monkeypatch.setattr(merging, "AT_ONCE", 2)


def test_new_rows_come_in_parts_of_a_sensible_size(images: Path, place: Path) -> None:
    first = score_folder(images, f"{place}/", run_id="first")
    assert [len(frame_of(part)) for part in parts_of(place)] == [4, 4, 2]
    assert (first.n_files, first.n_rows, first.n_parts, first.n_parts_written) == (10, 10, 3, 3)
    assert first.in_words().endswith(f"dataset  {place}/ (3 parts, 3 written)")
    assert {path.parent for path in place.rglob("*")} == {place}
    assert list(place.parent.iterdir()) == [place]
    check_against_a_fresh_run(images, place)


def test_a_dataset_that_is_right_is_not_touched(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/")
    before, stand = place.stat(), stand_of(place)
    summary = score_folder(images, place)  # known for what it is without the slash
    assert (summary.unchanged, summary.n_kept, summary.n_parts_written) == (True, 10, 0)
    assert (place.stat().st_mtime_ns, stand_of(place)) == (before.st_mtime_ns, stand)
    assert summary.in_words().endswith(f"dataset  {place}/ (3 parts, unchanged)")


def test_a_new_file_is_a_new_part_and_no_other_is_opened_for_writing(
    images: Path, place: Path
) -> None:
    score_folder(images, f"{place}/")
    stand = stand_of(place)
    add(images, "+first.png")
    summary = score_folder(images, f"{place}/", run_id="second")
    after = stand_of(place)
    (new,) = after.keys() - stand.keys()
    assert {part: after[part] for part in stand} == stand
    assert frame_of(new)["path"].tolist() == ["+first.png"]
    assert new == parts_of(place)[-1]
    assert (summary.n_scored, summary.n_kept, summary.n_files) == (1, 10, 11)
    assert (summary.n_parts, summary.n_parts_written) == (4, 1)
    check_against_a_fresh_run(images, place)


def test_only_parts_whose_files_changed_are_written_anew(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/", run_id="first")
    homes = {path: part for part in parts_of(place) for path in frame_of(part)["path"]}
    stand = stand_of(place)
    os.utime(images / "a.png", (1_600_000_000, 1_600_000_000))
    (images / "new\nline.png").unlink()
    summary = score_folder(images, f"{place}/", run_id="second")
    after = stand_of(place)
    touched = {homes["a.png"], homes["new\nline.png"]}
    assert after.keys() == stand.keys()
    assert {part for part in stand if after[part] != stand[part]} == touched
    assert len(touched) == 2
    rewritten = frame_of(homes["a.png"]).set_index("path")
    assert rewritten["run_id"].value_counts().to_dict() == {"first": 3, "second": 1}
    assert rewritten.loc["a.png", "run_id"] == "second"
    assert (summary.n_scored, summary.n_kept, summary.n_removed) == (1, 8, 1)
    assert summary.n_parts_written == 2
    check_against_a_fresh_run(images, place)


def test_an_emptied_part_goes(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/")
    first, *others = parts_of(place)
    for path in frame_of(first)["path"]:
        (images / path).unlink()
    add(images, "z.png")
    summary = score_folder(images, f"{place}/")
    assert parts_of(place)[:-1] == others
    assert (summary.n_removed, summary.n_parts, summary.n_parts_written) == (4, 3, 1)
    check_against_a_fresh_run(images, place)


def test_what_could_not_be_read_is_tried_again_in_its_place(images: Path, place: Path) -> None:
    for name in ("cut.png", "sub/cut.png"):
        (images / name).write_bytes(b"cut")
    settle(images)
    score_folder(images, f"{place}/", run_id="first")
    stand = stand_of(place)
    again = score_folder(images, f"{place}/")
    assert (again.n_scored, again.n_parts_written, again.statuses["error"]) == (2, 0, 2)
    assert stand_of(place) == stand  # they failed in the same way
    (images / "cut.png").write_bytes(b"other")
    settle(images)
    assert score_folder(images, f"{place}/").n_parts_written == 1
    check_against_a_fresh_run(images, place)
    stand = stand_of(place)
    add(images, "sub/cut.png")
    score_folder(images, f"{place}/")
    after = stand_of(place)
    assert sum(after[part] != stand[part] for part in stand) == 1
    add(images, "cut.png")
    stand = stand_of(place)
    assert score_folder(images, f"{place}/").statuses.get("error") is None
    after = stand_of(place)
    assert sum(after[part] != stand[part] for part in stand) == 1
    assert len(after) == len(stand)
    check_against_a_fresh_run(images, place)


def test_a_file_from_the_future_is_scored_and_written_each_time(images: Path, place: Path) -> None:
    os.utime(images / "a.png", (4_000_000_000, 4_000_000_000))
    score_folder(images, f"{place}/")
    second = score_folder(images, f"{place}/", run_id="second")
    assert (second.n_scored, second.n_parts_written) == (1, 1)
    # By its `scored_at` a later run may know that it has settled.
    assert rows_of(place).set_index("path").loc["a.png", "run_id"] == "second"


def test_removed_rows_stay_where_they_are_when_asked_to(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/")
    stand = stand_of(place)
    (images / "a.png").unlink()
    assert score_folder(images, f"{place}/", keep_removed=True).unchanged
    assert stand_of(place) == stand
    second = score_folder(images, f"{place}/", keep_removed=True, fresh=True, run_id="second")
    assert (second.n_scored, second.n_kept, second.n_files) == (9, 1, 10)
    runs = rows_of(place).set_index("path")["run_id"]
    assert runs.pop("a.png") != "second"
    assert set(runs) == {"second"}
    assert parts_of(place) == list(stand)


def test_another_model_writes_all_parts_anew(
    images: Path, place: Path, other_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_folder(images, f"{place}/")
    stand = stand_of(place)
    add(images, "0.png", "i.png")
    other = score_folder(images, f"{place}/", model=str(other_model))
    after = stand_of(place)
    assert (other.n_scored, other.n_kept, other.n_parts_written) == (12, 0, 4)
    assert all(after[part] != stand[part] for part in stand)
    assert set(rows_of(place)["model_id"]) == {other.model_id}
    for part in after:
        assert other.model_id.encode() in parquet.read_schema(part).metadata[b"digitflow"]
    assert score_folder(images, f"{place}/", model=str(other_model)).unchanged
    again = score_folder(images, f"{place}/", multi=True)
    assert (again.n_kept, again.n_parts_written) == (0, 4)
    check_against_a_fresh_run(images, place, multi=True)


def test_many_parts_are_compared_and_written_as_few_are(images: Path, place: Path) -> None:
    for name in "ijklmnopqrs":
        add(images, f"{name}.png", f"sub/{name}.png")
        score_folder(images, f"{place}/")
    assert len(parts_of(place)) == 13
    check_against_a_fresh_run(images, place)
    assert score_folder(images, f"{place}/", fresh=True).n_parts_written == 13
    check_against_a_fresh_run(images, place)


def test_days_tell_when_a_file_came_in_also_after_it_changed(images: Path, place: Path) -> None:
    today = f"added_on={pd.Timestamp.now('UTC'):%Y-%m-%d}"
    earlier = place / "added_on=2020-02-02"
    by_day = partial(score_folder, images, f"{place}/", partition_by="day")
    by_day()
    assert {part.parent.name for part in parts_of(place)} <= {today}
    (place / today).rename(earlier)
    assert by_day().unchanged
    add(images, "z.png")
    os.utime(images / "a.png", (1_600_000_000, 1_600_000_000))
    by_day()
    frame = arrow_dataset.dataset(place, partitioning="hive").to_table().to_pandas()
    assert dict.fromkeys(frame["added_on"]).keys() == {"2020-02-02", today.partition("=")[2]}
    last_night = frame[frame["added_on"] != "2020-02-02"]
    assert last_night["path"].tolist() == ["z.png"]
    check_against_a_fresh_run(images, place)
    (images / "z.png").unlink()
    by_day()
    assert list(place.iterdir()) == [earlier]
    check_against_a_fresh_run(images, place)


def test_the_day_is_that_on_which_the_run_began(
    images: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evening = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)

    class Clock(datetime):
        """It strikes twelve as soon as somebody has looked at it."""

        looks = 0

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            cls.looks += 1
            return evening + timedelta(minutes=cls.looks > 1)

    for module in (folder_module, growing):
        monkeypatch.setattr(module, "datetime", Clock, raising=False)
    score_folder(images, f"{place}/", partition_by="day")
    assert {part.parent.name for part in parts_of(place)} == {"added_on=2026-11-20"}


def test_layouts_are_not_mixed(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/")
    with pytest.raises(OutputError, match="not by day; leave out --partition-by"):
        score_folder(images, f"{place}/", partition_by="day")
    by_day = place.with_name("by day")
    score_folder(images, f"{by_day}/", partition_by="day")
    with pytest.raises(OutputError, match="by day; say so with --partition-by day"):
        score_folder(images, by_day)
    with pytest.raises(UsageError, match="name one that ends in a slash"):
        score_folder(images, place.with_name("new"), partition_by="day")
    for inside in (place, next(by_day.iterdir())):
        with pytest.raises(OutputError, match="lies in a scored dataset"):
            score_folder(images, inside / "out.parquet")


def test_anything_else_in_the_folder_is_refused_but_hidden_names(images: Path, place: Path) -> None:
    place.mkdir()
    (place / ".nfs0001").write_text("x")
    (place / "_SUCCESS").write_text("")
    score_folder(images, f"{place}/")
    stand = stand_of(place)
    part = parts_of(place)[0]
    strays = {
        "notes\n.txt": lambda path: path.write_text("x"),
        "part-0.parquet": lambda path: shutil.copy(part, path),
        f"{part.name}.bak": lambda path: shutil.copy(part, path),
        part.name.replace("-00000", "-00009"): lambda path: path.symlink_to(part),
        ".copy.parquet": lambda path: shutil.copy(part, path),
        "scored": lambda path: path.mkdir(),
        ".scored": lambda path: path.mkdir(),
    }
    for name, make in strays.items():
        make(place / name)
        with pytest.raises(OutputError, match="which is no part") as caught:
            score_folder(images, f"{place}/")
        assert f"holds {ascii(name)[1:-1]}, which" in str(caught.value)
        (place / name).rmdir() if (place / name).is_dir() else (place / name).unlink()
    assert stand_of(place) == stand
    assert score_folder(images, f"{place}/").unchanged
    assert (place / "_SUCCESS").exists()


def test_a_dataset_of_another_folder_or_of_other_classes_is_refused(
    images: Path, place: Path, tmp_path: Path
) -> None:
    score_folder(images, f"{place}/")
    other = shutil.copytree(images / "sub", tmp_path / "other")
    with pytest.raises(UsageError, match=r"is a dataset of another folder \(.*images\)"):
        score_folder(other, f"{place}/", fresh=True)
    for part in parts_of(place):
        content = parquet.read_table(part)
        metadata = dict(content.schema.metadata)
        metadata[b"digitflow"] = metadata[b"digitflow"].replace(b'"9"', b'"nine"')
        parquet.write_table(content.replace_schema_metadata(metadata), part)
    with pytest.raises(UsageError, match="is a dataset of another classes"):
        score_folder(images, f"{place}/")


def test_a_part_that_was_taken_out_sorted_or_copied_is_made_good(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/")
    first, second, third = parts_of(place)
    first.unlink()
    shutil.copy(second, place / second.name.replace("-00001", "-00007"))
    summary = score_folder(images, f"{place}/")
    assert (summary.n_scored, summary.n_kept) == (4, 6)
    check_against_a_fresh_run(images, place)
    rows = parquet.read_table(third)
    parquet.write_table(rows.take(pa.array(range(len(rows))[::-1])), third)
    with pytest.raises(OutputError, match=r"not in the order .*; run again with --fresh"):
        score_folder(images, f"{place}/")
    score_folder(images, f"{place}/", fresh=True)
    check_against_a_fresh_run(images, place)


def test_damaged_parts_are_named_and_made_good(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/")
    part = parts_of(place)[1]
    whole = part.read_bytes()
    column = parquet.ParquetFile(part).metadata.row_group(0).column(0)
    damaged = bytearray(whole)
    damaged[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    part.write_bytes(damaged)
    with pytest.raises(OutputError, match=rf"{part.name}: cannot be read back .*with --fresh"):
        score_folder(images, f"{place}/")
    assert part.read_bytes() == damaged
    score_folder(images, f"{place}/", fresh=True)
    check_against_a_fresh_run(images, place)
    part = parts_of(place)[0]
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(OutputError, match=rf"{part.name}: is damaged.*scored again"):
        score_folder(images, f"{place}/")
    part.unlink()
    score_folder(images, f"{place}/")
    check_against_a_fresh_run(images, place)


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError])
def test_a_part_that_cannot_be_opened_is_named(
    images: Path, place: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    score_folder(images, f"{place}/")
    part = parts_of(place)[1]
    open_other = Path.open

    def open_path(path: Path, *arguments: Any, **options: Any) -> io.IOBase:
        if path == part:
            raise error(2, "not to be had", os.fspath(path))
        return open_other(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_path)
    with pytest.raises(OutputError, match=rf"{part.name}: cannot be read \(not to be had\)"):
        score_folder(images, f"{place}/")


def test_a_part_with_other_columns_is_made_anew(images: Path, place: Path) -> None:
    score_folder(images, f"{place}/")
    one, other, _ = parts_of(place)
    rows = parquet.read_table(one)
    parquet.write_table(rows.append_column("seen", pa.array([True] * len(rows))), one)
    parquet.write_table(parquet.read_table(other).drop_columns("segment"), other)
    summary = score_folder(images, f"{place}/")
    assert (summary.n_scored, summary.n_kept, summary.n_parts_written) == (8, 2, 2)
    assert one.exists()
    assert not other.exists()
    check_against_a_fresh_run(images, place)


def test_a_folder_that_takes_no_renames_from_beside_it_is_refused_at_once(
    images: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.mkdir()

    def rename(source: Path, target: Path) -> None:
        # So do bind mounts, which one file system may have many of.
        assert (source.parent, target.parent) == (place.parent, place)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OutputError, match="beside it is no place for unfinished parts"):
        score_folder(images, f"{place}/")
    assert list(place.parent.iterdir()) == [place]


def test_a_dataset_among_the_images_is_not_scored(images: Path) -> None:
    for _ in range(2):
        summary = score_folder(images, f"{images}/scored/")
        assert summary.n_files == 10
    assert summary.unchanged


def test_drift_and_review_read_a_dataset(images: Path, place: Path, tmp_path: Path) -> None:
    score_folder(images, f"{place}/", partition_by="day")
    table = tmp_path / "single.parquet"
    score_folder(images, table)
    drift = measure_drift(place, [table])
    assert drift.table.n_rows == drift.reference.n_rows == 10
    assert max(column.distance for column in drift.columns) < 1e-6
    sheet = write_sheet(place, tmp_path / "sheet.html", statuses=["ok", "uncertain"])
    assert (
        sheet.n_shown
        == write_sheet(table, tmp_path / "other.html", statuses=["ok", "uncertain"]).n_shown
    )
    assert sheet.n_without_picture == 0
