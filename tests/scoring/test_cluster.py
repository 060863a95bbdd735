"""Scoring on a Dask cluster: a real scheduler, real workers, and what may become of them."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed")

from object_store import ObjectStore
from scoring.dask_cluster import Scheduler, running_scheduler
from scoring_support import make_images, same_rows

from digitflow.errors import BundleError, DigitflowError, OutputError, UsageError, in_one_line
from digitflow.scoring import cluster, plan
from digitflow.scoring import scheduler as scheduler_module
from digitflow.scoring.cluster import score_on_cluster
from digitflow.scoring.folder import score_folder
from digitflow.scoring.remote import Task

N_IMAGES = 300


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Scheduler]:
    with running_scheduler() as scheduler:
        yield scheduler


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Scheduler]:
    """A cluster for what does it no harm."""
    with running_scheduler() as scheduler, scheduler.workers(2):
        yield scheduler


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "images"
    make_images(folder, N_IMAGES)
    return folder


@pytest.fixture(scope="module")
def expected(pictures: Path) -> Path:
    """The table of a local run."""
    table = pictures.with_name("expected.parquet")
    score_folder(pictures, table, workers=1)
    return table


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_FILES", 16)


@pytest.fixture
def preload(tmp_path: Path):
    """Return a function that writes what a worker runs before it begins."""

    def write(code: str) -> tuple[str, Path]:
        file = tmp_path / "preload.py"
        file.write_text(code)
        return "--preload", file

    return write


def at_first_part(monkeypatch: pytest.MonkeyPatch, do) -> None:
    """Do something when the first part has come."""
    keep, done = cluster._Run._keep, []

    def keep_and_do(self: object, *arguments: object) -> object:
        if not done:
            done.append(do())
        return keep(self, *arguments)

    monkeypatch.setattr(cluster._Run, "_keep", keep_and_do)


def test_the_rows_are_those_of_a_local_run(
    two_workers: Scheduler, pictures: Path, expected: Path, output: Path
) -> None:
    summary = score_folder(pictures, output, dask=two_workers.address, profile=True)
    same_rows(output, expected)
    assert list(output.parent.iterdir()) == [output]
    assert summary.n_scored == N_IMAGES
    assert all(summary.profile[stage] > 0 for stage in ("load", "decode", "infer", "write"))
    # Two threads scored, for at most as long as the run took.
    assert sum(summary.profile.values()) == pytest.approx(2 * summary.seconds, rel=0.1)


def test_odd_names_and_files_that_are_no_pictures_have_their_rows(
    scheduler: Scheduler, images: Path, output: Path, tmp_path: Path
) -> None:
    with scheduler.workers(1, "--nthreads", "4", "--no-nanny"):
        score_folder(images, output, dask=scheduler.address, multi=True)
    score_folder(images, tmp_path / "local.parquet", multi=True)
    same_rows(output, tmp_path / "local.parquet")


def test_a_killed_worker_loses_nothing(
    scheduler: Scheduler,
    pictures: Path,
    expected: Path,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scheduler.workers(2) as workers:
        at_first_part(monkeypatch, workers[0].kill)
        score_folder(pictures, output, dask=scheduler.address)
        assert workers[0].wait(timeout=10) == -signal.SIGKILL
    same_rows(output, expected)


DEADLY = """
import os, signal
from digitflow.scoring import remote

score = remote.table_of_shard

def die_or_score(shard, *arguments):
    if any(each.path == b"00200.png" for each in shard.files):
        os.kill(os.getpid(), signal.SIGKILL)
    return score(shard, *arguments)

def dask_setup(worker):
    remote.table_of_shard = die_or_score
"""


def test_a_shard_that_ends_every_worker_is_named_and_all_others_are_kept(
    pictures: Path, expected: Path, output: Path, preload
) -> None:
    with (
        running_scheduler(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as scheduler,
        scheduler.workers(2, *preload(DEADLY)),
    ):
        with pytest.raises(DigitflowError) as caught:
            score_folder(pictures, output, dask=scheduler.address)
        told = in_one_line(str(caught.value), caught.value)
        assert "when they score 16 files, '00192.png' to '00207.png'; give" in told
        assert "the same command goes on from there" in told
    summary = score_folder(pictures, output)
    assert summary.n_resumed == pytest.approx(N_IMAGES - 16, abs=3)  # unreadable ones are retried
    same_rows(output, expected)


def test_where_too_many_shards_end_their_workers_they_are_not_all_tried_again(
    pictures: Path, output: Path, preload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_MOST_DEADLY", 0)
    with (
        running_scheduler(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as scheduler,
        scheduler.workers(1, *preload(DEADLY), "--no-nanny"),
        pytest.raises(DigitflowError, match="workers end, each time, when they score"),
    ):
        score_folder(pictures, output, dask=scheduler.address)


def test_where_the_last_worker_has_died_the_shard_is_named(
    scheduler: Scheduler,
    pictures: Path,
    output: Path,
    preload,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE_SECONDS", 1)
    with (
        scheduler.workers(2, *preload(DEADLY), "--no-nanny"),
        pytest.raises(DigitflowError, match="no worker has taken work for 1 s") as caught,
    ):
        score_folder(pictures, output, dask=scheduler.address)
    assert "'00192.png' to '00207.png'" in str(caught.value)


def test_no_workers_is_said_after_a_while(
    scheduler: Scheduler, pictures: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE_SECONDS", 0.1)
    with pytest.raises(DigitflowError, match=f"start some: dask worker {scheduler.address}"):
        score_folder(pictures, output, dask=scheduler.address)
    assert list(output.parent.iterdir()) == []


def test_workers_may_come_late(
    scheduler: Scheduler, pictures: Path, expected: Path, output: Path, run_score
) -> None:
    with run_score(pictures, output, "--dask", scheduler.address) as run, scheduler.workers(1):
        assert run.wait(timeout=60) == 3
    same_rows(output, expected)


def test_a_worker_of_another_version_is_named(
    scheduler: Scheduler, pictures: Path, output: Path, preload
) -> None:
    code = (
        "from digitflow.scoring import remote\n"
        "def dask_setup(worker): remote.VERSION = '0.0.1 (format 1)'"
    )
    with (
        scheduler.workers(1, *preload(code), "--no-nanny"),
        pytest.raises(
            DigitflowError,
            match=r"tcp://127\.0\.0\.1:\d+: this worker has digitflow 0\.0\.1 .*the run has ",
        ),
    ):
        score_folder(pictures, output, dask=scheduler.address)


@pytest.fixture
def nothing_installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds no digitflow."""
    folder = tmp_path / "path" / "digitflow"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ModuleNotFoundError('No module named digitflow')")
    return {"PYTHONPATH": str(folder.parent)}


def test_a_worker_without_digitflow_is_named(
    scheduler: Scheduler, pictures: Path, output: Path, nothing_installed: dict[str, str]
) -> None:
    with (
        scheduler.workers(1, environment=nothing_installed),
        pytest.raises(
            DigitflowError, match=r"tcp://127\.0\.0\.1:\d+: this worker has no digitflow .*install"
        ),
    ):
        score_folder(pictures, output, dask=scheduler.address)


def test_a_scheduler_needs_no_digitflow(
    pictures: Path, expected: Path, output: Path, nothing_installed: dict[str, str]
) -> None:
    with running_scheduler(**nothing_installed) as bare, bare.workers(1):
        score_folder(pictures, output, dask=bare.address)
    same_rows(output, expected)


ELSEWHERE = """
import pickle
from dataclasses import replace
from types import SimpleNamespace
from digitflow.scoring import remote

def loads(packed):
    task = pickle.loads(packed)
    return replace(task, shard=replace(task.shard, folder=b"/nowhere"))

def dask_setup(worker):
    remote.pickle = SimpleNamespace(loads=loads)
"""


def test_a_worker_that_does_not_see_the_images_is_named(
    scheduler: Scheduler, pictures: Path, output: Path, preload
) -> None:
    with (
        scheduler.workers(1, *preload(ELSEWHERE), "--no-nanny"),
        pytest.raises(DigitflowError, match=rf"does not see {pictures} .*; mount the folder there"),
    ):
        score_folder(pictures, output, dask=scheduler.address)


DENIED = """
from digitflow.scoring import objects

class Store:
    def open_input_file(self, key):
        raise OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body.")

def dask_setup(worker):
    objects.filesystem_of = lambda place: Store()
"""

ANOTHER_STORE = DENIED.replace("raise OSError", "raise FileNotFoundError")

OUT_OF_REACH = """
from digitflow.errors import UsageError
from digitflow.scoring import objects

def fail(place):
    raise UsageError(f"{place}: the store cannot be reached")

def dask_setup(worker):
    objects.filesystem_of = fail
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (DENIED, "this worker does not see s3://.*; give it credentials"),
        (ANOTHER_STORE, "this worker does not see s3://.*; give it .* the same endpoint"),
        (OUT_OF_REACH, "this worker cannot read the images: s3://.*: the store cannot be reached"),
    ],
)
def test_a_worker_that_cannot_read_the_store_is_named(
    scheduler: Scheduler, store: ObjectStore, images: Path, output: Path, preload, code, said
) -> None:
    store.put({"scans/a.png": (images / "a.png").read_bytes()})
    with (
        scheduler.workers(1, *preload(code), "--no-nanny"),
        pytest.raises(DigitflowError, match=rf"^tcp://127\.0\.0\.1:\d+: {said}") as caught,
    ):
        score_folder(store.uri("scans"), output, dask=scheduler.address)
    assert caught.value.exit_code == 1


def test_what_nobody_may_read_in_a_store_are_rows(
    two_workers: Scheduler, store: ObjectStore, images: Path, output: Path
) -> None:
    store.put({"scans/a.png": (images / "a.png").read_bytes()})
    with store.failing("(GET|HEAD) .*scans/a", status=403, code="AccessDenied"):
        summary = score_folder(store.uri("scans"), output, dask=two_workers.address)
    assert summary.reasons == {"no_permission": 1}


def test_files_that_are_gone_everywhere_are_rows(
    two_workers: Scheduler, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images", 20)
    pack = Task.packed

    def pack_and_remove(task: Task) -> bytes:
        for each in task.shard.files:
            (tmp_path / "images" / os.fsdecode(each.path)).unlink()
        return pack(task)

    monkeypatch.setattr(Task, "packed", pack_and_remove)
    summary = score_folder(tmp_path / "images", output, dask=two_workers.address)
    assert summary.reasons == {"not_found": 20}


def test_a_scheduler_that_dies_ends_the_run_and_the_next_goes_on(
    pictures: Path, expected: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_scheduler() as dying, dying.workers(1):
        at_first_part(monkeypatch, dying.process.kill)
        with pytest.raises(
            DigitflowError, match="the connection to the scheduler was lost"
        ) as caught:
            score_folder(pictures, output, dask=dying.address)
        assert "goes on from there" in in_one_line(str(caught.value), caught.value)
    assert score_folder(pictures, output).n_resumed > 0
    same_rows(output, expected)


def test_a_scheduler_that_answers_no_more_ends_the_run(
    pictures: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(scheduler_module, "_CONNECT_SECONDS", 3)
    with running_scheduler() as stopped, stopped.workers(1):
        at_first_part(monkeypatch, lambda: stopped.process.send_signal(signal.SIGSTOP))
        with pytest.raises(DigitflowError, match="has not answered for"):
            score_folder(pictures, output, dask=stopped.address)


def test_a_worker_in_place_of_a_scheduler_is_said(
    two_workers: Scheduler, pictures: Path, output: Path
) -> None:
    from distributed import Client

    with Client(two_workers.address, set_as_default=False) as client:
        worker = next(iter(client.nthreads()))
    with pytest.raises(DigitflowError, match="a Worker answers there"):
        score_folder(pictures, output, dask=worker)


def test_what_speaks_another_language_is_no_scheduler(
    pictures: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "_CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                while connection.recv(1024):  # until the other side has had enough
                    pass

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(DigitflowError, match="no Dask scheduler can be reached within"):
            score_folder(pictures, output, dask=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        answering.join()


def test_no_scheduler_is_said(
    pictures: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "_CONNECT_SECONDS", 0.3)
    with pytest.raises(DigitflowError, match="no Dask scheduler can be reached within"):
        score_folder(pictures, output, dask="tcp://127.0.0.1:1")
    assert list(output.parent.iterdir()) == []


def test_an_unchanged_folder_needs_no_cluster(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("00000.png", "00001.png"):
        (tmp_path / "images" / name).hardlink_to(pictures / name)
    score_folder(tmp_path / "images", tmp_path / "out.parquet")
    again = score_folder(tmp_path / "images", tmp_path / "out.parquet", dask="tcp://127.0.0.1:1")
    assert again.unchanged


def test_a_part_that_cannot_be_written_is_an_error_of_the_output(
    two_workers: Scheduler, pictures: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename_folder() -> None:
        (working,) = output.parent.iterdir()
        working.rename(output.parent / "elsewhere")

    at_first_part(monkeypatch, rename_folder)
    with pytest.raises(OutputError, match="cannot be written"):
        score_folder(pictures, output, dask=two_workers.address)


def test_a_model_that_changes_before_it_is_sent_is_refused(
    two_workers: Scheduler, pictures: Path, output: Path, other_model: Path, monkeypatch
) -> None:
    def with_other_model(address, job, shards):
        (other_model / "manifest.json").write_text(
            (other_model / "manifest.json").read_text() + " "
        )
        return score_on_cluster(address, job, shards)

    monkeypatch.setattr("digitflow.scoring.folder.score_on_cluster", with_other_model)
    with pytest.raises(BundleError, match="was changed during the run"):
        score_folder(pictures, output, model=str(other_model), dask=two_workers.address)


CLI = """
import sys
from digitflow import cli
from digitflow.scoring import plan

plan.SHARD_FILES = 16
sys.exit(cli.main())
"""


@pytest.fixture
def run_score(repository: Path):
    def run(*arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", CLI, "score", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(repository)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def test_the_console_shows_what_a_local_run_shows(
    two_workers: Scheduler, pictures: Path, output: Path, run_score
) -> None:
    with run_score(pictures, output, "--dask", two_workers.address) as run:
        said, complaints = run.communicate(timeout=60)
    assert (run.returncode, complaints) == (3, "")
    assert said.startswith(f"files    {N_IMAGES} in {N_IMAGES} rows\n")


SLOW = """
import os, time
from digitflow.scoring import remote

score = remote.table_of_shard

def score_slowly(shard, *arguments):
    if shard.number:
        time.sleep(0.5)
    return score(shard, *arguments)

def dask_setup(worker):
    remote.table_of_shard = score_slowly
"""


@pytest.mark.parametrize(
    ("number", "exit_code", "said"),
    [(signal.SIGINT, 130, "interrupted; "), (signal.SIGTERM, 143, "terminated; ")],
)
def test_a_run_that_is_broken_off_keeps_its_parts_and_leaves_the_cluster_idle(
    scheduler: Scheduler,
    pictures: Path,
    expected: Path,
    output: Path,
    preload,
    run_score,
    number: int,
    exit_code: int,
    said: str,
) -> None:
    from distributed import Client

    with scheduler.workers(1, *preload(SLOW), "--no-nanny"):
        with run_score(pictures, output, "--dask", scheduler.address) as run:
            while not [*output.parent.rglob("part-*.parquet")]:
                assert run.poll() is None
            run.send_signal(number)
            _, complaints = run.communicate(timeout=20)
        assert run.returncode == exit_code
        assert (
            complaints == f"{said}what is finished is kept: the same command goes on from there\n"
        )
        with Client(scheduler.address, set_as_default=False) as client:
            assert client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.tasks]) == []
    assert score_folder(pictures, output).n_resumed > 0
    same_rows(output, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dask": "localhost:8786"}, r"dask is 'localhost:8786'; give .* as tcp://host:8786"),
        ({"dask": "tcp://localhost"}, "as tcp://host:8786"),
        ({"dask": "tcp://localhost:no"}, "as tcp://host:8786"),
        ({"dask": "ws://localhost:8786"}, "as tcp://host:8786"),
        ({"dask": ""}, "as tcp://host:8786"),
        ({"dask": "tcp://localhost:8786", "workers": 2}, "workers is 2 beside dask"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_begins(
    pictures: Path, output: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        score_folder(pictures, output, **options)


def test_without_dask_installed_the_extra_is_named(
    pictures: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "digitflow\[dask\]"'):
        score_folder(pictures, output, dask="tcp://127.0.0.1:8786")
