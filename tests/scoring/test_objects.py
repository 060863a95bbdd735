"""Folders of objects, from a real S3 server: what is found, what is read, and what goes wrong."""

import hashlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import ObjectStore
from scoring_support import frame_of, same_rows

from digitflow.errors import DigitflowError, ImageError, UsageError
from digitflow.images import limits
from digitflow.scoring import folder, objects, plan, stores, workers
from digitflow.scoring.folder import score_folder
from digitflow.scoring.objects import reading_ahead, walk_objects
from digitflow.scoring.plan import Found, place_in_walk
from digitflow.scoring.scored import read_facts
from digitflow.scoring.stores import filesystem_of, parse_uri

REGULAR = ["-b.png", "=c.png", "a.png", "blank.png", "cut.png", "empty.png", "g.png", "h.png"]


@pytest.fixture
def scans(store: ObjectStore, images: Path) -> Path:
    """The folder `images` without what no store can hold; the bucket has the same as `scans/`."""
    for name in ("link.png", "pipe.png", "new\nline.png", os.fsdecode(b"\xff.png")):
        (images / name).unlink()
    store.put_folder(images, "scans")
    return images


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def contents(store: ObjectStore, *files: Found) -> list[tuple[bytes, int | None] | str]:
    """Read objects below `scans/`; in place of one that cannot be read, the reason."""
    with reading_ahead(parse_uri(store.uri("scans")), files) as read:
        return [content_or_reason(read, found) for found in files]


def content_or_reason(read: objects.Reader, found: Found) -> tuple[bytes, int | None] | str:
    try:
        return read(found, "its name")
    except ImageError as error:
        return error.reason if error.message.startswith("its name: ") else error.message


def found_in(store: ObjectStore, key: str = "scans") -> list[Found]:
    return list(walk_objects(parse_uri(store.uri(key))))


def test_objects_have_the_rows_of_the_same_files(
    store: ObjectStore, scans: Path, output: Path, tmp_path: Path
):
    expected = tmp_path / "expected.parquet"
    score_folder(scans, expected)

    summary = score_folder(store.uri("scans"), output)

    ours, theirs = (frame_of(table).drop(columns="modified_at") for table in (output, expected))
    moments = ["run_id", "scored_at"]
    assert ours.drop(columns=moments).equals(theirs.drop(columns=moments))
    assert summary.n_files == len(REGULAR) + 3
    assert read_facts(output)["run"]["folder"] == store.known_as("scans")


def test_a_second_run_scores_what_failed_or_changed(
    store: ObjectStore, scans: Path, output: Path, tmp_path: Path
):
    score_folder(store.uri("scans"), output)
    failed = (frame_of(output)["status"] == "error").sum()

    second = score_folder(store.uri("scans"), output)
    store.put({"scans/g.png": (scans / "h.png").read_bytes()})
    store.client.delete_object(Bucket=store.bucket, Key="scans/h.png")
    third = score_folder(store.uri("scans/"), output)
    anew = tmp_path / "anew.parquet"
    score_folder(store.uri("scans"), anew)

    assert (second.n_scored, third.n_scored, third.n_removed) == (failed, failed + 1, 1)
    same_rows(output, anew)


def test_nothing_is_scored_twice(store: ObjectStore, scans: Path, output: Path):
    store.put({"good/a.png": (scans / "a.png").read_bytes()})
    score_folder(store.uri("good"), output)

    assert score_folder(store.uri("good"), output).unchanged


def test_several_processes_read_with_the_credentials_of_the_uri(
    store: ObjectStore, scans: Path, output: Path, monkeypatch: pytest.MonkeyPatch
):
    content = (scans / "a.png").read_bytes()
    store.put({f"many/{n}.png": content for n in range(40)})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(plan, "SHARD_FILES", 4)
    monkeypatch.setattr(workers, "_ALONE_SHARDS", 1)

    summary = score_folder(store.uri("many", "key:s3cr3t@"), output, workers=2)

    assert summary.statuses == {"ok": 40}
    assert b"s3cr3t" not in output.read_bytes()


def test_the_order_is_that_of_the_walk(store: ObjectStore):
    names = ["a", "a/b", "a.png", "B", "é", "sub/z", "sub-1", "sub/x/y", "sub0", "\U0001f600"]
    shuffled = random.Random(1).sample(names, len(names))
    store.put({f"scans/{name}": b"x" for name in shuffled})

    paths = [found.path for found in found_in(store)]

    assert paths == sorted((name.encode() for name in names), key=place_in_walk)


def test_hidden_names_and_markers_of_folders_are_left_out(store: ObjectStore):
    store.put({"scans/a": b"x", "scans/.hidden": b"x", "scans/.git/x": b"x", "scans/sub/.x": b"x"})
    store.put({"scans/": b"", "scans/empty/": b"", "scansion": b"x", "other/x": b"x"})

    assert [found.path for found in found_in(store)] == [b"a"]


def test_facts_of_objects_are_those_of_files(store: ObjectStore):
    store.put({"scans/a": b"seven"})

    (found,) = found_in(store)
    ((content, modified_at),) = contents(store, found)

    assert (found.size_bytes, content) == (5, b"seven")
    assert found.modified_at_ns == modified_at
    assert found.modified_at_ns % 10**9 == 0
    assert found.modified_at_ns >= 1_704_067_200 * 10**9


def test_a_whole_bucket_is_a_folder(store: ObjectStore, output: Path):
    store.put({"a.png": b"x", "sub/b.png": b"x"})

    assert [found.path for found in walk_objects(parse_uri(store.uri("")))] == [
        b"a.png",
        b"sub/b.png",
    ]


def test_keys_that_no_request_can_ask_for_are_rows(store: ObjectStore, output: Path):
    store.put({"scans/a": b"x", "scans//b": b"x", "scans/../c": b"x", "scans/./d": b"x"})
    store.put({"scans/sub//e": b"x", "scans/sub/f": b"x"})

    score_folder(store.uri("scans"), output)

    rows = frame_of(output).set_index("path")
    assert list(rows.index) == ["/", ".", "..", "a", "sub/", "sub/f"]
    out_of_reach = rows[rows["message"].str.contains("out of reach")]
    assert list(out_of_reach.index) == ["/", ".", "..", "sub/"]
    assert set(out_of_reach["reason"]) == {"unreadable"}


def test_an_object_and_a_folder_out_of_reach_are_one_row(store: ObjectStore, output: Path):
    store.put({"scans/.": b"x", "scans/./a": b"x", "scans/a": b"x", "scans/sub/..": b"x"})
    store.put({"scans/sub/../b": b"x"})

    score_folder(store.uri("scans"), output)
    score_folder(store.uri("scans"), output)

    assert frame_of(output)["path"].tolist() == [".", "a", "sub/.."]


def test_large_objects_are_refused_unread(store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MAX_BYTES", 10)
    store.put({"scans/a": b"x" * 11, "scans/b": b"x" * 10})

    with store.failing("GET .*scans/a", status=500, code="InternalError"):
        assert contents(store, Found(b"a"), Found(b"b"))[0] == "too_large"
    assert contents(store, Found(b"b"))[0] == (b"x" * 10, found_in(store)[1].modified_at_ns)


def test_an_object_that_is_gone_is_a_row(store: ObjectStore):
    store.put({"scans/b": b"x"})

    told = contents(store, Found(b"a"), Found(b"b"))

    assert told[0] == "not_found"
    assert told[1][0] == b"x"


def test_an_object_that_may_not_be_read_is_a_row(store: ObjectStore):
    store.put({"scans/a": b"x", "scans/b": b"x"})

    with store.failing("(GET|HEAD) .*scans/a", status=403, code="AccessDenied"):
        told = contents(store, Found(b"a"), Found(b"b"))

    assert told[0] == "no_permission"
    assert told[1][0] == b"x"


def test_an_object_without_an_answer_is_a_row(store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    store.put({"scans/a": b"x", "scans/b": b"x"})

    with store.failing("GET .*scans/a", status=503, code="SlowDown"):
        told = contents(store, Found(b"a"), Found(b"b"))

    assert told[0] == "unreadable"
    assert told[1][0] == b"x"


class Changing:
    """Stands for a file system, and changes an object when it was opened for the first time."""

    def __init__(self, files: object, store: ObjectStore, key: str, content: bytes):
        self.files, self.change = files, lambda: store.put({key: content})
        self.is_changed = False

    def open_input_file(self, key: str) -> object:
        opened = self.files.open_input_file(key)
        if not self.is_changed:
            self.is_changed = True
            self.change()
        return opened


@pytest.mark.parametrize("content", [b"longer", b"s", b"new"])
def test_an_object_that_changes_while_it_is_read_is_a_row(
    content: bytes, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
):
    store.put({"scans/a": b"old"})
    files = filesystem_of(parse_uri(store.uri("scans")))
    changing = Changing(files, store, "scans/a", content)
    monkeypatch.setattr(objects, "filesystem_of", lambda place: changing)

    assert contents(store, Found(b"a")) == ["changed_while_reading"]


def test_what_was_put_in_several_parts_is_read(store: ObjectStore):
    content = random.Random(1).randbytes(6 * 2**20)
    given = {"Bucket": store.bucket, "Key": "scans/a"}
    upload = {"UploadId": store.client.create_multipart_upload(**given)["UploadId"], **given}
    parts = [
        store.client.upload_part(**upload, PartNumber=n + 1, Body=part)["ETag"]
        for n, part in enumerate((content[: 5 * 2**20], content[5 * 2**20 :]))
    ]
    listed = [{"ETag": tag, "PartNumber": n + 1} for n, tag in enumerate(parts)]
    store.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})

    ((read, _),) = contents(store, Found(b"a"))

    assert hashlib.sha256(read).digest() == hashlib.sha256(content).digest()


def test_many_objects_are_read_at_a_time(store: ObjectStore):
    names = [f"{n:02}" for n in range(objects.READERS)]
    store.put({f"scans/{name}": name.encode() for name in names})

    with store.failing("GET .*/scans/", together=objects.READERS):
        told = contents(store, *(Found(name.encode()) for name in names))

    assert [content for content, _ in told] == [name.encode() for name in names]


def test_a_store_that_falls_silent_ends_the_run(
    store: ObjectStore, silent: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    monkeypatch.setattr(stores, "ANSWER_SECONDS", 1)
    gone = parse_uri(f"s3://{store.bucket}/gone?endpoint_override=127.0.0.1:{silent}&scheme=http")
    files = [Found(str(n).encode()) for n in range(1000)]

    told = []
    with pytest.raises(DigitflowError, match="answers no more"), reading_ahead(gone, files) as read:
        told += [content_or_reason(read, found) for found in files]

    assert told == ["unreadable"] * 1000


def test_a_silent_store_is_given_up(
    silent: int, store: ObjectStore, output: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    monkeypatch.setattr(stores, "ANSWER_SECONDS", 1)
    uri = f"s3://silent/scans?endpoint_override=127.0.0.1:{silent}&scheme=http"

    with pytest.raises(UsageError, match=r"^s3://silent/scans\S*: the store cannot be reached"):
        score_folder(uri, output)


def test_a_level_that_may_not_be_listed_is_a_row(store: ObjectStore):
    store.put({"scans/a": b"x", "scans/sub/b": b"x", "scans/z": b"x"})

    with store.failing("GET .*prefix=scans%2Fsub", status=403, code="AccessDenied"):
        found = found_in(store)

    assert [each.path for each in found] == [b"a", b"sub", b"z"]
    assert found[1].problem
    assert found[1].problem.reason == "no_permission"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(400, "ExpiredToken", "access is denied"), (503, "SlowDown", r"refuses \(SLOW_DOWN\)")],
)
def test_a_level_that_cannot_be_listed_now_ends_the_run(
    status: int, code: str, words: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    store.put({"scans/a": b"x", "scans/sub/b": b"x", "scans/z": b"x"})

    with (
        store.failing("GET .*prefix=scans%2Fsub", status=status, code=code),
        pytest.raises(DigitflowError, match=rf"^s3://\S*scans\S*: .*{words}"),
    ):
        found_in(store)


@pytest.mark.parametrize(
    ("pattern", "status", "code"),
    [
        ("(GET|HEAD) ", 400, "ExpiredToken"),
        ("(GET|HEAD) .*/scans/", 503, "SlowDown"),
        ("(GET|HEAD) .*/scans/", 500, "InternalError"),
    ],
)
def test_a_store_that_serves_nothing_any_more_ends_the_run(
    pattern: str, status: int, code: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    files = [Found(str(n).encode()) for n in range(100)]

    with (
        store.failing(pattern, status=status, code=code),
        pytest.raises(DigitflowError, match="answers no more"),
    ):
        contents(store, *files)


def test_many_objects_that_the_store_refuses_to_give_are_rows(store: ObjectStore):
    files = [Found(str(n).encode()) for n in range(30)]

    with store.failing("(GET|HEAD) .*/scans/", status=400, code="InvalidRequest"):
        told = contents(store, *files)

    assert told == ["unreadable"] * 30


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "ExpiredToken", "access is denied; check the credentials"),
        (403, "AccessDenied", "access is denied; check the credentials"),
        (403, "SignatureDoesNotMatch", "access is denied; check the credentials"),
        (403, "InvalidAccessKeyId", "access is denied; check the credentials"),
        (404, "NoSuchBucket", "no such bucket"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_refused(
    status: int, code: str, words: str, store: ObjectStore, output: Path
):
    with (
        store.failing("GET .*list-type", status=status, code=code),
        pytest.raises(UsageError, match=words) as refused,
    ):
        score_folder(store.uri("scans", "key:s3cr3t@"), output)

    assert str(refused.value).startswith(f"{store.known_as('scans')}: ")
    assert "s3cr3t" not in str(refused.value)


def test_an_empty_folder_is_refused(store: ObjectStore, output: Path):
    with pytest.raises(UsageError, match="holds no files"):
        score_folder(store.uri("nothing"), output)


@pytest.mark.parametrize("where", ["no-such-bucket", "127.0.0.1:1"])
def test_the_command_line_says_so_in_one_line(
    where: str, store: ObjectStore, output: Path, repository: Path
):
    endpoint = where if ":" in where else f"127.0.0.1:{store.port}"
    uri = f"s3://key:s3cr3t@no-such-bucket/x?endpoint_override={endpoint}&scheme=http"

    done = subprocess.run(
        [sys.executable, "-m", "digitflow", "score", uri, output],
        capture_output=True,
        text=True,
        cwd=repository,
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: s3://no-such-bucket/x?endpoint_override={endpoint}: ")
    assert done.stderr.count("\n") == 1
    assert "s3cr3t" not in done.stderr


def test_an_interrupted_run_is_taken_up(
    store: ObjectStore, scans: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    expected = tmp_path / "expected.parquet"
    score_folder(store.uri("scans"), expected)
    monkeypatch.setattr(plan, "SHARD_FILES", 3)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "assembled", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            score_folder(store.uri("scans"), output, workers=1)
    summary = score_folder(store.uri("scans"), output)

    assert summary.n_resumed > 0
    same_rows(output, expected)
