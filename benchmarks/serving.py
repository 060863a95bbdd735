"""Measure how many images a server reads a second under load, beside the plainest one.

    python benchmarks/serving.py --output docs/results/serving.json
    python benchmarks/serving.py --seconds 3 --clients 10 --rounds 1

`digitflow serve` and `plain_server.py` get the same requests: of 28x28 PNG files, of JPEG photos of
a megapixel, and of both, half of the clients each. Clients keep their connection, send the next
image when they have the answer, and wait about a second when they are told to come again. Health
is asked for meanwhile. Clients and server share the cores of this machine.
"""

import argparse
import asyncio
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from keeping import command_line, machine, write_result
from painting import draw_paper, draw_pen, paint, place, smooth_noise, take_photo, to_jpeg, write
from PIL import Image
from speed_tables import serving_table
from web_clients import Asked, asking_for_health, upload_for, upload_of

from digitflow import load_dataset
from digitflow.errors import DigitflowError, UsageError
from digitflow.models.bundle import Bundle, load_bundle
from digitflow.models.registry import find_model

ROOT = Path(__file__).resolve().parents[1]

WAYS = ("digitflow", "plain")
LOADS = {"png": ("png",), "jpeg": ("jpeg",), "both": ("png", "jpeg")}

_PHOTO = (864, 1152)  # rows and columns, px
_N_IMAGES = {"png": 200, "jpeg": 40}
_IDLE = 200  # requests of one client
_START = 120  # s
_SETTLE = 10  # s in which open files must be back


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    bundle = load_bundle(find_model(options.model))
    requests = make_requests(options.dataset, options.seed)
    rows = []
    for number in range(options.rounds):
        for way in options.ways:
            with running_server(way, bundle) as (port, process):
                for load in options.loads:
                    row = {"way": way, "load": load, "round": number}
                    row |= measure(port, process, requests, options, LOADS[load])
                    rows.append(row)
                    print(f"round {number}: {way}, {load}: {row['statuses']}", file=sys.stderr)
    content = {
        "serving": rows,
        "data": options.dataset,
        "model": bundle.model_id,
        "clients": options.clients,
        "seconds": options.seconds,
        "command": command_line("serving", **vars(options) | {"output": None}),
        **machine(),
    }
    print(serving_table(content))
    if options.output:
        write_result(options.output, content)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200, help="at once (default: 200)")
    parser.add_argument("--seconds", type=float, default=120, help="of a load (default: 120)")
    parser.add_argument("--rounds", type=int, default=1, help="of all (default: 1)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="default: all")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS), help="same")
    parser.add_argument("--dataset", default="mnist", help="whose test digits are sent")
    parser.add_argument("--model", default="mnist@pretrained", help="name, name@version or folder")
    parser.add_argument("--seed", type=int, default=0, help="of the photos (default: 0)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    options = parser.parse_args()
    if options.clients < 2 or options.seconds <= 0 or options.rounds < 1:
        raise UsageError("choose --clients from 2 on, --seconds and --rounds above 0")
    return options


def make_requests(dataset: str, seed: int) -> dict[str, list[bytes]]:
    """Return requests with pictures of test digits, by kind."""
    data = load_dataset(dataset, split="test")
    random = np.random.default_rng(seed)
    chosen = random.choice(len(data), max(_N_IMAGES.values()))
    digits = data.images[chosen]
    return {
        "png": [upload_of(plain_png(digit)) for digit in digits],
        "jpeg": [upload_of(photo(digit, random)) for digit in digits[: _N_IMAGES["jpeg"]]],
    }


def plain_png(digit: np.ndarray) -> bytes:
    """Return a digit as a PNG file of its own size."""
    stream = io.BytesIO()
    Image.fromarray(digit).save(stream, "PNG")
    return stream.getvalue()


def photo(digit: np.ndarray, random: np.random.Generator) -> bytes:
    """Return a photo, a JPEG file of a megapixel, of a digit somewhere on a sheet of paper."""
    ink = write(digit, random.uniform(8, 16), random)
    room = np.subtract(_PHOTO, ink.shape)
    top, left = (int(random.uniform(0.1, 0.9) * free) for free in room)
    paper = draw_paper(random) + 3 * smooth_noise(_PHOTO, 6, random)[..., np.newaxis]
    picture = paint(place(ink, _PHOTO, top, left), draw_pen(random), paper)
    return to_jpeg(take_photo(picture, random))


@contextmanager
def running_server(way: str, bundle: Bundle) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run one of the servers, and give its port and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if way == "digitflow":
        model = f"{bundle.name}@{bundle.version}"
        words = ["-m", "digitflow", "serve", "--port", port, "--model", model, "--log", "quiet"]
    else:
        words = [ROOT / "benchmarks" / "plain_server.py", bundle.folder, port]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _await_start(port, process)
            yield port, process
        finally:
            process.terminate()


def _await_start(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise DigitflowError("a server did not start; try the command by hand")


def measure(
    port: int,
    process: "subprocess.Popen[bytes]",
    requests: dict[str, list[bytes]],
    options: argparse.Namespace,
    kinds: Sequence[str],
) -> dict[str, Any]:
    """Return what one client at rest, and then many at once, were answered, and what that took."""
    # The first requests load what is loaded once.
    warm = [(kind, requests[kind]) for kind in kinds] * 4
    asyncio.run(upload_for(port, warm, min(2, options.seconds)))
    idle = asyncio.run(upload_for(port, [(kinds[0], requests[kinds[0]])], min(3, options.seconds)))
    before = _held_by(process)
    clients = [
        (kind, requests[kind])
        for number in range(options.clients)
        for kind in [kinds[number % len(kinds)]]
    ]
    with asking_for_health(port) as health:
        began = time.perf_counter()
        asked = asyncio.run(upload_for(port, clients, options.seconds))
        # What was asked last may be answered long after the time is over.
        seconds = time.perf_counter() - began
    after = _await_files(process, before["open_files"])
    return {
        "statuses": dict(sorted(Counter(str(each.status) for each in asked).items())),
        "images_per_second": {kind: _rate(asked, kind, seconds) for kind in kinds},
        "milliseconds": {kind: _percentiles(asked, kind) for kind in kinds},
        "idle_milliseconds": _percentiles(idle[:_IDLE], kinds[0]),
        "health_statuses": dict(Counter(str(each.status) for each in health)),
        "health_milliseconds": _percentiles(health, "health"),
        "before": before,
        "after": after,
    }


def _rate(asked: Sequence[Asked], kind: str, seconds: float) -> float:
    return sum(each.kind == kind and each.status == 200 for each in asked) / seconds


def _percentiles(asked: Sequence[Asked], kind: str) -> dict[str, float] | None:
    """Return the median, the 99th percentile and the most, ms, of what was answered well."""
    times = [1000 * each.seconds for each in asked if each.kind == kind and each.status == 200]
    if not times:
        return None
    p50, p99 = np.percentile(times, (50, 99))
    return {"p50": round(p50, 2), "p99": round(p99, 2), "most": round(max(times), 2)}


def _held_by(process: "subprocess.Popen[bytes]") -> dict[str, float]:
    """Return what a server has open, its memory, MB, and the time of the processor it took, s.

    Its processes count together; memory that they share counts once. Needs Linux's /proc.
    """
    places = [Path(f"/proc/{number}") for number in _family_of(process.pid)]
    return {
        "open_files": sum(len(list((place / "fd").iterdir())) for place in places),
        "megabytes": round(sum(map(_kilobytes, places)) * 1024 / 1e6, 1),
        "processor_seconds": round(sum(map(_processor_seconds, places)), 2),
    }


def _family_of(number: int) -> list[int]:
    """Return a process and those that it started."""
    started = Path(f"/proc/{number}/task").glob("*/children")
    return [number, *(int(each) for path in started for each in path.read_text().split())]


def _kilobytes(place: Path) -> int:
    rolled = (place / "smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rolled.splitlines() if line.startswith("Pss:"))


def _processor_seconds(place: Path) -> float:
    # The name before them may hold spaces.
    facts = (place / "stat").read_text().rpartition(")")[2].split()
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


def _await_files(process: "subprocess.Popen[bytes]", n_files: float) -> dict[str, float]:
    """Return what a process holds when its open files are back, or will not be."""
    deadline = time.monotonic() + _SETTLE
    while _held_by(process)["open_files"] > n_files and time.monotonic() < deadline:
        time.sleep(0.1)
    return _held_by(process)


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
