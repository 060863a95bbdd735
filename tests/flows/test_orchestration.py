import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from orchestration import _problem_of_the_server, check_text
from prefect.context import SyncClientContext
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from strange_server import answering

from digitflow.errors import UsageError

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


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "does not answer ("),
        (200, "does not answer as Prefect's ("),
        (404, "does not answer as Prefect's (404); correct PREFECT_API_URL, "),
        (401, "refuses its client (401); set PREFECT_API_AUTH_STRING "),
        (403, "refuses its client (403); set PREFECT_API_AUTH_STRING "),
        (500, "fails (500); look at its log, "),
    ],
)
def test_a_server_that_is_not_prefects_is_told_in_one_line(code: int | None, message: str):
    with answering(code) as address:
        problem = problem_at(address)

    assert problem.startswith(f"Prefect's server at {address} {message}")
    assert problem.endswith(" and run again: nothing that was finished is lost")
    assert "\n" not in problem


def problem_at(address: str) -> str | None:
    with temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0}):
        try:
            with SyncClientContext():
                return None
        except Exception as error:
            return _problem_of_the_server(error)


def test_a_password_in_the_address_is_not_told():
    problem = problem_at("http://admin:s3cr3t@127.0.0.1:9/api")

    assert problem.startswith("Prefect's server at http://127.0.0.1:9/api does not answer (")
    assert "s3cr3t" not in problem


@pytest.mark.parametrize("address", ["127.0.0.1:4200/api", "http://127.0.0.1:abc/api"])
def test_an_address_that_is_none_is_told(address: str):
    assert "has no usable address (" in problem_at(address)


@pytest.mark.parametrize("given", ["\udcff", ["scored", "\udcff"]])
def test_a_name_that_is_no_valid_text_is_refused(given: object):
    check_text({"inbox": "inbox", "workers": 2, "against": ["é"]}, "rename it")
    with pytest.raises(UsageError, match=r"udcff.*: Prefect takes only names .* UTF-8; rename it"):
        check_text({"inbox": "inbox", "output": given}, "rename it")


def test_a_defect_is_no_problem_of_the_server():
    assert _problem_of_the_server(RuntimeError("something else")) is None


def test_a_script_whose_server_is_not_there_ends_in_one_line(repository: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", EMPTY_SCRIPT],
        cwd=repository / "flows",
        env=os.environ
        | {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": "http://127.0.0.1:9/api"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: Prefect's server at http://127.0.0.1:9/api does not answ")
    assert done.stderr.count("\n") == 1


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
