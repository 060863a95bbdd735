import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from orchestration import run_script
from prefect.logging import get_logger

def flow():
    logger = get_logger("EventsWorker")
    logger.warning("Still processing items: 1 items remaining...")
    logger.warning("something is wrong")

run_script(flow)
"""


HIDING_SCRIPT = """
import signal
import sys

from orchestration import run_script
from prefect import flow

@flow
def hide_the_signal():
    try:
        signal.raise_signal(int(sys.argv[1]))
    except BaseException:
        pass
    raise ImportError("initialization failed")  # as native code has it, whatever came before

run_script(hide_the_signal)
"""


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")]
)
def test_a_signal_is_told_whatever_exception_it_ends_in(
    repository: Path, tmp_path: Path, number: signal.Signals, word: str
):
    done = subprocess.run(
        [sys.executable, "-c", HIDING_SCRIPT, str(int(number))],
        cwd=repository / "flows",
        env=os.environ | {"PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (128 + number, f"{word}\n")


EMPTY_SCRIPT = """
from orchestration import run_script
from prefect import flow

@flow
def nothing():
    print("done")

run_script(nothing)
"""


def test_an_empty_address_of_a_server_is_none(repository: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", EMPTY_SCRIPT],
        cwd=repository / "flows",
        env=os.environ | {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_the_last_events_of_a_run_are_awaited_in_silence(repository: Path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=repository / "flows",
        capture_output=True,
        text=True,
        check=True,
    )

    (line,) = done.stderr.splitlines()
    assert line.endswith("something is wrong")
