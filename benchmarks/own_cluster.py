"""A Dask cluster on this machine, for `scoring.py`: as many workers as there are cores."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digitflow.errors import DigitflowError

ROOT = Path(__file__).resolve().parents[1]

_PATIENCE = 120  # seconds for the scheduler, and then for all workers


@contextmanager
def running_cluster(scratch: Path) -> Iterator[str]:
    """Run a scheduler and workers of one thread each as children; give the scheduler's address."""
    from distributed import Client

    n_workers = len(os.sched_getaffinity(0))
    file = scratch / "scheduler.json"
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = ["worker", "--nworkers", str(n_workers), "--nthreads", "1"]
    with (scratch / "cluster.log").open("w") as log, _running(scheduler, file, log) as process:
        _await_file(file, process)
        with _running(worker, file, log), Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(n_workers, timeout=_PATIENCE)
            yield client.scheduler.address


@contextmanager
def _running(arguments: list[str], file: Path, log: object) -> Iterator["subprocess.Popen[bytes]"]:
    name, *options = arguments
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--scheduler-file", str(file), "--no-dashboard"],
        env=environment,
        stdout=log,
        stderr=log,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _await_file(file: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and file.stat().st_size:
            return
        time.sleep(0.1)
    raise DigitflowError("Dask's scheduler did not start; try `dask scheduler`")
