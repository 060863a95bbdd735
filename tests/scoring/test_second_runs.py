"""A second run over a folder: it scores what it must, and ends as if all were scored anew."""

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from scoring.scored_datasets import stand_of
from scoring_support import frame_of, same_rows, settle

from digitflow.errors import OutputError, UsageError
from digitflow.scoring import assembling, plan, table
from digitflow.scoring import folder as folder_module
from digitflow.scoring.folder import ScoreSummary

score_folder = partial(folder_module.score_folder, workers=1)

#: Of the files in the fixture `images`: those that can be read, and those that can not.
READABLE, BROKEN = 10, 5


def work_of(summary: ScoreSummary) -> tuple[int, int, int]:
    return summary.n_scored, summary.n_kept, summary.n_removed


def run_of(table: Path) -> dict[str, str]:
    return frame_of(table).set_index("path")["run_id"].to_dict()


def draw(path: Path, ink: int = 0) -> None:
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[6:34, 18:22] = ink
    Image.fromarray(pixels).save(path)


def drop_broken(images: Path) -> None:
    for name in ("cut.png", "empty.png", "notes.txt", "link.png", "pipe.png"):
        (images / name).unlink()


def check_against_a_fresh_run(images: Path, output: Path, multi: bool = False) -> None:
    fresh = output.with_name("fresh.parquet")
    score_folder(images, fresh, multi=multi)
    same_rows(output, fresh)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let fifteen files fill several shards, row groups and blocks."""
    monkeypatch.setattr(plan, "SHARD_FILES", 2)
    monkeypatch.setattr(table, "ROW_GROUP_ROWS", 4)
    monkeypatch.setattr(assembling, "_BLOCK_FILES", 3)


def test_a_table_that_is_right_is_not_written_again(images: Path, output: Path) -> None:
    drop_broken(images)
    first = score_folder(images, output, run_id="first")
    before = stand_of(output)
    second = score_folder(images, output, run_id="second")
    assert work_of(second) == (0, READABLE, 0)
    assert second.unchanged
    assert not first.unchanged
    assert stand_of(output) == before
    counted = ("n_files", "n_rows", "statuses", "reasons", "labels")
    assert all(getattr(first, name) == getattr(second, name) for name in counted)
    assert second.in_words().endswith(f"{output} (unchanged)")
    assert "work     kept 10\n" in second.in_words()


def test_what_could_not_be_read_is_scored_again(images: Path, output: Path) -> None:
    score_folder(images, output, run_id="first")
    shutil.copy2(images / "a.png", images / "cut.png")
    second = score_folder(images, output, run_id="second")
    assert work_of(second) == (BROKEN, READABLE, 0)
    assert second.statuses["error"] == BROKEN - 1
    again = {path for path, run in run_of(output).items() if run == "second"}
    assert again == {"cut.png", "empty.png", "link.png", "notes.txt", "pipe.png"}
    check_against_a_fresh_run(images, output)


def test_what_is_new_or_changed_is_scored_and_what_is_gone_goes(images: Path, output: Path) -> None:
    drop_broken(images)
    score_folder(images, output, run_id="first")
    (images / "a.png").unlink()
    shutil.rmtree(images / "sub")
    draw(images / "+first.png")
    draw(images / "zz last.png", ink=40)
    (images / "h.png").unlink()
    (images / "h.png").mkdir()  # where a file was
    draw(images / "h.png" / "inside.png")
    os.utime(images / "=c.png", (1_600_000_000, 1_600_000_000))
    draw(images / "blank.png")
    settle(images, 1_650_000_000)
    os.utime(images / "-b.png", (1_700_000_000, 1_700_000_000))
    os.utime(images / "new\nline.png", (1_700_000_000, 1_700_000_000))
    second = score_folder(images, output, run_id="second")
    runs = run_of(output)
    kept = {path for path, run in runs.items() if run == "first"}
    assert kept == {"-b.png", "new\nline.png"}
    assert work_of(second) == (7, 2, 4)
    assert second.n_files == len(runs) == 9
    check_against_a_fresh_run(images, output)


def test_rows_of_files_that_are_gone_stay_when_asked_to(images: Path, output: Path) -> None:
    score_folder(images, output, run_id="first")
    before = frame_of(output)
    (images / "a.png").unlink()
    shutil.rmtree(images / "sub")
    (images / "cut.png").unlink()
    draw(images / "b.png")
    second = score_folder(images, output, run_id="second", keep_removed=True)
    assert work_of(second) == (BROKEN, READABLE + 1, 0)
    after = frame_of(output)
    assert after["path"].tolist() == sorted([*before["path"], "b.png"], key=_place)
    gone = ["a.png", "sub/d.png", "sub/e.png", "cut.png"]
    for path in gone:
        (row,) = after[after["path"] == path].to_dict("records")
        assert row["run_id"] == "first"
    third = score_folder(images, output)
    assert third.n_removed == 4
    check_against_a_fresh_run(images, output)


@pytest.mark.parametrize("form", ["{}", "{}.d/"])
def test_what_could_not_be_read_and_is_gone_is_no_error_of_the_next_run(
    images: Path, output: Path, form: str
) -> None:
    place = form.format(output)
    first = score_folder(images, place)
    drop_broken(images)
    second = score_folder(images, place, keep_removed=True)

    assert (first.n_unseen, first.n_unreadable) == (0, BROKEN)
    assert first.error_rate == BROKEN / first.n_files
    assert second.statuses == first.statuses
    assert (second.n_unseen, second.n_unreadable, second.error_rate) == (BROKEN, 0, 0)


def _place(path: str) -> bytes:
    # The one name that is not UTF-8 is shown as text in the column `path`.
    return plan.place_in_walk(path.replace("\\xff", "\udcff").encode(errors="surrogateescape"))


@pytest.mark.parametrize("end", ["", "/"], ids=["table", "dataset"])
def test_a_row_of_another_model_that_stayed_does_not_stand_for_its_file(
    images: Path, output: Path, other_model: Path, end: str
) -> None:
    drop_broken(images)
    place = f"{output}{end}"
    score_folder(images, place)
    (images / "a.png").rename(images.with_name("a.png"))
    score_folder(images, place, model=str(other_model), keep_removed=True)
    images.with_name("a.png").rename(images / "a.png")
    back = score_folder(images, place, model=str(other_model))
    assert work_of(back) == (1, READABLE - 1, 0)
    assert set(frame_of(output)["model_id"]) == {back.model_id}
    assert score_folder(images, place, model=str(other_model)).unchanged


def test_rows_of_another_setting_of_multi_cannot_stay(images: Path, output: Path) -> None:
    # Of a row nobody can tell how many digits were looked for, should its file come back.
    score_folder(images, output)
    before = output.read_bytes()
    with pytest.raises(UsageError, match=r"rows of another setting of --multi \(off\) cannot stay"):
        score_folder(images, output, multi=True, keep_removed=True)
    assert output.read_bytes() == before


def test_fresh_scores_everything_but_can_keep_what_is_gone(images: Path, output: Path) -> None:
    score_folder(images, output, run_id="first")
    second = score_folder(images, output, run_id="second", fresh=True)
    assert work_of(second) == (READABLE + BROKEN, 0, 0)
    (images / "a.png").unlink()
    third = score_folder(images, output, run_id="third", fresh=True, keep_removed=True)
    assert work_of(third) == (READABLE + BROKEN - 1, 1, 0)
    assert run_of(output).pop("a.png") == "second"


def test_other_options_and_models_score_everything(
    images: Path, output: Path, other_model: Path
) -> None:
    score_folder(images, output)
    multi = score_folder(images, output, multi=True)
    assert multi.n_kept == 0
    again = score_folder(images, output, multi=True)
    assert work_of(again) == (BROKEN, READABLE, 0)
    other = score_folder(images, output, multi=True, model=str(other_model))
    assert other.n_kept == 0
    assert set(frame_of(output)["model_id"]) == {other.model_id}
    images.rename(images.with_name("moved"))
    assert score_folder(images.with_name("moved"), output, model=str(other_model)).n_kept == 0


def test_several_rows_of_a_file_stay_together(images: Path, output: Path) -> None:
    for name in ("2.png", "4.png", "sub/6.png"):
        pixels = np.full((60, 200), 255, np.uint8)
        for column in (20, 80, 140, 180):
            pixels[10:50, column : column + 5] = 0
        Image.fromarray(pixels).save(images / name)
    settle(images)
    first = score_folder(images, output, multi=True)
    assert first.n_rows > first.n_files + 6
    (images / "4.png").touch()
    (images / "2.png").unlink()
    second = score_folder(images, output, multi=True)
    assert work_of(second) == (BROKEN + 1, READABLE + 1, 1)
    check_against_a_fresh_run(images, output, multi=True)


def test_a_file_changed_as_it_was_scored_is_scored_again(images: Path, output: Path) -> None:
    drop_broken(images)
    (images / "a.png").touch()  # now: it may be changed once more within the clock's grain
    score_folder(images, output)
    os.utime(images / "g.png", (4_000_000_000, 4_000_000_000))  # a clock that is ahead
    assert work_of(score_folder(images, output)) == (2, READABLE - 2, 0)
    assert work_of(score_folder(images, output)) == (2, READABLE - 2, 0)
    settle(images)
    assert work_of(score_folder(images, output)) == (2, READABLE - 2, 0)
    assert work_of(score_folder(images, output)) == (0, READABLE, 0)


def test_only_the_same_size_and_time_make_it_the_same_file(images: Path, output: Path) -> None:
    drop_broken(images)
    score_folder(images, output)
    seconds = (images / "a.png").stat().st_mtime
    (images / "a.png").write_bytes((images / "a.png").read_bytes() + b"more")
    os.utime(images / "a.png", (seconds, seconds))
    assert work_of(score_folder(images, output)) == (1, READABLE - 1, 0)


def test_an_unlistable_folder_and_odd_names_behave_on_a_second_run(
    images: Path, output: Path
) -> None:
    long = "n" * 251 + ".png"
    shutil.copy2(images / "a.png", images / long)
    (images / "empty folder").mkdir()
    (images / "loop").symlink_to(images, target_is_directory=True)
    with (images / "sparse.png").open("wb") as stream:
        stream.truncate(10 * 2**30)
    settle(images)
    score_folder(images, output, run_id="first")
    second = score_folder(images, output, run_id="second")
    assert work_of(second) == (BROKEN + 2, READABLE + 1, 0)
    runs = run_of(output)
    assert [runs[name] for name in (long, "-b.png", "new\nline.png", "\\xff.png")] == ["first"] * 4
    check_against_a_fresh_run(images, output)


def test_names_alike_as_text_are_told_apart(tmp_path: Path, output: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    draw(folder / "\\xff.png")
    draw(folder / os.fsdecode(b"\xff.png"), ink=40)
    settle(folder)
    score_folder(folder, output, run_id="first")
    assert score_folder(folder, output).unchanged
    (folder / "\\xff.png").touch()
    assert work_of(score_folder(folder, output, run_id="second")) == (1, 1, 0)
    frame = frame_of(output)
    assert frame["run_id"][frame["path_bytes"].isna()].tolist() == ["second"]


def rewrite(output: Path, change) -> None:
    """Change a table as someone might who has it open in a notebook, and keeps its metadata."""
    parquet.write_table(change(parquet.read_table(output)), output)


def test_rows_that_someone_took_out_are_scored_again(images: Path, output: Path) -> None:
    score_folder(images, output)
    rewrite(output, lambda rows: rows.slice(8))
    assert work_of(score_folder(images, output)) == (8 + 3, 4, 0)
    check_against_a_fresh_run(images, output)


def test_a_table_with_other_columns_is_made_anew(images: Path, output: Path) -> None:
    score_folder(images, output)
    rewrite(output, lambda rows: rows.append_column("seen", pa.array([True] * 15)))
    with pytest.raises(UsageError, match="rows of another columns"):
        score_folder(images, output, keep_removed=True)
    assert score_folder(images, output).n_kept == 0
    check_against_a_fresh_run(images, output)


def test_a_table_that_was_sorted_or_damaged_asks_for_fresh(images: Path, output: Path) -> None:
    score_folder(images, output)
    rewrite(output, lambda rows: rows.sort_by([("path", "descending")]))
    with pytest.raises(OutputError, match=r"not in the order .*; run again with --fresh"):
        score_folder(images, output)
    score_folder(images, output, fresh=True)
    content = bytearray(output.read_bytes())
    for group in range(2):
        column = parquet.ParquetFile(output).metadata.row_group(group).column(23)
        content[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    output.write_bytes(content)
    with pytest.raises(OutputError, match=r"cannot be read back .*with --fresh"):
        score_folder(images, output)
    assert output.read_bytes() == content
    assert score_folder(images, output, fresh=True).n_kept == 0
    assert list(output.parent.glob(".*")) == []


def test_rows_of_another_folder_cannot_stay(images: Path, output: Path, tmp_path: Path) -> None:
    score_folder(images, output)
    before = output.read_bytes()
    other = shutil.copytree(images / "sub", tmp_path / "other")
    with pytest.raises(UsageError, match=r"rows of another folder \(.*images\) cannot stay"):
        score_folder(other, output, keep_removed=True)
    assert output.read_bytes() == before
    assert score_folder(other, output).n_files == 2
