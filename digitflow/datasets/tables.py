"""CSV files as Kaggle lays them out: a row for each image, its label and then its 784 pixels."""

import gzip
import io
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from digitflow.datasets.formats import GZIP_MAGIC, MAX_BYTES, MAX_EXPANSION
from digitflow.errors import DatasetError
from digitflow.images.placing import SIDE

N_PIXELS = SIDE * SIDE

_MAX_LINE = 1 << 14  # characters; 784 pixels with 4 digits and commas need a quarter
_ROWS = 1024  # read at once

Line = tuple[int, str]  # its number in the file, from 1, and its text


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a CSV file, packed with gzip or not, with a header line or without.

    Returns
    -------
    images : ndarray of shape (n, 28, 28), uint8
    labels : ndarray of shape (n,), str
        As they are written.

    Raises
    ------
    DatasetError
        If a row is not a label and 784 whole numbers from 0 to 255, there is no row, or the file
        is no text or damaged.
    """
    labels: list[str] = []
    blocks = []
    try:
        with path.open("rb") as file:
            lines = _without_header(_lines(file, path), path)
            while rows := list(islice(lines, _ROWS)):
                labels += [line.partition(",")[0] for _, line in rows]
                blocks.append(_read_pixels(rows, path))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{path}: cannot be read ({why}); replace it") from error
    if not labels:
        raise DatasetError(f"{path}: holds no rows; give a label and {N_PIXELS} pixels in each")
    return np.concatenate(blocks).reshape(-1, SIDE, SIDE), np.array(labels, str)


def bounded_lines(file: io.BufferedReader, path: Path) -> Iterator[Line]:
    """Yield the lines of a text file, packed with gzip or not, no longer and no more than meant.

    Raises
    ------
    DatasetError
        If a line is longer than any image's, or the file holds more than it may.
    """
    packed = file.read(2) == GZIP_MAGIC
    most = min(MAX_BYTES, path.stat().st_size * (MAX_EXPANSION if packed else 1))
    file.seek(0)
    content = io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file
    with io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as text:
        number = 0
        while line := text.readline(_MAX_LINE):
            number += 1
            most -= len(line)
            if most < 0 or len(line) == _MAX_LINE:
                raise DatasetError(
                    f"{path}: line {number} is too long; give one image in each line"
                )
            yield number, line


def _lines(file: io.BufferedReader, path: Path) -> Iterator[Line]:
    """Yield the lines that are not empty."""
    for number, raw in bounded_lines(file, path):
        if line := raw.strip().replace('"', ""):
            yield number, line


def _without_header(lines: Iterator[Line], path: Path) -> Iterator[Line]:
    for line in islice(lines, 1):
        if not _is_header(line[1]):
            yield line
        elif "label" in line[1].lower().split(",")[1:]:
            raise DatasetError(f"{path}: the label is not the first column; put it there")
        else:
            _check_columns(line, path)
    yield from lines


def _is_header(line: str) -> bool:
    try:
        [float(field) for field in line.split(",")[1:]]
    except ValueError:
        return True
    return False


def _check_columns(line: Line, path: Path) -> None:
    number, text = line
    if (commas := text.count(",")) != N_PIXELS:
        raise DatasetError(
            f"{path}: line {number} has {commas + 1} columns instead of {N_PIXELS + 1}: a label"
            f" and {N_PIXELS} pixels, with commas between; save it so"
        )


def _read_pixels(rows: list[Line], path: Path) -> np.ndarray:
    """Return the pixels of some rows, (n, 784) uint8."""
    for row in rows:
        _check_columns(row, path)
    pixels = _numbers(line for _, line in rows)
    if pixels is None:
        number = next(number for number, line in rows if _numbers([line]) is None)
        raise DatasetError(
            f"{path}: line {number} has a pixel that is no whole number from 0 to 255; correct it"
        )
    return pixels


def _numbers(lines: Iterator[str] | list[str]) -> np.ndarray | None:
    texts = (line.partition(",")[2] for line in lines)
    try:
        values = np.loadtxt(texts, np.float32, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        return None
    # Written so that NaN fails.
    sound = ((values >= 0) & (values <= 255) & (values % 1 == 0)).all()
    return values.astype(np.uint8) if sound else None
