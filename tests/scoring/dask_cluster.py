"""A Dask scheduler and workers as processes of their own, on loopback."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Scheduler:
    """A scheduler that runs."""

    process: "subprocess.Popen[str]"
    address: str

    @contextmanager
    def workers(
        self, n: int = 1, *options: object, environment: Mapping[str, str] | None = None
    ) -> Iterator[list["subprocess.Popen[str]"]]:
        """Run workers of one thread each until the block is left.

        They have no nanny, so that each is one process, unless the options say otherwise.
        """
        more = options or ("--no-nanny",)
        command = ["distributed.cli.dask_worker", self.address, "--nthreads", "1", *map(str, more)]
        with ExitStack() as stack:
            started = [stack.enter_context(_running(command, environment or {})) for _ in range(n)]
            for each in started:
                _await_line(each, "Registered to:")
            yield started


@contextmanager
def running_scheduler(**environment: str) -> Iterator[Scheduler]:
    """Run a scheduler that knows digitflow."""
    command = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with _running(command, environment) as process:
        line = _await_line(process, "Scheduler at:")
        yield Scheduler(process, line.split()[-1])


@contextmanager
def _running(
    command: list[str], environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", *command, "--no-dashboard"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        cwd=os.sep,  # Python would find the modules of the current folder
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_line(process: "subprocess.Popen[str]", words: str) -> str:
    """Return the first line of a log that has the words; what follows is read and dropped."""
    assert process.stderr is not None
    line = next((line for line in process.stderr if words in line), None)
    assert line is not None, f"{process.args}: ended before it said {words!r}"
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return line
