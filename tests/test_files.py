import os
import stat
from pathlib import Path

import pytest

from digitflow.errors import OutputError
from digitflow.files import building_folder, replacing, sha256_of, write_text


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path):
    path = tmp_path / "new" / "file"
    write_text(path, "old")
    write_text(path, "new é")

    assert path.read_text(encoding="utf-8") == "new é"
    assert names(path.parent) == ["file"]


def test_a_file_gets_the_permissions_of_any_new_file(tmp_path: Path):
    (tmp_path / "usual").touch()
    write_text(tmp_path / "ours", "")

    usual, ours = ((tmp_path / name).stat().st_mode for name in ("usual", "ours"))
    assert stat.S_IMODE(ours) == stat.S_IMODE(usual)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    write_text(tmp_path / "file", "old")

    def fail_halfway() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail_halfway()

    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path):
    write_text(tmp_path / "file", "old")

    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("write", [write_text, lambda path, _: building_folder(path).__enter__()])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, write):
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=r"file/x: cannot be written \(.+\)"):
        write(tmp_path / "file" / "x", "text")


def test_a_folder_appears_whole(tmp_path: Path):
    with building_folder(tmp_path / "folder") as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "file").write_text("text")
        assert not (tmp_path / "folder").exists()

    assert (tmp_path / "folder" / "inner" / "file").read_text() == "text"
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_exists_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "folder").mkdir()

    with (
        pytest.raises(OutputError, match="exists already"),
        building_folder(tmp_path / "folder") as temporary,
    ):
        (temporary / "file").write_text("text")

    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == []


def test_the_digest_is_sha256(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"abc")

    assert sha256_of(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    # As root, /dev/null would be a file from then on.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(OutputError, match="is no regular file; name another"):
            write_text(path, "x")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
