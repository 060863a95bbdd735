"""Processes that make calls: what they give, what they raise, and how they end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from asked import PATIENCE
from odd_calls import end, fail

from digitflow.errors import ImageError
from digitflow.images.reading import decode_image
from digitflow.web.processes import CallFailedError, CallProcess, ProcessEndedError


@pytest.fixture
def process() -> Iterator[CallProcess]:
    process = CallProcess(longest=PATIENCE)
    yield process
    process.close()


def test_a_call_gives_or_raises_what_it_does_here(process: CallProcess):
    assert process.call(partial(sorted, [2, 1])) == [1, 2]
    with pytest.raises(ImageError, match="a: the file is empty") as caught:
        process.call(partial(decode_image, b"", "a"))
    assert caught.value.reason == "empty"
    with pytest.raises(CallFailedError) as failed:
        process.call(fail)
    assert failed.value.what == "RuntimeError (of a kind nobody thought of)"
    assert "odd_calls.py" in failed.value.where
    assert process.call(os.getpid) == process.pid != os.getpid()


def test_one_that_dies_is_replaced(process: CallProcess):
    before = process.call(os.getpid)
    with pytest.raises(ProcessEndedError) as ended:
        process.call(end)

    assert (ended.value.exit_code, ended.value.is_overtime) == (-signal.SIGKILL, False)
    assert process.call(os.getpid) != before
    assert not psutil.pid_exists(before)


def test_one_that_was_killed_at_rest_is_replaced_unnoticed(process: CallProcess):
    before = process.call(os.getpid)
    os.kill(before, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(before)], PATIENCE)

    assert process.call(os.getpid) != before


def test_a_call_that_never_ends_is_cut_off(tmp_path: Path):
    os.mkfifo(tmp_path / "never")
    process = CallProcess(longest=1)

    with pytest.raises(ProcessEndedError) as ended:
        process.call(partial(Path.read_bytes, tmp_path / "never"))
    process.close()

    assert ended.value.is_overtime


def test_a_call_ends_when_its_process_is_killed_from_another_thread(
    process: CallProcess, tmp_path: Path
):
    os.mkfifo(tmp_path / "never")
    process.start()
    threading.Timer(0.1, process.kill).start()

    with pytest.raises(ProcessEndedError):
        process.call(partial(Path.read_bytes, tmp_path / "never"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_all_processes_do_not_end_it(process: CallProcess, number: signal.Signals):
    before = process.call(os.getpid)
    os.kill(before, number)

    assert process.call(os.getpid) == before


@pytest.mark.parametrize("call", ["input()", "process.call(wait)"], ids=["at rest", "busy"])
def test_it_ends_with_whoever_started_it(tmp_path: Path, call: str):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    script = f"""
import os
from functools import partial
from pathlib import Path
from digitflow.web.processes import CallProcess

process = CallProcess({PATIENCE})
wait = partial(Path.read_bytes, Path({str(gate)!r}))
print(process.call(os.getpid), flush=True)
{call}
"""
    with (
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as parent,
        contextlib.ExitStack() as stack,
    ):
        process = psutil.Process(int(parent.stdout.readline()))
        if "wait" in call:
            stack.enter_context(gate.open("wb"))  # opens when the call waits at the other end
        assert process.is_running()
        parent.kill()

    assert psutil.wait_procs([process], PATIENCE)[1] == []
