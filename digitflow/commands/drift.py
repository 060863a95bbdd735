"""`digitflow drift`: a scored table against the model's own data, or against earlier tables."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from digitflow.errors import DriftedError, UsageError

if TYPE_CHECKING:
    from digitflow.scoring.drift import Drift

_LONGEST_NAME = 50  # characters, in the picture

#: The verdicts that fail a run, by what may be asked for.
FAIL_ON: dict[str, tuple[str, ...]] = {
    "shifted": ("shifted", "drifted"),
    "drifted": ("drifted",),
    "never": (),
}


def add_drift(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    drift = commands.add_parser(
        "drift", help="compare a scored table with the model's own data or with earlier tables"
    )
    drift.add_argument("table", type=Path, help="a scored table, or a folder of its parts")
    drift.add_argument(
        "--against",
        nargs="+",
        type=Path,
        default=[],
        metavar="table",
        help="earlier tables, taken together; or what --json printed of one, as a .json file; or a "
        "bundle's folder (default: the validation images of the model that scored the table)",
    )
    drift.add_argument("--json", action="store_true", help="print one JSON object")
    drift.add_argument("--picture", type=Path, metavar="PNG", help="draw what is compared")
    drift.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default="drifted",
        help=f"end with exit code {DriftedError.exit_code} from this verdict on (default: drifted)",
    )
    drift.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from digitflow.files import write_bytes
    from digitflow.scoring.drift import measure_drift
    from digitflow.scoring.stores import check_local

    if options.picture:
        check_local(options.picture)
    if options.picture and options.picture.suffix.lower() != ".png":
        raise UsageError(f"--picture {options.picture}: is drawn as PNG; let its name end in .png")
    drift = measure_drift(options.table, options.against)
    if options.picture:
        write_bytes(options.picture, drift_picture(drift))
    print(json.dumps(drift.facts(), indent=1) if options.json else drift.in_words())
    return DriftedError.exit_code if drift.verdict in FAIL_ON[options.fail_on] else 0


def drift_picture(drift: "Drift") -> bytes:
    """Draw what is compared, as PNG."""
    from digitflow.evaluation.drift_plot import drift_figure
    from digitflow.evaluation.encoding import png_bytes

    # The end of a path tells more than its beginning.
    sides = (each.name[-_LONGEST_NAME:] for each in (drift.table, drift.reference))
    title = "{}: {} against {}".format(drift.verdict, *sides)
    return png_bytes(drift_figure(drift.columns, title))
