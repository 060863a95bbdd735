"""Values into the bytes of a file: JSON, CSV, PNG; the same values always give the same bytes."""

import csv
import io
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from digitflow.evaluation.drawing import DPI


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as a PNG image."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A class name may be in a script that matplotlib's own font does not have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # The name of the software would make the bytes depend on matplotlib's version.
        figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return a mapping as indented JSON; a number that is not finite becomes null."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def csv_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a table, the keys of its first row as the header; None is an empty cell."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def _plain(value: Any) -> Any:
    """Return the value with what JSON knows: plain floats, and null for those not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | int):
        return value
    return float(value) if math.isfinite(value) else None
