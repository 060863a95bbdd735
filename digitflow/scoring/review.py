"""The readings that most need a person's eye, with their pictures, on one page (`sheet`)."""

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from digitflow.errors import ImageError, UsageError
from digitflow.files import write_text
from digitflow.images.reading import ReadImage, read_image
from digitflow.scoring.columns import known_in, numbers_in, taken, words_in
from digitflow.scoring.scored import ScoredTable, open_table, shown
from digitflow.scoring.sheet import Card, Sheet, sheet_page
from digitflow.scoring.stores import check_local, is_uri

STATUSES = ("ok", "uncertain", "rejected", "blank", "error")

#: Readings on a page, at most, unless more are asked for: some megabytes of pictures.
LIMIT = 500

_COLUMNS = (
    "path", "path_bytes", "segment", "x", "y", "width", "height", "status", "message", "label",
    "confidence", "probabilities", "content_hash",
)  # fmt: skip

_THUMBNAIL = 112  # px, the longer side
_MARGIN = 0.35  # around a digit, of its longer side
_NO_CONFIDENCE = 2.0  # sorts after all that have one

_Row = dict[str, Any]


@dataclass(frozen=True)
class ReviewSummary:
    """What is on a sheet."""

    output: Path  # the page
    n_shown: int
    n_found: int  # readings of the statuses asked for
    n_without_picture: int  # of those shown: missing, changed for the worse, or never readable

    def in_words(self) -> str:
        """Return the summary as a line for a person."""
        missing = f", {self.n_without_picture:,} without picture" if self.n_without_picture else ""
        return f"{self.n_shown:,} of {self.n_found:,} readings{missing}: {shown(self.output)}"


def write_sheet(
    table: Path | str,
    output: Path | str,
    *,
    images: Path | str | None = None,
    statuses: Sequence[str] = ("uncertain",),
    limit: int = LIMIT,
) -> ReviewSummary:
    """Write a page with the pictures of what is doubtful, the most doubtful first.

    It needs nothing but a browser: no server, no network, no other file. What a person types is
    saved as CSV, which `load_dataset` reads.

    Parameters
    ----------
    table : Path or str
        A scored table, or a folder of its parts.
    output : Path or str
        The page, `.html`. An earlier one is replaced.
    images : Path or str, optional
        The folder that was scored. Default: where the table says it was.
    statuses : sequence of str
        Which readings, of `STATUSES`.
    limit : int
        How many at most: those of least confidence.

    Returns
    -------
    ReviewSummary

    Raises
    ------
    UsageError
        If there is no such table or folder, the table is damaged, or has nothing of the statuses.
    OutputError
        If the page cannot be written.
    """
    for each in (table, output, images):
        if each is not None:
            check_local(each)
    output = Path(output)
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{shown(output)}: is to be a page; let its name end in .html")
    if limit < 1:
        raise UsageError(f"limit is {limit}; it must be at least 1")
    opened = open_table(table)
    folder = _folder_of(opened, images)
    rows, n_found = _most_doubtful(opened, statuses, limit)
    if not rows:
        raise UsageError(f"{opened.name}: has no rows of status {' or '.join(statuses)}")
    cards = _cards(rows, folder, bool(opened.facts["run"].get("multi")))
    sheet = Sheet(
        table=opened.name,
        model=_model_in_words(opened),
        class_names=tuple(opened.facts["model"]["class_names"]),
        folder=folder,
        statuses=tuple(statuses),
        n_found=n_found,
        cards=tuple(cards),
    )
    write_text(output, sheet_page(sheet))
    missing = sum(card.png is None for card in cards)
    return ReviewSummary(output, len(cards), n_found, missing)


def _folder_of(table: ScoredTable, images: Path | str | None) -> bytes:
    """Return the absolute path of the folder with the images."""
    run = table.facts.get("run")
    told = images if images is not None else run.get("folder") if isinstance(run, dict) else None
    if not isinstance(run, dict) or not isinstance(told, str | Path):
        raise UsageError(f"{table.name}: does not say which folder was scored; name it: --images")
    if is_uri(told):
        raise UsageError(
            f"{table.name}: its images are in a store; copy them to a local folder, and name it "
            "with --images"
        )
    folder = Path(told).absolute()
    if not folder.is_dir():
        where = "--images" if images is not None else table.name
        raise UsageError(f"{where}: the folder {shown(folder)} is not here; name it with --images")
    return os.fsencode(folder)


def _model_in_words(table: ScoredTable) -> str:
    model = table.facts["model"]
    return f"{model.get('name')}@{model.get('version')} ({model['model_id'][:12]})"


def _most_doubtful(
    table: ScoredTable, statuses: Sequence[str], limit: int
) -> tuple[list[_Row], int]:
    """Return the rows of least confidence, the least first, and how many there are in all."""
    best: list[tuple[float, int, _Row]] = []
    n_found = 0
    for batch in table.batches(_COLUMNS):
        batch = _of_status(batch, statuses)
        confidences = _confidences(batch)
        worst = best[-1][0] if len(best) == limit else math.inf
        places = np.argsort(confidences, kind="stable")[:limit]
        best += [
            (confidences[place], n_found + place, _row(batch, place))
            for place in places.tolist()
            if confidences[place] < worst
        ]
        best = sorted(best, key=lambda entry: entry[:2])[:limit]
        n_found += batch.num_rows
    return [row for _, _, row in best], n_found


def _of_status(batch: pa.RecordBatch, statuses: Sequence[str]) -> pa.RecordBatch:
    status = batch.column("status")
    # The last stands for a null, whatever its index.
    wanted = np.array([*(word in statuses for word in words_in(status)), False])
    chosen = wanted[np.where(known_in(status), numbers_in(status), -1)]
    return taken(batch, np.flatnonzero(chosen))


def _confidences(batch: pa.RecordBatch) -> NDArray[np.float32]:
    column = batch.column("confidence")
    confidences = numbers_in(column)
    known = known_in(column) & ~np.isnan(confidences)
    return np.where(known, confidences, np.float32(_NO_CONFIDENCE))


def _row(batch: pa.RecordBatch, place: int) -> _Row:
    return {name: batch.column(name)[place].as_py() for name in batch.schema.names}


def _cards(rows: Sequence[_Row], folder: bytes, multi: bool) -> list[Card]:
    """Return a card for each row, in their order; each image is read once."""
    cards: dict[int, Card] = {}
    numbered = sorted(enumerate(rows), key=lambda entry: _path_of(entry[1]))
    for path, of_image in groupby(numbered, key=lambda entry: _path_of(entry[1])):
        read, problem = _read(folder, path)
        for place, row in of_image:
            cards[place] = _card(row, path, read, problem, multi)
    return [cards[place] for place in range(len(rows))]


def _path_of(row: _Row) -> bytes:
    return row["path_bytes"] or (row["path"] or "").encode()


def _read(folder: bytes, path: bytes) -> tuple[ReadImage | None, str]:
    """Return an image, or why there is none."""
    if path.startswith(b"/") or b".." in path.split(b"/"):
        return None, "lies outside of the folder, and is not shown"
    name = os.fsdecode(path)
    try:
        return read_image(folder + b"/" + path, name), ""
    except ImageError as error:
        return None, error.message


def _card(row: _Row, path: bytes, read: ReadImage | None, problem: str, multi: bool) -> Card:
    sides = tuple(row[name] for name in ("x", "y", "width", "height"))
    box = None if None in sides else sides
    if read and row["content_hash"] not in (None, read.content_hash):
        problem = "changed since it was scored"
    png, outline = _thumbnail(read, box) if read else (None, None)
    return Card(
        path=path,
        status=row["status"],
        message=problem or row["message"] or "",
        label=row["label"],
        confidence=row["confidence"],
        probabilities=tuple(row["probabilities"] or ()),
        box=box if multi else None,
        content_hash=read.content_hash if read else "",
        png=png,
        outline=outline if multi else None,
    )


def _thumbnail(
    read: ReadImage, box: tuple[int, ...] | None
) -> tuple[bytes, tuple[float, ...] | None]:
    """Return what is around a digit as PNG, and the digit's place in it, as shares of its sides."""
    rows, columns = read.pixels.shape
    left, top, right, bottom = 0, 0, columns, rows
    outline = None
    if box is not None:
        x, y, width, height = (side / read.scale for side in box)
        margin = _MARGIN * max(width, height)
        left, right = _span(x - margin, x + width + margin, columns)
        top, bottom = _span(y - margin, y + height + margin, rows)
        across, down = right - left, bottom - top
        outline = ((x - left) / across, (y - top) / down, width / across, height / down)
    return _png(read.pixels[top:bottom, left:right]), outline


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture, enlarged or reduced to the size of all, as PNG."""
    factor = _THUMBNAIL / max(pixels.shape)
    rows, columns = (max(1, round(side * factor)) for side in pixels.shape)
    how = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((columns, rows), how).save(stream, format="PNG")
    return stream.getvalue()


def _span(start: float, stop: float, size: int) -> tuple[int, int]:
    """Return a span cut to 0..size; the whole of it where nothing is left, as in other images."""
    first, last = max(math.floor(start), 0), min(math.ceil(stop), size)
    return (first, last) if first < last else (0, size)
