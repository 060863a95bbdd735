"""One shard of the work: read its files, normalise, predict, and write its part of the table.

What a worker process runs lives here, and is found by its name: nothing but paths and counts
travels between processes.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from digitflow.errors import BundleError, ImageError
from digitflow.evaluation.profiles import share_of_ink
from digitflow.images.normalising import NormalisedImage, normalise, normalise_batch
from digitflow.images.reading import ReadImage, decode_image, read_content
from digitflow.images.segmenting import find_digits
from digitflow.models.bundle import IMAGE_SIZE, Bundle, load_bundle
from digitflow.models.judging import BLANK, SEVERAL, TOUCHING, digit_of, familiarity, judge
from digitflow.models.predictor import Predictor
from digitflow.scoring.plan import Found, Shard
from digitflow.scoring.stopwatch import Stopwatch, make_stopwatch
from digitflow.scoring.table import Row, table_of, write_part

#: Pictures of 28×28 that are normalised together: as many as the processor's cache holds.
BLOCK_IMAGES = 128

_INT64_MAX = 2**63 - 1
_Result = TypeVar("_Result")

#: Gives the content and the time of change (ns) of what was found, which messages call by a name.
_Reader = Callable[[Found, str], tuple[bytes, int | None]]


@dataclass(frozen=True)
class ShardOptions:
    """What is the same for all shards of a run."""

    model_folder: Path  # the bundle
    model_id: str  # what the bundle must be, so that a run never mixes two models
    run_id: str
    multi: bool = False  # each picture may show several digits
    profile: bool = False  # measure where the time goes


@dataclass(frozen=True)
class ShardSummary:
    """What became of a shard."""

    number: int  # the shard's
    part: Path  # the file with its rows
    n_files: int
    process: int = 0  # that scored it
    seconds: dict[str, float] = field(default_factory=dict)  # by stage; empty unless asked for


def score_shard(shard: Shard, options: ShardOptions, part: Path) -> ShardSummary:
    """Score the files of a shard into one part of the table.

    Running it twice gives the same part, so that a shard may be tried again.

    Parameters
    ----------
    shard : Shard
        The files.
    options : ShardOptions
        The model and the run.
    part : Path
        The Parquet file to write.

    Returns
    -------
    ShardSummary
        What was written.

    Raises
    ------
    BundleError
        If the model's bundle cannot be loaded or has changed since the run began.
    OutputError
        If the part cannot be written.
    """
    stopwatch = make_stopwatch(options.profile)
    predictor = _load_predictor(options.model_folder, options.model_id)
    stopwatch.lap("load")
    table = table_of_shard(shard, options, predictor, time.time_ns() // 1000, stopwatch)
    write_part(table, part)
    stopwatch.lap("write")
    seconds = dict(stopwatch.seconds)
    return ShardSummary(shard.number, part, len(shard.files), os.getpid(), seconds)


def table_of_shard(
    shard: Shard,
    options: ShardOptions,
    predictor: Predictor,
    scored_at: int,
    stopwatch: Stopwatch,
) -> pa.Table:
    """Return the rows of a shard as a table, with `scored_at` (µs since 1970) in each."""
    rows = score_files(shard, predictor, options.multi, stopwatch)
    bundle = predictor.bundle
    n_classes = len(bundle.class_names)
    table = table_of(rows, n_classes, bundle.model_id, options.run_id, scored_at)
    stopwatch.lap("rows")
    return table


def score_files(
    shard: Shard,
    predictor: Predictor,
    multi: bool = False,
    stopwatch: Stopwatch | None = None,
) -> list[Row]:
    """Return the rows of a shard, in the order of its files.

    Parameters
    ----------
    shard : Shard
        The files.
    predictor : Predictor
        The model.
    multi : bool
        Look for several digits in each picture.
    stopwatch : Stopwatch, optional
        Counts what each stage takes.

    Returns
    -------
    list of Row
        At least one for each file.
    """
    stopwatch = stopwatch or make_stopwatch(False)
    rows = [[_row_of(found)] for found in shard.files]
    stopwatch.lap("rows")
    digits: list[tuple[Row, np.ndarray]] = []
    of_model_size: list[tuple[Row, np.ndarray]] = []
    with _reading(shard) as read_next:
        for place, found in enumerate(shard.files):
            row = rows[place][0]
            read = _attempt(row, _read, read_next, found, row, stopwatch)
            stopwatch.lap("decode")
            if read is None:
                continue
            # Only what is small is kept: one photograph at a time is in memory.
            if read.pixels.shape == (IMAGE_SIZE, IMAGE_SIZE):
                of_model_size.append((row, read.pixels))
            elif multi:
                several = _find_several(row, read.pixels, read.scale)
                rows[place] = [row for row, _ in several] or [row]
                digits += several
                stopwatch.lap("normalise")
            else:
                digits += _normalise_one(row, read.pixels, read.scale)
                stopwatch.lap("normalise")
    for start in range(0, len(of_model_size), BLOCK_IMAGES):
        digits += _normalise_together(of_model_size[start : start + BLOCK_IMAGES])
    stopwatch.lap("normalise")
    if digits:
        readable = [row for row, _ in digits]
        images = np.stack([image for _, image in digits])
        for row, ink in zip(readable, share_of_ink(images).tolist(), strict=True):
            row.ink = ink
        stopwatch.lap("normalise")
        probabilities = predictor.predict_proba(images)
        stopwatch.lap("infer")
        _classify(readable, probabilities, predictor.bundle)
    return [row for of_file in rows for row in of_file]


@lru_cache(maxsize=1)
def _load_predictor(folder: Path, model_id: str) -> Predictor:
    """Load a model once for all the shards of this process."""
    bundle = load_bundle(folder)
    if bundle.model_id != model_id:
        raise BundleError(f"{folder}: the model was changed during the run; run it again")
    return Predictor(bundle)


def _attempt(row: Row, step: Callable[..., _Result], *arguments: Any) -> _Result | None:
    """Return what a step gives, or None where it fails, with the failure noted in the row."""
    try:
        return step(*arguments)
    except ImageError as error:
        row.reason, row.message = error.reason, error.message
    except Exception as error:  # whatever one file provokes, the others are still scored
        what = " ".join(str(error).split())[:200]
        row.reason = "unreadable"
        row.message = f"unexpected {type(error).__name__} ({what}); please report this file"
    row.status = "error"
    return None


def _row_of(found: Found) -> Row:
    """Return the row of a file of which nothing is known yet but what the walk saw."""
    return Row(
        found.path,
        size_bytes=found.size_bytes,
        modified_at=_microseconds(found.modified_at_ns),
    )


def _microseconds(nanoseconds: int | None) -> int | None:
    """Return a time as the table holds it, None where it cannot: some file systems hold any."""
    if nanoseconds is None or abs(nanoseconds // 1000) > _INT64_MAX:
        return None
    return nanoseconds // 1000


@contextmanager
def _reading(shard: Shard) -> Iterator[_Reader]:
    """Give what reads the files of a shard, to be called for one after the other."""
    folder = shard.folder
    if isinstance(folder, bytes):
        yield lambda found, name: read_content(folder + b"/" + found.path, name)
    else:
        from digitflow.scoring.objects import reading_ahead

        with reading_ahead(folder, shard.files) as read_next:
            yield read_next


def _read(read_next: _Reader, found: Found, row: Row, stopwatch: Stopwatch) -> ReadImage:
    if found.problem:
        raise found.problem
    # Messages name the file as the table does: where the folder lies is nobody's business.
    name = os.fsdecode(found.path)
    content, modified_at_ns = read_next(found, name)
    stopwatch.lap("read")
    read = decode_image(content, name, modified_at_ns)
    row.image_width, row.image_height = read.width, read.height
    row.format, row.mode = read.format, read.mode
    row.orientation, row.n_frames = read.orientation, read.n_frames
    row.size_bytes, row.content_hash = read.size_bytes, read.content_hash
    row.modified_at = _microseconds(read.modified_at_ns)
    return read


def _normalise_one(row: Row, pixels: np.ndarray, scale: float) -> list[tuple[Row, np.ndarray]]:
    """Return a picture's row with its digit (28, 28), or nothing where there is none.

    `scale` is the size of a pixel in pixels of the original, which may have been read reduced.
    """
    found = _attempt(row, normalise, pixels)
    if found is None:
        return []
    row.polarity = found.polarity
    if found.blank:
        row.status, row.reason, row.message = BLANK
        return []
    if found.others:
        row.status, row.reason, row.message = SEVERAL
    _note_box(row, found, scale)
    return [(row, found.image)]


def _find_several(row: Row, pixels: np.ndarray, scale: float) -> list[tuple[Row, np.ndarray]]:
    """Return a row with its digit (28, 28) for each digit of a picture."""
    found = _attempt(row, find_digits, pixels)
    if found is None:
        return []
    if not found:
        row.status, row.reason, row.message = BLANK
    rows = []
    for segment, each in enumerate(found):
        one = replace(row, segment=segment, polarity=each.digit.polarity)
        _note_box(one, each.digit, scale)
        if not each.clear:
            one.status, one.reason, one.message = TOUCHING
        rows.append((one, each.digit.image))
    return rows


def _note_box(row: Row, found: NormalisedImage, scale: float) -> None:
    """Write into a row where its digit is, in px of the original."""
    row.x, row.y = round(found.x * scale), round(found.y * scale)
    row.width, row.height = round(found.width * scale), round(found.height * scale)


def _normalise_together(given: list[tuple[Row, np.ndarray]]) -> Iterator[tuple[Row, np.ndarray]]:
    """Do the same for pictures of 28×28, most of which are digits in MNIST's form already."""
    if not given:
        return
    pixels = np.stack([picture for _, picture in given])
    images, done = normalise_batch(pixels)
    inverted = np.any(images != pixels, axis=(1, 2))
    boxes = _boxes(images).tolist()
    for place, (row, picture) in enumerate(given):
        if done[place]:
            row.polarity = "dark_on_light" if inverted[place] else "light_on_dark"
            row.x, row.y, row.width, row.height = boxes[place]
            yield row, images[place]
        else:
            yield from _normalise_one(row, picture, 1.0)


def _boxes(images: np.ndarray) -> np.ndarray:
    """Return x, y, width and height of the ink of each image: (n, side, side) to (n, 4)."""
    side = images.shape[1]
    columns, rows = images.max(axis=1) > 0, images.max(axis=2) > 0
    x, y = columns.argmax(axis=1), rows.argmax(axis=1)
    width = side - x - columns[:, ::-1].argmax(axis=1)
    height = side - y - rows[:, ::-1].argmax(axis=1)
    return np.stack([x, y, width, height], axis=1)


def _classify(rows: Sequence[Row], probabilities: np.ndarray, bundle: Bundle) -> None:
    """Write into each row what the model says of its image."""
    digits = [digit_of(name) for name in bundle.class_names]
    best = probabilities.argmax(axis=1).tolist()
    confidences = probabilities.max(axis=1).tolist()
    familiar = familiarity(probabilities, bundle.temperature).tolist()
    for row, place, confidence, likeness, vector in zip(
        rows, best, confidences, familiar, probabilities, strict=True
    ):
        row.label, row.digit = bundle.class_names[place], digits[place]
        row.confidence, row.probabilities = confidence, vector
        if row.reason is None:  # nothing is known against it
            row.status, row.reason, row.message = judge(confidence, likeness, bundle)
