"""Measure how fast folders of small images become tables, by digitflow and in other ways.

    python benchmarks/scoring.py --output docs/results/scoring.json
    python benchmarks/scoring.py --images 300 --middle 100 --sample 20 --rounds 1

All ways score the same 28x28 PNG files, whole processes from start to exit, in rounds that run each
once, so that what else the machine does hits all alike; medians are told. Prefect's server and a
Dask cluster run meanwhile, and their start is not counted. `single` is measured on a few files and
scaled up.
"""

import argparse
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from statistics import median
from typing import Any

from keeping import command_line, machine, write_result
from own_cluster import running_cluster
from PIL import Image
from processes import Taken, run_measured
from speed_tables import scoring_table

from digitflow import load_dataset
from digitflow.errors import DigitflowError, UsageError
from digitflow.models.bundle import Bundle, load_bundle
from digitflow.models.registry import find_model

ROOT = Path(__file__).resolve().parents[1]

#: Which folders each way scores: one file, a middle number, all, or those of a sample. Digitflow
#: scores all twice more, once as they are, and once with `CHANGED` of them changed.
WAYS = {
    "digitflow": ("one", "middle", "all", "unchanged", "changed"),
    "flow": ("one", "all"),
    "dask": ("one", "all"),
    "bare": ("one", "middle", "all"),
    "keras": ("one", "all"),
    "single": ("sample",),
    "ray": ("one", "all"),
}
CHANGED = 10

#: The library that a way needs, where it may be missing.
_NEEDED = {"dask": "distributed", "ray": "ray"}

_PATIENCE = 120  # seconds for Prefect's server to start


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    bundle = load_bundle(find_model(options.model))
    with tempfile.TemporaryDirectory(prefix="scoring-") as scratch:
        folders = make_folders(options, options.folder or Path(scratch, "images"))
        server = running_server(Path(scratch)) if "flow" in options.ways else nullcontext({})
        cluster = running_cluster(Path(scratch)) if "dask" in options.ways else nullcontext("")
        with server as settings, cluster as scheduler:
            rows = measure(options, bundle, folders, Path(scratch), settings, scheduler)
    content = {
        "scoring": rows,
        "data": options.dataset,
        "model": bundle.model_id,
        "rounds": options.rounds,
        "command": command_of(options),
        **machine(),
    }
    print(scoring_table(content))
    if options.output:
        write_result(options.output, content)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    installed = [way for way in WAYS if importlib.util.find_spec(_NEEDED.get(way, "digitflow"))]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=70_000, help="files (default: 70000)")
    parser.add_argument("--middle", type=int, default=10_000, help="files (default: 10000)")
    parser.add_argument("--sample", type=int, default=200, help="files for `single` (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="of all ways (default: 3)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=installed, help="default: all")
    parser.add_argument("--dataset", default="mnist", help="where the images come from")
    parser.add_argument("--model", default="mnist@pretrained", help="name, name@version or folder")
    parser.add_argument("--folder", type=Path, help="make the files here, and keep them")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    options = parser.parse_args()
    if not CHANGED <= options.middle < options.images or options.rounds < 1 or options.sample < 1:
        raise UsageError(f"choose {CHANGED} <= --middle < --images, --sample and --rounds above 0")
    return options


def make_folders(options: argparse.Namespace, root: Path) -> dict[str, Path]:
    """Return the folders of files by name; what is there from an earlier run is taken."""
    numbers = {
        "one": 1,
        "sample": options.sample,
        "middle": options.middle,
        "all": options.images,
    }
    data = load_dataset(options.dataset)
    folders = {name: root / f"{options.dataset}-{number}" for name, number in numbers.items()}
    for name, folder in folders.items():
        if not folder.is_dir():
            unfinished = folder.with_name(f".{folder.name}")
            for index in range(numbers[name]):
                place = index % len(data)
                label = unfinished / data.class_names[data.labels[place]]
                label.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data.images[place]).save(label / f"{index:07d}.png")
            unfinished.rename(folder)
    return folders


@contextmanager
def running_server(scratch: Path) -> Iterator[dict[str, str]]:
    """Run Prefect's server, in the foreground as a child; give the settings that lead to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "PREFECT_HOME": str(scratch / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (
        (scratch / "server.log").open("w") as log,
        subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}/api"
            _await_server(f"{url}/health", server)
            yield settings | {"PREFECT_API_URL": url}
        finally:
            server.terminate()


def _await_server(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise DigitflowError("Prefect's server did not start; try `prefect server start`")


def measure(
    options: argparse.Namespace,
    bundle: Bundle,
    folders: Mapping[str, Path],
    scratch: Path,
    settings: Mapping[str, str],
    scheduler: str,
) -> list[dict[str, Any]]:
    """Return what each way took for each folder in all rounds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | settings
    measured: dict[tuple[str, str], list[Taken]] = {}
    for number in range(options.rounds):
        for way in options.ways:
            output = scratch / f"{way}-{number}.parquet"
            for what in WAYS[way]:
                if what == "changed":
                    change_files(folders["all"], number)
                folder = folders.get(what, folders["all"])
                if what not in ("unchanged", "changed"):
                    output.unlink(missing_ok=True)
                command = command_for(way, folder, output, bundle, scheduler)
                taken = run_measured(command, environment)
                measured.setdefault((way, what), []).append(taken)
                print(f"round {number}: {way}, {what}: {taken.seconds:.2f} s", file=sys.stderr)
    counts = {"one": 1, "middle": options.middle}
    return [
        describe(way, what, counts.get(what, options.images), taken)
        for (way, what), taken in measured.items()
    ]


def command_for(way: str, folder: Path, output: Path, bundle: Bundle, scheduler: str) -> list[str]:
    """Return the command that scores a folder in one of the ways."""
    if way in ("digitflow", "dask"):
        script = ["-m", "digitflow", "score"]
    elif way == "flow":
        script = [str(ROOT / "flows" / "score_folder.py")]
    else:
        script = [str(ROOT / "benchmarks" / "other_ways.py"), way]
        return [sys.executable, *script, str(folder), str(bundle.folder), str(output)]
    options = ["--model", str(bundle.folder.resolve())]
    if way == "dask":
        options += ["--dask", scheduler]
    return [sys.executable, *script, str(folder), str(output), *options]


def change_files(folder: Path, number: int) -> None:
    """Let the content of a few files go round among them."""
    paths = sorted(folder.rglob("*.png"))
    chosen = paths[number :: len(paths) // CHANGED][:CHANGED]
    contents = [path.read_bytes() for path in chosen]
    for path, content in zip(chosen, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)


def describe(way: str, what: str, images: int, taken: Sequence[Taken]) -> dict[str, Any]:
    """Return what is recorded of a way and a folder."""
    seconds = [each.seconds for each in taken]
    scaled_from = None
    if what == "sample":
        told = [json.loads(each.output.splitlines()[-1]) for each in taken]
        scaled_from = told[0]["images"]
        for place, each in enumerate(told):
            seconds[place] += each["seconds"] * (images / scaled_from - 1)
    return {
        "way": way,
        "what": what,
        "images": images,
        "scaled_from": scaled_from,
        "median_seconds": median(seconds),
        "median_megabytes": median(each.megabytes for each in taken),
        "seconds": seconds,
    }


def command_of(options: argparse.Namespace) -> str:
    """Return the command, without what only shows more and where the files are."""
    folder = "FOLDER" if options.folder else None
    return command_line("scoring", **vars(options) | {"folder": folder, "output": None})


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
