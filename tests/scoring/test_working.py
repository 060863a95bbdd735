"""The working folder: one run at a time, and nothing left of dead ones."""

import os
from pathlib import Path

import pytest

from digitflow.errors import BundleError, OutputError, in_one_line
from digitflow.scoring.working import begin, working_folder

IDENTITY = {"model_id": "a"}


def is_whole(part: Path) -> bool:
    return part.read_text() == "whole"


def test_it_lies_hidden_beside_the_output_and_goes_at_the_end(tmp_path: Path) -> None:
    with working_folder(tmp_path / "out.parquet") as work:
        assert work == tmp_path / ".out.parquet.digitflow"
        (work / "part").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(OutputError), working_folder(tmp_path / "out.parquet") as work:
        _fill_and_fail(work)  # but not with parts where parts lie
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_run_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".out.parquet.digitflow"
    (left / "folder").mkdir(parents=True)
    (left / "folder" / "part").write_text("x")
    (left / "link").symlink_to(tmp_path)
    with working_folder(tmp_path / "out.parquet") as work:
        begun = begin(work, IDENTITY, False, is_whole)
        assert sorted(work.iterdir()) == sorted([begun.parts, work / "run.json"])
        assert (list(begun.parts.iterdir()), begun.left) == ([], [])
    assert list(tmp_path.iterdir()) == []


def interrupted(output: Path, identity: dict, fresh: bool = False) -> None:
    with pytest.raises(OutputError), working_folder(output, fresh) as work:
        _fill_and_fail(begin(work, identity, fresh, is_whole).parts)


@pytest.mark.parametrize("fresh", [False, True])
def test_whole_parts_of_interrupted_runs_are_taken_up(tmp_path: Path, fresh: bool) -> None:
    output = tmp_path / "out.parquet"
    interrupted(output, IDENTITY, fresh)
    interrupted(output, IDENTITY)
    with working_folder(output) as work:
        begun = begin(work, IDENTITY, False, is_whole)
        names = [[part.name for part in each] for each in begun.left]
        assert names == [["part-1.parquet", "part-2.parquet"]] * 2
        assert all(part.exists() for each in begun.left for part in each)
        assert begun.fresh is fresh
        assert len(list(work.rglob("*.parquet*"))) == 4
    assert list(tmp_path.iterdir()) == []


def test_what_was_left_last_comes_last(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    for _ in range(6):
        interrupted(output, IDENTITY)
    runs = sorted(tmp_path.glob(".out.parquet.digitflow/*/"))
    for second, run in enumerate(runs):
        for part in run.iterdir():
            os.utime(part, (second, second))
    with working_folder(output) as work:
        begun = begin(work, IDENTITY, False, is_whole)
        assert [part.stat().st_mtime for part, _ in begun.left] == [0, 1, 2, 3, 4, 5]


def test_what_is_of_other_use_is_not_taken_up(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    for identity, fresh in [({"model_id": "b"}, False), (IDENTITY, True)]:
        interrupted(output, IDENTITY)
        with working_folder(output) as work:
            assert begin(work, identity, fresh, is_whole).left == []
            assert not list(work.rglob("*.parquet*"))


def test_an_orphan_finds_its_folder_no_more(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    interrupted(output, IDENTITY)
    (old,) = tmp_path.glob(".out.parquet.digitflow/*/")
    with working_folder(output) as work:
        begin(work, IDENTITY, False, is_whole)
        assert not old.exists()


def test_an_interruption_tells_how_to_go_on(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    for fresh, told in [(False, "the same command goes on"), (True, "without --fresh goes on")]:
        with pytest.raises(OutputError) as caught, working_folder(output, fresh) as work:
            _fill_and_fail(begin(work, IDENTITY, fresh, is_whole).parts)
        assert told in in_one_line("", caught.value)
    with pytest.raises(BundleError) as changed, working_folder(output) as work:
        raise BundleError("the model was changed")
    assert in_one_line("x", changed.value) == "x"
    assert len(list(tmp_path.rglob("part-1.parquet"))) == 1


def test_a_second_run_on_the_same_output_is_refused(tmp_path: Path) -> None:
    with working_folder(tmp_path / "out.parquet") as work:
        (work / "part").write_text("x")
        with (
            pytest.raises(OutputError, match="another run is writing"),
            working_folder(tmp_path / "out.parquet"),
        ):
            pass
        assert (work / "part").read_text() == "x"
        with working_folder(tmp_path / "other.parquet"):
            pass


def test_it_is_refused_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    missing = tmp_path / "missing" / "out.parquet"
    with pytest.raises(OutputError, match="has vanished"), working_folder(missing):
        pass
    under_a_file = tmp_path / "file" / "out.parquet"
    with pytest.raises(OutputError, match="Not a directory"), working_folder(under_a_file):
        pass
    planted = tmp_path / ".out.parquet.digitflow"
    planted.symlink_to(tmp_path)
    with pytest.raises(OutputError), working_folder(tmp_path / "out.parquet"):
        pass
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_that_takes_no_others_is_refused_at_once() -> None:
    # A folder that is there, and in which making another says that there is no such folder.
    nowhere = Path("/proc/out.parquet")
    with (
        pytest.raises(OutputError, match="no folder can be made beside it"),
        working_folder(nowhere),
    ):
        pass


def _fill_and_fail(folder: Path) -> None:
    for name in ("part-2.parquet", "part-1.parquet", ".part-3.parquet.abc"):
        (folder / name).write_text("whole")
    (folder / "part-4.parquet").write_text("damaged")
    raise OutputError("the disk is full")
