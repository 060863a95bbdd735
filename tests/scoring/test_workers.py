"""The runner of shards: here or in several processes, errors told as they are.

The functions that stand for scoring are the standard library's, because a worker process has to
find them by name.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from digitflow.errors import DigitflowError
from digitflow.scoring import workers
from digitflow.scoring.workers import score_shards


def results(score: Callable, *shards: object, n_workers: int = 2) -> list:
    return list(score_shards(SimpleNamespace(score=score, workers=n_workers), iter(shards)))


def process_of(_: object) -> int:
    return os.getpid()


def test_few_shards_are_scored_in_this_process() -> None:
    assert results(process_of, *range(4)) == [os.getpid()] * 4


def test_one_worker_is_this_process() -> None:
    assert results(process_of, *range(12), n_workers=1) == [os.getpid()] * 12


def test_many_shards_are_scored_in_several_processes_with_one_thread_each() -> None:
    assert results(os.getenv, *["OPENBLAS_NUM_THREADS"] * 12) == ["1"] * 12
    assert sorted(results(abs, *range(-12, 0))) == list(range(1, 13))


def test_a_few_slow_shards_are_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_ALONE_SECONDS", 0.0)
    monkeypatch.setattr(
        workers, "_scored_in_processes", lambda job, shards: iter(["rest", *shards])
    )
    assert results(abs, -1, -2, -3) == ["rest", -1, -2, -3]
    # The last one would gain nothing by another process.
    assert results(abs, -1) == [1]


def test_no_shards_give_nothing() -> None:
    assert results(abs) == []


def test_an_error_in_a_worker_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        results(os.stat, *[tmp_path / "missing"] * 12)


def test_a_worker_that_dies_ends_the_run_with_a_clear_error() -> None:
    with pytest.raises(DigitflowError, match="fewer workers than 2"):
        results(os._exit, *[1] * 12)
    assert sorted(results(abs, *range(12))) == list(range(12))


def test_a_daemon_which_may_have_no_children_scores_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "current_process", lambda: SimpleNamespace(daemon=True))
    assert results(process_of, *range(12)) == [os.getpid()] * 12


def test_workers_end_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_ALONE_SHARDS", 0)
    found = set(results(os.readlink, *["/proc/self"] * 12))
    assert str(os.getpid()) not in found
    assert [number for number in found if Path("/proc", number).exists()] == []


BROKEN_OFF = """
import sys
from types import SimpleNamespace
from digitflow import cli
from digitflow.commands import score
from digitflow.scoring import workers

workers._ALONE_SHARDS = 0
job = SimpleNamespace(score=exec, workers=2)
slow = "import os, time; os.write(1, b'%d\\\\n' % os.getpid()); time.sleep(60)"
score._run = lambda _: list(workers.score_shards(job, iter([slow] * 129)))
sys.exit(cli.main(["score", "images", "out.parquet"]))
"""


@pytest.mark.parametrize(
    ("number", "exit_code", "said"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")],
)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["the run alone", "all of it"])
def test_a_run_that_is_broken_off_ends_its_workers_and_says_one_line(
    repository: Path, send: Callable[[int, int], None], number: int, exit_code: int, said: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BROKEN_OFF],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives it
    ) as run:
        try:
            assert run.stdout is not None
            found = [int(run.stdout.readline()) for _ in range(2)]
            send(run.pid, number)
            _, complaints = run.communicate(timeout=30)
        finally:
            run.kill()
    assert (run.returncode, complaints) == (exit_code, said)
    for process in found:
        assert _ends(process), f"process {process} lives on"


def test_an_error_in_a_worker_with_much_work_waiting_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FileNotFoundError):
        results(os.stat, *[tmp_path / "missing"] * 129)
    assert capfd.readouterr().err == ""


ORPHANS = """
import os
from types import SimpleNamespace
from digitflow.scoring.workers import score_shards

job = SimpleNamespace(score=os.readlink, workers=2)
print(*set(score_shards(job, iter(["/proc/self"] * 12))), flush=True)
os.kill(os.getpid(), 9)
"""


def test_workers_end_with_a_run_that_is_killed(repository: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", ORPHANS],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        check=False,
        timeout=30,  # they hold its standard output open
    )
    assert run.returncode == -signal.SIGKILL
    workers_left = [int(number) for number in run.stdout.split()]
    assert workers_left
    for number in workers_left:
        assert _ends(number), f"process {number} lives on"


def _ends(process: int) -> bool:
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([descriptor], [], [], 10)
    os.close(descriptor)
    return bool(ready)
