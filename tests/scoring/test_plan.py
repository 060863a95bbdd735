"""The plan: everything in the folder, once, in one order."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from digitflow.errors import UsageError
from digitflow.scoring import plan
from digitflow.scoring.plan import Shard, place_in_walk, plan_shards, walk

ODD_NAMES = [
    b"=1+1.png",
    b"-rf.png",
    b"new\nline.png",
    b"\xff\xfe.png",
    "päth ☃.png".encode(),
    b"a" * 251 + b".png",
]


def make_files(folder: Path, names: list[bytes], content: bytes = b"x") -> None:
    for name in names:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def paths_of(folder: Path) -> list[bytes]:
    return [found.path for found in walk(os.fsencode(folder))]


def shards_of(folder: Path) -> list[Shard]:
    name = os.fsencode(folder)
    return list(plan_shards(name, walk(name)))


def reasons_of(folder: Path) -> dict[bytes, str]:
    found = walk(os.fsencode(folder))
    return {each.path: each.problem.reason for each in found if each.problem}


@contextmanager
def no_privileges() -> Iterator[None]:
    """Give up root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_order_is_that_of_the_names_bytes_and_not_of_their_making(tmp_path: Path) -> None:
    names = [b"b/2.png", b"a.png", b"b/10.png", b"Z.png", b"a/1.png", "ä.png".encode()]
    make_files(tmp_path / "one", names)
    make_files(tmp_path / "two", names[::-1])
    expected = [b"Z.png", b"a/1.png", b"a.png", b"b/10.png", b"b/2.png", "ä.png".encode()]
    assert sorted(names, key=place_in_walk) == expected
    assert paths_of(tmp_path / "one") == paths_of(tmp_path / "two") == expected


def test_odd_names_are_found_as_they_are(tmp_path: Path) -> None:
    make_files(tmp_path, ODD_NAMES)
    assert paths_of(tmp_path) == sorted(ODD_NAMES)


def test_what_is_not_a_regular_file_is_found_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_files(tmp_path, [b"a.png"])
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "dangling.png").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.chdir(tmp_path)  # a socket's path may be no longer than 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        odd = [b"dangling.png", b"link.png", b"loop", b"pipe.png", b"socket.png"]
        assert reasons_of(tmp_path) == dict.fromkeys(odd, "not_a_file")
        assert paths_of(tmp_path) == sorted([b"a.png", *odd])


def test_each_file_has_its_size_and_its_time(tmp_path: Path) -> None:
    make_files(tmp_path, [b"a.png"], content=b"xyz")
    os.utime(tmp_path / "a.png", ns=(0, 1_700_000_000_123_456_789))
    (file,) = walk(os.fsencode(tmp_path))
    assert (file.size_bytes, file.modified_at_ns) == (3, 1_700_000_000_123_456_789)


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    make_files(tmp_path, [b".hidden.png", b".cache/1.png", b"a/.DS_Store", b"a/1.png"])
    assert paths_of(tmp_path) == [b"a/1.png"]


def test_a_folder_without_permission_is_found_in_place_of_its_content() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, [b"shut/1.png", b"open/1.png"])
        folder.chmod(0o755)
        (folder / "shut").chmod(0)
        with no_privileges():
            reasons, paths = reasons_of(folder), paths_of(folder)
        (folder / "shut").chmod(0o755)
    assert reasons == {b"shut": "no_permission"}
    assert paths == [b"open/1.png", b"shut"]


def test_a_tree_too_deep_for_a_path_is_found_as_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "d" * 250
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir(name)  # noqa: PTH102  (relative, as no absolute path reaches that far)
        monkeypatch.chdir(name)
    monkeypatch.chdir(tmp_path)
    assert list(reasons_of(tmp_path).values()) == ["unreadable"]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be listed"):
        paths_of(tmp_path / "missing")


def test_shards_hold_every_file_once_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SHARD_FILES", 4)
    make_files(tmp_path, [b"%02d.png" % number for number in range(10)])
    (tmp_path / "99.png").symlink_to("00.png")
    shards = shards_of(tmp_path)
    assert [shard.number for shard in shards] == [0, 1, 2]
    assert [len(shard.files) for shard in shards] == [4, 4, 3]
    files = [file for shard in shards for file in shard.files]
    assert [file.path for file in files] == paths_of(tmp_path)
    assert [file.path for file in files if file.problem] == [b"99.png"]


def test_the_first_shards_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "FIRST_SHARD_FILES", 1)
    monkeypatch.setattr(plan, "SHARD_FILES", 5)
    make_files(tmp_path, [b"%02d.png" % number for number in range(14)])
    shards = shards_of(tmp_path)
    assert [len(shard.files) for shard in shards] == [1, 2, 4, 5, 2]


def test_large_files_make_small_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 2_000)
    make_files(tmp_path, [b"%d.png" % number for number in range(5)], content=bytes(1_000))
    shards = shards_of(tmp_path)
    assert [shard.size for shard in shards] == [2_000, 2_000, 1_000]


def test_the_table_itself_is_left_out(tmp_path: Path) -> None:
    make_files(tmp_path, [b"a.png", b"tables/out.parquet", b"tables/out.parquet.png"])
    found = walk(os.fsencode(tmp_path), skip=b"tables/out.parquet")
    assert [file.path for file in found] == [b"a.png", b"tables/out.parquet.png"]
