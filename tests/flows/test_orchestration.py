import subprocess
import sys
from pathlib import Path

SCRIPT = """
from orchestration import run_script
from prefect.logging import get_logger

def flow():
    logger = get_logger("EventsWorker")
    logger.warning("Still processing items: 1 items remaining...")
    logger.warning("something is wrong")

run_script(flow)
"""


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
