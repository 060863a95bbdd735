"""Scored tables made on the fly, row by row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from digitflow.scoring.table import Row, assemble, table_of, write_part

NAMES = [str(digit) for digit in range(10)]


def read_row(path: bytes, digit: int = 7, confidence: float = 0.9, **more: Any) -> Row:
    """Return the row of an image in which a digit was read."""
    probabilities = np.full(10, (1 - confidence) / 9, np.float32)
    probabilities[digit] = confidence
    facts = {"x": 4, "y": 5, "width": 15, "height": 20, "image_width": 28, "image_height": 28}
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
    part = path.with_name("part")
    write_part(table_of(rows, 10, model_id, "run"), part)
    model = {"name": "small", "version": "1", "model_id": model_id, "class_names": NAMES}
    run = {"run_id": "run", "folder": str(folder), "multi": any(row.segment for row in rows)}
    assemble([part], path, 10, {"model": model, "run": run})
    part.unlink()
    return path
