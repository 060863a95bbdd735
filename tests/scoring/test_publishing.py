"""Tables in object stores, on a real S3 server: whole or not at all, whatever happens."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from object_store import ObjectStore
from pyarrow import parquet
from scoring_support import same_rows

from digitflow.errors import OutputError, UsageError, in_one_line
from digitflow.scoring import folder, publishing, stores
from digitflow.scoring.folder import score_folder
from digitflow.scoring.publishing import checked_output, outlined, staged
from digitflow.scoring.scored import read_facts
from digitflow.scoring.stores import parse_uri
from digitflow.scoring.table import METADATA_KEY
from digitflow.settings import cache_folder

TABLE = "tables/out.parquet"


@pytest.fixture
def expected(images: Path, tmp_path: Path) -> Path:
    table = tmp_path / "expected.parquet"
    score_folder(images, table)
    return table


@pytest.fixture
def fetched(store: ObjectStore, tmp_path: Path) -> Callable[[], Path]:
    """Return what brings the table of the store here."""

    def fetch() -> Path:
        path = tmp_path / "fetched.parquet"
        path.write_bytes(store.get(TABLE))
        return path

    return fetch


def left_in_cache() -> list[str]:
    return sorted(path.name for path in cache_folder().glob("tables/*/*"))


def large_table(path: Path, seed: int, megabytes: int = 25) -> None:
    """Write what looks like a scored table, so large that it is uploaded in three parts."""
    noise = np.random.default_rng(seed).bytes(megabytes * 10**6)
    table = pa.table({"noise": pa.array([noise[start::1000] for start in range(1000)])})
    table = table.replace_schema_metadata({METADATA_KEY: b'{"model": {}, "run": {}}'})
    parquet.write_table(table, path, compression="none")


def upload_large_table(uri: str, seed: int) -> None:
    """Replace the table at a URI; run in processes that are killed."""
    publishing._CHUNK_BYTES = 10 * 2**20
    stores.ATTEMPTS = 1
    with staged(parse_uri(uri)) as table:
        large_table(table, seed)


def is_whole(content: bytes) -> bool:
    return parquet.ParquetFile(BytesIO(content)).read().num_rows == 1000


def test_a_table_goes_to_a_store_and_back(
    store: ObjectStore, images: Path, expected: Path, fetched: Callable[[], Path]
):
    summary = score_folder(images, store.uri(TABLE, "key:s3cr3t@"))

    same_rows(fetched(), expected)
    assert summary.output == store.known_as(TABLE)
    assert summary.output in summary.in_words()
    assert "s3cr3t" not in summary.as_json()
    assert b"s3cr3t" not in fetched().read_bytes()
    assert left_in_cache() == []


def test_a_second_run_takes_the_table_from_the_store(
    store: ObjectStore, images: Path, fetched: Callable[[], Path], tmp_path: Path
):
    score_folder(images, store.uri(TABLE))
    shutil.copy(images / "g.png", images / "new.png")
    os.utime(images / "new.png", (1_700_000_000, 1_700_000_000))
    anew = tmp_path / "anew.parquet"

    second = score_folder(images, store.uri(TABLE))
    score_folder(images, anew)

    assert second.n_kept > 0
    same_rows(fetched(), anew)


def test_what_has_not_changed_is_not_uploaded(store: ObjectStore, images: Path):
    for path in images.iterdir():
        if path.name not in ("a.png", "g.png"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    score_folder(images, store.uri(TABLE))

    with store.failing("PUT", status=500, code="InternalError"):
        second = score_folder(images, store.uri(TABLE))

    assert second.unchanged
    assert left_in_cache() == []


def test_from_a_store_to_a_store(
    store: ObjectStore, images: Path, fetched: Callable[[], Path], tmp_path: Path
):
    store.put({"scans/a.png": (images / "a.png").read_bytes(), "scans/b": b""})
    local = tmp_path / "local.parquet"

    score_folder(store.uri("scans"), store.uri(TABLE))
    score_folder(store.uri("scans"), local)

    same_rows(fetched(), local)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("notes.txt", "exists and is not a scored table"),
        ("other.parquet", "exists and is not a scored table"),
        ("damaged", "exists and is not a scored table"),
        ("tables", "is a folder; name a table in it"),
        ("tables/", "a table is one object"),
        ("", "a table is one object"),
    ],
)
def test_what_is_no_table_is_left_as_it_is(
    key: str, words: str, store: ObjectStore, images: Path, tmp_path: Path
):
    parquet.write_table(pa.table({"x": pa.array([1])}), tmp_path / "other.parquet")
    other = (tmp_path / "other.parquet").read_bytes()
    others = {"notes.txt": b"mine", "other.parquet": other, "damaged": b"PAR1" + other[-40:]}
    store.put({**others, "tables/x": b"mine"})

    with pytest.raises(OutputError, match=words) as refused:
        score_folder(images, store.uri(key))

    assert str(refused.value).startswith(f"s3://{store.bucket}")
    assert {name: store.get(name) for name in others} == others
    assert left_in_cache() == []


def test_a_table_among_the_images_is_refused(store: ObjectStore):
    with pytest.raises(OutputError, match="lies among the images"):
        score_folder(store.uri("scans/"), store.uri("scans/out.parquet"))


def test_a_table_in_another_store_is_not_among_the_images(store: ObjectStore):
    other = f"s3://{store.bucket}/scans?endpoint_override=elsewhere"

    assert checked_output(other, store.uri("scans/out.parquet")) == parse_uri(
        store.uri("scans/out.parquet")
    )


def test_parts_by_day_are_refused_in_a_store(store: ObjectStore, images: Path):
    with pytest.raises(UsageError, match="is for a local dataset; leave it out") as refused:
        score_folder(images, store.uri(TABLE), partition_by="day")

    assert str(refused.value).startswith("--partition-by day: ")


def test_the_time_to_fetch_and_to_upload_is_counted(
    store: ObjectStore, images: Path, monkeypatch: pytest.MonkeyPatch
):
    publish = publishing._publish

    def publish_slowly(*arguments: object) -> None:
        time.sleep(0.5)
        publish(*arguments)

    monkeypatch.setattr(publishing, "_publish", publish_slowly)

    summary = score_folder(images, store.uri(TABLE), workers=1, profile=True)

    assert summary.seconds > 0.5
    assert summary.profile["assemble"] > 0.5
    assert sum(summary.profile.values()) == pytest.approx(summary.seconds, rel=0.01)


def test_messages_name_the_store_where_the_cache_is_a_link(
    store: ObjectStore, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "large").mkdir()
    (tmp_path / "link").symlink_to("large")
    monkeypatch.setenv("DIGITFLOW_CACHE", str(tmp_path / "link"))
    score_folder(images, store.uri(TABLE))
    (images / "a.png").rename(tmp_path / "a.png")
    moved = images.rename(tmp_path / "moved")

    with pytest.raises(UsageError, match=r"^s3://\S*out.parquet\S*: rows of another folder"):
        score_folder(moved, store.uri(TABLE), keep_removed=True)


def test_a_bucket_that_is_missing_is_told(store: ObjectStore, images: Path):
    uri = f"s3://no-such-bucket/x?endpoint_override=127.0.0.1:{store.port}&scheme=http"

    with pytest.raises(OutputError, match=r"^s3://no-such-bucket/x\S*: no such bucket"):
        score_folder(images, uri)


def test_a_store_that_cannot_be_reached_is_told(store: ObjectStore, images: Path):
    uri = "s3://key:s3cr3t@bucket/x?endpoint_override=127.0.0.1:1&scheme=http"

    with pytest.raises(OutputError, match="the store cannot be reached") as refused:
        score_folder(images, uri)

    assert "s3cr3t" not in str(refused.value)


def test_a_table_that_could_not_be_uploaded_is_uploaded_by_the_next_run(
    store: ObjectStore, images: Path, expected: Path, fetched: Callable[[], Path]
):
    with (
        store.failing("PUT", status=403, code="AccessDenied"),
        pytest.raises(OutputError, match="access is denied") as refused,
    ):
        score_folder(images, store.uri(TABLE))

    assert "the same command without --fresh uploads it" in in_one_line("", refused.value)
    assert store.list_keys() == []
    assert left_in_cache() == ["origin.json", "table.parquet"]

    with (
        store.failing("HEAD", status=403, code="AccessDenied"),
        pytest.raises(OutputError, match="access is denied"),
    ):
        score_folder(images, store.uri(TABLE))
    second = score_folder(images, store.uri(TABLE))

    assert second.n_kept > 0
    same_rows(fetched(), expected)
    assert left_in_cache() == []


def test_a_run_that_was_stopped_is_taken_up(
    store: ObjectStore,
    images: Path,
    expected: Path,
    fetched: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
):
    with monkeypatch.context() as patch:
        patch.setattr(folder, "assembled", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            score_folder(images, store.uri(TABLE), workers=1)
    with (
        store.failing("HEAD", status=403, code="AccessDenied"),
        pytest.raises(OutputError, match="access is denied"),
    ):
        score_folder(images, store.uri(TABLE))
    summary = score_folder(images, store.uri(TABLE))

    assert summary.n_resumed > 0
    same_rows(fetched(), expected)
    assert left_in_cache() == []


def test_a_table_that_someone_else_has_changed_is_not_replaced(
    store: ObjectStore, images: Path, tmp_path: Path
):
    theirs = tmp_path / "theirs.parquet"
    large_table(theirs, 1, megabytes=1)

    with (
        pytest.raises(OutputError, match="was changed by someone else"),
        staged(parse_uri(store.uri(TABLE))) as table,
    ):
        store.put({TABLE: shutil.copy(theirs, table).read_bytes()})

    assert store.get(TABLE) == theirs.read_bytes()


def test_two_runs_on_one_table_cannot_mix(store: ObjectStore, images: Path):
    with (
        staged(parse_uri(store.uri(TABLE))),
        pytest.raises(OutputError, match=r"^s3://\S*out.parquet\S*: another run is writing it"),
    ):
        score_folder(images, store.uri(TABLE))


def test_a_cache_that_cannot_be_written_is_told(
    store: ObjectStore, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DIGITFLOW_CACHE", str(tmp_path / "file"))

    with pytest.raises(OutputError, match=r"\(made in .*cannot be written"):
        score_folder(images, store.uri(TABLE))


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_part_that_fails_publishes_nothing(
    part: int, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publishing, "_CHUNK_BYTES", 10 * 2**20)
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    old = tmp_path / "old.parquet"
    large_table(old, 1, megabytes=1)
    store.put({TABLE: old.read_bytes()})

    with (
        store.failing(f"PUT .*partNumber={part}&", status=500, code="InternalError"),
        pytest.raises(OutputError, match="the store refuses"),
        staged(parse_uri(store.uri(TABLE))) as table,
    ):
        large_table(table, 2)

    assert store.get(TABLE) == old.read_bytes()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_stopped_while_it_uploads_it_publishes_no_half(
    how: signal.Signals, store: ObjectStore, tmp_path: Path
):
    reached = tmp_path / "reached"
    os.mkfifo(reached)
    script = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "
        "from test_publishing import upload_large_table; "
        f"upload_large_table({store.uri(TABLE)!r}, 1)"
    )
    places = os.pathsep.join([*sys.path, os.fspath(Path(__file__).parent)])

    with (
        store.failing("PUT .*partNumber=2&", fifo=str(reached)),
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONPATH": places},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as run,
    ):
        with reached.open() as stopped:  # here the second part has arrived
            run.send_signal(how)
            assert stopped.read() == "reached"
        run.communicate()

    assert run.returncode != 0
    assert [is_whole(store.get(key)) for key in store.list_keys()] in ([], [True])

    upload_large_table(store.uri(TABLE), 2)

    assert is_whole(store.get(TABLE))
    assert left_in_cache() == []


def test_an_outline_tells_what_a_request_is_checked_by(
    store: ObjectStore, images: Path, expected: Path
):
    store.put({TABLE: expected.read_bytes()})

    with outlined(images, store.uri(TABLE)) as outline:
        assert read_facts(Path(outline)) == read_facts(expected)
        assert parquet.read_schema(outline).equals(parquet.read_schema(expected))
        assert parquet.ParquetFile(outline).metadata.num_rows == 0
    with outlined(images, "out.parquet") as same:
        assert same == "out.parquet"


def test_a_message_names_the_store_and_not_its_stand_in(store: ObjectStore, images: Path):
    with (
        pytest.raises(UsageError, match=r"^s3://\S*: rows of another") as refused,
        staged(parse_uri(store.uri(TABLE))) as table,
    ):
        raise UsageError(f"{table}: rows of another folder cannot stay")

    assert str(refused.value).startswith(store.known_as(TABLE))


def test_the_command_line_needs_nothing_else(
    store: ObjectStore, images: Path, repository: Path, fetched: Callable[[], Path], expected: Path
):
    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "digitflow", "score", images, store.uri(TABLE), *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=repository)

    done = run("--workers", "1")
    refused = run("--keep-removed", "--multi", "--model", "no-such-model")

    assert (done.returncode, done.stderr) == (3, "")
    assert f"table    {store.known_as(TABLE)}" in done.stdout
    same_rows(fetched(), expected)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
