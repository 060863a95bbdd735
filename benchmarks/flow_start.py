"""What a flow costs to start as a plain script, against the emptiest flow that Prefect can run.

    python benchmarks/flow_start.py --output docs/results/flow_start.json

Each is a process of its own that starts Prefect's temporary server, on one database that is there
already, and ends; they take turns, so that what else the machine does meets all of them. The
baseline, `empty`, imports Prefect alone, and has the settings of this project's flows; `bare` has
Prefect's own, but tells third parties nothing either. The flows score one image, so that a little
more than the start is measured; anything they say on standard error ends the benchmark.
"""

import argparse
import os
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from speed_tables import flow_start_table

from digitflow.drawing import draw_digits
from digitflow.errors import DigitflowError

#: How much more than the emptiest flow a flow may cost.
LIMIT = 1.3

FLOWS = Path(__file__).resolve().parents[1] / "flows"

EMPTY = """
from prefect import flow

@flow
def empty():
    print("begun", flush=True)

empty()
"""

Row = dict[str, Any]


def main() -> None:
    """Measure, print and keep."""
    options = parse_arguments()
    with TemporaryDirectory() as folder:
        rows = summed_up(measure(Path(folder), options.rounds))
    print(flow_start_table(rows))
    if options.output:
        keep(rows, options)
    slow = [row["way"] for row in rows if row["way"] in FLOW_SCRIPTS and row["ratio"] > LIMIT]
    if slow:
        sys.exit(f"error: above {LIMIT} of the emptiest flow: {', '.join(slow)}")


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of all (default: 5)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    return parser.parse_args()


#: What is measured beside the baselines.
FLOW_SCRIPTS = {
    "score-folder": [str(FLOWS / "score_folder.py"), "inbox", "out.parquet", "--fresh"],
    "nightly": [str(FLOWS / "nightly_flow.py"), "inbox", "scored/", "--fail-on", "never"],
}


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way in each round."""
    inbox = folder / "inbox" / "2026-01-01"
    inbox.mkdir(parents=True)
    for number, drawn in enumerate(draw_digits(1, seed=0)[0][:1]):
        Image.fromarray(drawn).save(inbox / f"{number}.png")
    settings = runpy.run_path(str(FLOWS / "prefect_settings.py"))["DEFAULTS"]
    untold = {name: settings[name] for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED")}
    seconds: dict[str, list[float]] = {name: [] for name in ("bare", "empty", *FLOW_SCRIPTS)}
    run(["-c", EMPTY], folder, settings, is_quiet=False)  # makes the database
    for _ in range(rounds):
        seconds["bare"].append(run(["-c", EMPTY], folder, untold, is_quiet=False))
        seconds["empty"].append(run(["-c", EMPTY], folder, settings, is_quiet=False))
        for name, command in FLOW_SCRIPTS.items():
            seconds[name].append(run(command, folder))
    return seconds


def run(
    command: Sequence[str],
    folder: Path,
    settings: dict[str, str] | None = None,
    *,
    is_quiet: bool = True,
) -> float:
    """Run a script and return the seconds from its start to its end.

    Raises
    ------
    DigitflowError
        If it fails, or says anything on standard error though it is to be quiet.
    """
    environment = {n: v for n, v in os.environ.items() if not n.startswith("PREFECT_")}
    paths = [str(FLOWS), str(FLOWS.parent), environment.get("PYTHONPATH", "")]
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "PYTHONPATH": os.pathsep.join(paths)}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment | (settings or {}),
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    if done.returncode or (is_quiet and done.stderr):
        raise DigitflowError(f"{command[0]}: ended with {done.returncode} ({done.stderr[-500:]})")
    return seconds


def summed_up(seconds: dict[str, list[float]]) -> list[Row]:
    """Return a row for each way, with its share of the emptiest flow's time."""
    medians = {way: statistics.median(each) for way, each in seconds.items()}
    return [
        {
            "way": way,
            "median_seconds": median,
            "ratio": median / medians["empty"],
            "seconds": seconds[way],
        }
        for way, median in medians.items()
    ]


def keep(rows: list[Row], options: argparse.Namespace) -> None:
    """Write the result file."""
    from keeping import command_line, machine, write_result  # imports TensorFlow: only here

    command = command_line("flow_start", rounds=options.rounds)
    content = {"flow_start": rows, "limit": LIMIT, "command": command}
    write_result(options.output, content | machine())


if __name__ == "__main__":
    main()
