"""Measure how many real digits are read right, source by source, prepared in three ways.

    python benchmarks/real_images.py
    python benchmarks/real_images.py FOLDER --sheet misread.png

The same network reads each picture merely resized to 28×28, resized and inverted where it is
bright, and brought into MNIST's form by digitflow. FOLDER has a `labels.csv` with the columns
`path`, `label` and `source`; sources count alike in the macro average, however many pictures they
have. `--sources` and `--without` choose among them: what is tuned without a source is judged by it.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from judging import Reading, accuracy, draw_sheet, normalised, read_pictures
from keeping import command_line, machine, write_result
from picture_tables import real_images_table
from PIL import Image

from digitflow import settings
from digitflow.errors import DigitflowError, UsageError
from digitflow.images.placing import SIDE
from digitflow.images.reading import read_image
from digitflow.models.predictor import Predictor

Row = Mapping[str, str]


def resized(path: Path) -> np.ndarray | None:
    """Return a picture as most scripts prepare it: grey, 28×28; None where it is no image."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L").resize((SIDE, SIDE)))
    except OSError:
        return None


def inverted_if_bright(path: Path) -> np.ndarray | None:
    """Return the same, bright ink on black as MNIST has it."""
    image = resized(path)
    return image if image is None or image.mean() < 128 else ~image


PREPARATIONS: dict[str, Callable[[Path], np.ndarray | None]] = {
    "resized": resized,
    "resized, inverted if bright": inverted_if_bright,
    "digitflow": partial(normalised, read_image),
}


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    folder = options.folder or settings.data_folder() / "real-digits"
    rows = choose_rows(read_labels(folder), options.sources, options.without)
    predictor = Predictor.load(options.model)
    readings = {
        name: read_pictures(
            predictor, ((row["path"], row["label"], folder / row["path"]) for row in rows), prepare
        )
        for name, prepare in PREPARATIONS.items()
    }
    source_of = {row["path"]: row["source"] for row in rows}
    content = {
        "model": predictor.bundle.model_id,
        "data": folder.name,
        "preparations": [describe(name, found, source_of) for name, found in readings.items()],
        "command": command_of(options),
        **machine(),
    }
    print(real_images_table(content))
    misread = [reading for reading in readings["digitflow"] if not reading.right]
    for reading in misread:
        said = f"read {reading.prediction or 'nothing'} ({reading.confidence:.1%})"
        print(f"{reading.name}: {reading.label}, {said}")
    if options.output:
        write_result(options.output, content)
    if options.sheet:
        draw_misread(misread, folder, source_of).save(options.sheet)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", help="default: real-digits in the data folder"
    )
    parser.add_argument("--model", help="name, name@version or folder (default: the current one)")
    parser.add_argument("--sources", nargs="+", metavar="SOURCE", help="measure these alone")
    parser.add_argument("--without", nargs="+", metavar="SOURCE", help="leave these out")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw the misread here, PNG")
    return parser.parse_args()


def read_labels(folder: Path) -> list[Row]:
    """Return the rows of `labels.csv`.

    Raises
    ------
    UsageError
        If the file cannot be read, has no row with path, label and source, or names a picture
        that is not there.
    """
    path = folder / "labels.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(f"{path}: cannot be read ({why}); give a folder that holds one") from error
    if not rows or not {"path", "label", "source"} <= rows[0].keys():
        raise UsageError(f"{path}: needs rows with path, label and source; add them")
    for row in rows:
        if not (folder / row["path"]).is_file():
            raise UsageError(f"{path}: names {row['path']}, which is not there; add or remove it")
    return rows


def choose_rows(
    rows: Sequence[Row], sources: Sequence[str] | None, without: Sequence[str] | None
) -> list[Row]:
    """Return the rows of the sources that are asked for.

    Raises
    ------
    UsageError
        If there is no such source, or none is left.
    """
    known = dict.fromkeys(row["source"] for row in rows)
    for source in [*(sources or ()), *(without or ())]:
        if source not in known:
            raise UsageError(f"no source {source!r}; known are: {', '.join(known)}")
    asked = set(sources or known) - set(without or ())
    if not asked:
        raise UsageError("--without: leaves no source; leave fewer out")
    return [row for row in rows if row["source"] in asked]


def describe(
    name: str, readings: Sequence[Reading], source_of: Mapping[str, str]
) -> dict[str, Any]:
    """Return what is recorded of one preparation."""
    by_source: dict[str, list[Reading]] = {source: [] for source in source_of.values()}
    for reading in readings:
        by_source[source_of[reading.name]].append(reading)
    sources = {source: accuracy(found) for source, found in sorted(by_source.items())}
    return {
        "preparation": name,
        "macro_average": float(np.mean(list(sources.values()))),
        "accuracy": accuracy(readings),
        "sources": sources,
        "pictures": {source: len(by_source[source]) for source in sources},
        "milliseconds": {
            source: round(float(np.median([each.milliseconds for each in by_source[source]])), 2)
            for source in sources
        },
        "misread": [reading.describe() for reading in readings if not reading.right],
    }


def draw_misread(
    misread: Sequence[Reading], folder: Path, source_of: Mapping[str, str]
) -> Image.Image:
    """Draw the pictures that were misread, source by source."""
    rows = []
    for source in sorted(set(source_of.values())):
        of_source = [each for each in misread if source_of[each.name] == source]
        pictures = [((folder / each.name).read_bytes(), each) for each in of_source]
        if pictures:
            rows.append((f"source {source}", pictures))
    return draw_sheet(rows, columns=8)


def command_of(options: argparse.Namespace) -> str:
    """Return the command, without the places of this machine."""
    folder = ["FOLDER"] if options.folder else []
    told = {name: getattr(options, name) for name in ("model", "sources", "without")}
    return command_line("real_images", *folder, **told)


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
