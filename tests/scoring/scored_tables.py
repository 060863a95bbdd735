"""Scored tables made on the fly, row by row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from digitflow.scoring import table
from digitflow.scoring.table import FORMAT_VERSION, Row, table_of

NAMES = [str(digit) for digit in range(10)]


def read_row(path: bytes, digit: int = 7, confidence: float = 0.9, **more: Any) -> Row:
    """Return the row of an image in which a digit was read."""
    probabilities = np.full(10, (1 - confidence) / 9, np.float32)
    probabilities[digit] = confidence
    facts = {"x": 4, "y": 5, "width": 15, "height": 20, "image_width": 28, "image_height": 28}
    facts |= {"ink": 0.13}
    return Row(
        path,
        label=str(digit),
        digit=digit,
        confidence=confidence,
        probabilities=probabilities,
        **{"polarity": "dark_on_light", **facts, **more},
    )


def many_rows(n: int, seed: int = 0, **more: Any) -> list[Row]:
    """Return rows of random digits and confidences."""
    generator = np.random.default_rng(seed)
    digits = generator.integers(0, 10, n).tolist()
    doubts = 10 ** -generator.uniform(1, 4, n)
    return [
        read_row(b"%d.png" % place, digit, 1 - doubt, **more)
        for place, (digit, doubt) in enumerate(zip(digits, doubts.tolist(), strict=True))
    ]


def write_table(
    path: Path, rows: Sequence[Row], model_id: str = "0" * 64, folder: Path | str = "images"
) -> Path:
    """Write rows as the table of a run over a folder."""
    model = {"name": "small", "version": "1", "model_id": model_id, "class_names": NAMES}
    run = {"run_id": "run", "folder": str(folder), "multi": any(row.segment for row in rows)}
    facts = {"format_version": FORMAT_VERSION, "model": model, "run": run}
    content = table_of(rows, 10, model_id, "run", scored_at=1_700_000_000_000_000)
    table.write_table([content], path, path.with_name("temporary"), facts)
    return path
