"""Measure how many digits are read right in 29 kinds of pictures, made from MNIST's.

    python benchmarks/robustness.py --output docs/results/robustness.json
    python benchmarks/robustness.py --split train --digits 60 --sheet sheet.png

Each picture is encoded as an image file and read as any other. It depends on the seed, the kind's
name and the digit alone, and all kinds show the same digits. `--split train` is for development:
nothing may be chosen by what the test digits say.
"""

import argparse
import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ink_and_light
import numpy as np
import surroundings
from judging import Reading, accuracy, draw_sheet, normalised, read_pictures
from keeping import command_line, machine, write_result
from picture_tables import robustness_table
from PIL import Image
from transformations import TRANSFORMATIONS

from digitflow import load_dataset
from digitflow.datasets.loading import SPLITS, Dataset
from digitflow.errors import DigitflowError, UsageError
from digitflow.images.reading import decode_image
from digitflow.models.predictor import Predictor

CONDITIONS = surroundings.CONDITIONS | ink_and_light.CONDITIONS
KINDS = CONDITIONS | TRANSFORMATIONS

Paint = Callable[[str, int], bytes]


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    kinds = choose_kinds(options.only)
    predictor = Predictor.load(options.model)
    data = load_dataset(options.dataset, split=options.split)
    chosen = choose_digits(len(data), options.digits, options.seed)
    paint = partial(paint_picture, data, options.seed)
    readings = {}
    for kind in kinds:
        readings[kind] = read_kind(predictor, data, chosen, kind, paint)
        print(f"{kind}: {accuracy(readings[kind]):.1%}", file=sys.stderr)
    content = {
        "model": predictor.bundle.model_id,
        "data": f"{options.dataset}, {options.split}",
        "seed": options.seed,
        "digits": len(chosen),
        "accuracy_of_arrays": accuracy_of_arrays(predictor, data, chosen),
        "conditions": [describe(kind, readings[kind]) for kind in kinds if kind in CONDITIONS],
        "transformations": [
            describe(kind, readings[kind]) for kind in kinds if kind in TRANSFORMATIONS
        ],
        "command": command_of(options),
        **machine(),
    }
    print(robustness_table(content))
    if options.output:
        write_result(options.output, content)
    if options.sheet:
        draw_kinds(readings, paint, options.misread).save(options.sheet)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="name, name@version or folder (default: the current one)")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--digits", type=int, default=100, help="of each kind (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice and of the pictures")
    parser.add_argument("--only", nargs="+", metavar="KIND", help="measure these alone")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw samples here, PNG")
    parser.add_argument("--misread", action="store_true", help="draw what was misread instead")
    return parser.parse_args()


def choose_kinds(asked: Sequence[str] | None) -> list[str]:
    """Return the kinds that are asked for, in the order of the table.

    Raises
    ------
    UsageError
        If there is no such kind.
    """
    for kind in asked or ():
        if kind not in KINDS:
            raise UsageError(f"--only: no kind {kind!r}; known are: {', '.join(KINDS)}")
    return [kind for kind in KINDS if not asked or kind in asked]


def choose_digits(available: int, wanted: int, seed: int) -> np.ndarray:
    """Return the indices of the digits to paint, ascending.

    Raises
    ------
    UsageError
        If there are not so many.
    """
    if not 1 <= wanted <= available:
        raise UsageError(f"--digits: {wanted}, but there are {available:,}; give 1 to {available}")
    return np.sort(np.random.default_rng(seed).choice(available, wanted, replace=False))


def paint_picture(data: Dataset, seed: int, kind: str, index: int) -> bytes:
    """Return the image file of one digit in one kind of picture, always the same."""
    random = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
    return KINDS[kind](data.images[index], random)


def read_kind(
    predictor: Predictor, data: Dataset, chosen: np.ndarray, kind: str, paint: Paint
) -> list[Reading]:
    """Return what was read in each digit's picture of one kind; the index is its name."""
    pictures = (
        (str(index), data.class_names[data.labels[index]], paint(kind, index)) for index in chosen
    )
    return read_pictures(predictor, pictures, partial(normalised, decode_image))


def accuracy_of_arrays(predictor: Predictor, data: Dataset, chosen: np.ndarray) -> float:
    """Return the accuracy on the digits as they are in the data set, never painted."""
    found = predictor.predict_proba(data.images[chosen]).argmax(axis=1)
    return float((found == data.labels[chosen]).mean())


def describe(kind: str, readings: Sequence[Reading]) -> dict[str, Any]:
    """Return what is recorded of one kind."""
    return {
        "kind": kind,
        "accuracy": accuracy(readings),
        "not_found": sum(reading.prediction is None for reading in readings),
        "milliseconds": round(float(np.median([each.milliseconds for each in readings])), 2),
        "misread": [reading.describe() for reading in readings if not reading.right],
    }


def draw_kinds(readings: dict[str, list[Reading]], paint: Paint, misread: bool) -> Image.Image:
    """Draw up to ten pictures of each kind, or of those that were misread."""
    rows = []
    for kind, all_of_them in readings.items():
        wanted = [each for each in all_of_them if not (misread and each.right)]
        shown = wanted[:: -(-len(wanted) // 10) or 1]
        pictures = [(paint(kind, int(each.name)), each) for each in shown]
        rows.append((f"{kind} ({accuracy(all_of_them):.0%})", pictures))
    return draw_sheet(rows, columns=10)


def command_of(options: argparse.Namespace) -> str:
    """Return the command, without what only shows more."""
    shown = dict.fromkeys(("output", "sheet", "misread"))
    return command_line("robustness", **vars(options) | shown)


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
