"""The working folder: one run at a time, and nothing left of dead ones."""

from pathlib import Path

import pytest

from digitflow.errors import OutputError
from digitflow.scoring.working import working_folder


def test_it_lies_hidden_beside_the_output_and_goes_at_the_end(tmp_path: Path) -> None:
    with working_folder(tmp_path / "out.parquet") as work:
        assert work == tmp_path / ".out.parquet.digitflow"
        (work / "part").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), working_folder(tmp_path / "out.parquet") as work:
        _fill_and_fail(work)
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_run_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".out.parquet.digitflow"
    (left / "folder").mkdir(parents=True)
    (left / "folder" / "part").write_text("x")
    (left / "link").symlink_to(tmp_path)
    with working_folder(tmp_path / "out.parquet") as work:
        assert list(work.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


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


def _fill_and_fail(work: Path) -> None:
    (work / "part").write_text("x")
    raise ZeroDivisionError
