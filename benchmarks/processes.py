"""What a command takes: seconds from its start to its exit, and the memory of its processes."""

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from digitflow.errors import DigitflowError

# How often the memory is looked at, seconds. The system keeps each process's peak, so that only
# what a process takes in its last moments can be missed.
_PAUSE = 0.1


@dataclass(frozen=True)
class Taken:
    """What a command took."""

    seconds: float  # from start to exit
    megabytes: float  # the most that one of its processes held
    output: str  # what it printed


def run_measured(
    command: Sequence[str], environment: Mapping[str, str], exit_codes: Sequence[int] = (0,)
) -> Taken:
    """Run a command in a session of its own and return what it took.

    Raises
    ------
    DigitflowError
        If it ends with another exit code.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        peaks: dict[int, int] = {}
        ended = threading.Event()
        watching = threading.Thread(target=_watch, args=(process.pid, peaks, ended))
        watching.start()
        try:
            output, errors = process.communicate()
            seconds = time.perf_counter() - started
        finally:
            ended.set()
            watching.join()
    if process.returncode not in exit_codes:
        last = " ".join(errors.split())[-300:]
        raise DigitflowError(f"{' '.join(command)}: ended with {process.returncode} ({last})")
    return Taken(seconds, max(peaks.values(), default=0) / 1e6, output)


def _watch(session: int, peaks: dict[int, int], ended: threading.Event) -> None:
    """Note the most memory, bytes, that each process of a session has held, until told to end."""
    while True:
        for process in _processes_of(session):
            with suppress(OSError, StopIteration):
                status = (process / "status").read_text().splitlines()
                line = next(line for line in status if line.startswith("VmHWM"))
                peaks[int(process.name)] = 1024 * int(line.split()[1])
        if ended.wait(_PAUSE):
            return


def _processes_of(session: int) -> Iterator[Path]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # Behind the name, which may hold anything: state, parent, group, session.
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                yield process
