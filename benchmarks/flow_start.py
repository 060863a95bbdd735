"""What a flow costs to start as a plain script, against the emptiest flow that Prefect can run.

    python benchmarks/flow_start.py [--rounds 5] [--json FILE]

Each is a process of its own that starts Prefect's temporary server, on one database that is there
already, and ends; they take turns, so that what else the machine does meets all of them. The flows
score one image, so that a little more than the start is measured. Anything on standard error ends
the benchmark.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from digitflow.drawing import draw_digits
from digitflow.errors import DigitflowError

#: How much more than the emptiest flow a flow may cost.
LIMIT = 1.3

FLOWS = Path(__file__).resolve().parents[1] / "flows"

EMPTY = """
from orchestration import run_script  # the same settings, as they change what Prefect costs
from prefect import flow

@flow
def empty():
    print("begun", flush=True)

run_script(empty)
"""


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="keep the seconds here")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        seconds = measure(Path(folder), options.rounds)
    told = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in told.items():
        print(f"{name:<13} {median:6.2f} s   {median / told['empty']:.2f} of the emptiest flow")
    if options.json:
        facts = {"seconds": seconds, "median": told, "limit": LIMIT}
        options.json.write_text(json.dumps(facts, indent=1) + "\n")
    slow = [name for name, median in told.items() if median > LIMIT * told["empty"]]
    if slow:
        sys.exit(f"error: above {LIMIT} of the emptiest flow: {', '.join(slow)}")


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each flow in each round."""
    inbox = folder / "inbox" / "2026-01-01"
    inbox.mkdir(parents=True)
    for number, drawn in enumerate(draw_digits(1, seed=0)[0][:1]):
        Image.fromarray(drawn).save(inbox / f"{number}.png")
    commands = {
        "empty": ["-c", EMPTY],
        "score-folder": [str(FLOWS / "score_folder.py"), "inbox", "out.parquet", "--fresh"],
        "nightly": [str(FLOWS / "nightly_flow.py"), "inbox", "scored/", "--fail-on", "never"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    run(commands["empty"], folder)  # makes the database
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(run(command, folder))
    return seconds


def run(command: Sequence[str], folder: Path) -> float:
    """Run a script and return the seconds from its start to its end.

    Raises
    ------
    DigitflowError
        If it fails, or says anything on standard error.
    """
    environment = {name: each for name, each in os.environ.items() if name != "PREFECT_API_URL"}
    paths = [str(FLOWS), str(FLOWS.parent), environment.get("PYTHONPATH", "")]
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "PYTHONPATH": os.pathsep.join(paths)}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode or done.stderr:
        raise DigitflowError(f"{command[0]}: ended with {done.returncode} ({done.stderr[-500:]})")
    return seconds


if __name__ == "__main__":
    main()
