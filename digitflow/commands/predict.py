"""`digitflow predict`: the digit, or the digits, in each of some images."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitflow.errors import ImageError, UsageError

if TYPE_CHECKING:
    from digitflow.models.reader import Reading


def add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    predict = commands.add_parser("predict", help="read the digit in each of some images")
    predict.add_argument("images", nargs="+", type=Path, metavar="image")
    predict.add_argument("--model", help="name, name@version or a bundle's folder (default: mnist)")
    predict.add_argument("--json", action="store_true", help="one JSON object per line")
    predict.add_argument("--multi", action="store_true", help="read several digits in each image")
    predict.add_argument(
        "--explain", type=Path, metavar="PNG", help="draw how the image, only one, was read"
    )
    predict.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from digitflow.models.reader import DigitReader
    from digitflow.scoring.stores import check_local

    for place in (*options.images, options.explain, options.model):
        if place is not None:
            check_local(place)
    if options.explain and (options.multi or len(options.images) > 1):
        raise UsageError("--explain: draws how one digit was read; name one image, without --multi")
    reader = DigitReader(options.model)
    exit_code = 0
    for image in options.images:
        try:
            if options.multi:
                readings = reader.read_all(image)
            else:
                readings = [reader.read(image, explain=options.explain is not None)]
        except ImageError as error:
            exit_code = ImageError.exit_code
            _tell_error(image, error, options.json)
            continue
        if options.explain:
            _draw_explanation(readings[0], options.explain)
        if options.json:
            for segment, reading in enumerate(readings):
                print(json.dumps({"path": str(image), "segment": segment, **_facts_of(reading)}))
        elif options.multi:
            print(f"{image}: {_several_in_words(readings)}")
        else:
            print(f"{image}: {_in_words(readings[0])}")
    return exit_code


def _tell_error(image: Path, error: ImageError, as_json: bool) -> None:
    if as_json:
        facts = {"status": "error", "reason": error.reason, "message": error.message}
        print(json.dumps({"path": str(image), **facts}))
    else:
        print(f"error: {error}", file=sys.stderr)


def _facts_of(reading: "Reading") -> dict[str, Any]:
    """Return what JSON tells of a reading: all but its pictures."""
    pictures = ("image", "stages", "dependence")
    return {name: value for name, value in vars(reading).items() if name not in pictures}


def _draw_explanation(reading: "Reading", target: Path) -> None:
    from digitflow.evaluation.encoding import png_bytes
    from digitflow.evaluation.explanation import explanation_figure
    from digitflow.files import write_bytes

    told = f"{reading.label}  ({reading.status})" if reading.label else _in_words(reading)
    figure = explanation_figure(reading.stages, reading.dependence, reading.probabilities, told)
    write_bytes(target, png_bytes(figure))


def _several_in_words(readings: "Sequence[Reading]") -> str:
    from digitflow.models.reader import spell

    if readings[0].label is None:
        return _in_words(readings[0])
    doubtful = sum(reading.status != "ok" for reading in readings)
    doubt = f"  ({doubtful} of {len(readings)} uncertain)" if doubtful else ""
    return spell(readings).replace("\n", " / ") + doubt


def _in_words(reading: "Reading") -> str:
    if reading.label is None:
        return f"{reading.status} ({reading.message})"
    from digitflow.evaluation.metrics import percent

    top = list(reading.probabilities.items())[:3]
    # A plain space: not every console can show the other one.
    best, *others = [f"{name} {percent(share)}".replace("\xa0", " ") for name, share in top]
    doubt = "" if reading.status == "ok" else f"  {reading.status}: {reading.message}"
    return f"{best}  (then {', '.join(others)}){doubt}"
