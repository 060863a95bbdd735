"""Measure how long odd and hostile image files take to read, how much memory, and what comes of it.

    python benchmarks/odd_images.py --output docs/results/odd_images.json
    python benchmarks/odd_images.py FOLDER

Each file is read and brought into MNIST's form in a process of its own, so that one that crashes or
hangs takes no other with it. The command fails where a file does, or takes more than it may.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keeping import machine, write_result
from picture_tables import MOST_MEGABYTES, MOST_SECONDS, odd_images_table

from digitflow import settings
from digitflow.errors import DigitflowError, UsageError

# Longer than any file may take, for a machine that is busy.
_PATIENCE = 60

_MANIFEST = "MANIFEST.csv"

Row = Mapping[str, Any]


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    folder = options.folder or settings.data_folder() / "odd-images"
    rows = [read_alone(folder, path) for path in files_in(folder)]
    words = ["python", "benchmarks/odd_images.py", *(["FOLDER"] if options.folder else [])]
    content = {"data": folder.name, "files": rows, "command": " ".join(words), **machine()}
    print(odd_images_table(content))
    if options.output:
        write_result(options.output, content)
    failed = [row for row in rows if is_too_much(row)]
    for row in failed:
        print(f"{row['file']}: {row['outcome']}, {row['seconds']} s, {row['megabytes']} MB")
    if failed:
        sys.exit(1)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", help="default: odd-images in the data folder"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    return parser.parse_args()


def files_in(folder: Path) -> Sequence[Path]:
    """Return the files of a folder and its folders, but for the list of them.

    Raises
    ------
    UsageError
        If there is none.
    """
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST]
    if not found:
        raise UsageError(f"{folder}: holds no files; give a folder of image files")
    return sorted(found)


def read_alone(folder: Path, path: Path) -> Row:
    """Return what came of a file, the time (s) and the memory (MB) that it took."""
    file = str(path.relative_to(folder))
    script = Path(__file__).with_name("one_image.py")
    try:
        done = subprocess.run(
            [sys.executable, str(script), str(path)],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return {"file": file, "outcome": "hung", "seconds": _PATIENCE, "megabytes": 0}
    if done.returncode:
        print(f"{file}: {done.stderr}", file=sys.stderr)
        return {"file": file, "outcome": "crashed", "seconds": 0, "megabytes": 0}
    return {"file": file} | json.loads(done.stdout)


def is_too_much(row: Row) -> bool:
    """Tell a file that is no good: it crashed, hung, or took more than it may."""
    over = row["seconds"] > MOST_SECONDS or row["megabytes"] > MOST_MEGABYTES
    return over or row["outcome"] in ("hung", "crashed")


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
