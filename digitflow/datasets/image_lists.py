"""A list of images and what they show, as CSV: by hand, or what a review sheet saved.

The columns `path` and `label` are needed, in any order; others are left out, but for these:

- `folder`: where `path` begins; without it, the folder that the list is in;
- `path_bytes`: the path's bytes as hexadecimal digits after `0x`, where `path` cannot hold them;
- `x`, `y`, `width`, `height`: the box, px, of the one digit meant where an image has several;
- `content_hash`: the SHA-256 of the image that the label was given to.

Rows without a label are of no digit, and are left out.
"""

import csv
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from digitflow.datasets.formats import MAX_BYTES
from digitflow.datasets.image_folders import refuse_faulty
from digitflow.datasets.tables import bounded_lines
from digitflow.errors import DatasetError, ImageError
from digitflow.images.normalising import NormalisedImage, normalise
from digitflow.images.placing import SIDE
from digitflow.images.reading import ReadImage, read_image
from digitflow.images.segmenting import find_digits

_BOX = ("x", "y", "width", "height")
_MOST_IMAGES = MAX_BYTES // SIDE**2

#: A digit is the one meant if its box and the given one share this part of what both cover.
_LEAST_OVERLAP = 0.3

_Several = tuple[ReadImage, list[NormalisedImage]]


@dataclass(frozen=True)
class ListedImage:
    """One row of a list."""

    path: bytes  # of the image
    label: str
    box: tuple[int, ...] | None  # x, y, width, height of the digit, px; None: the only
    content_hash: str  # empty where it was not noted


def is_image_list(path: Path) -> bool:
    """Tell whether the first line of a CSV file names a path and a label."""
    try:
        with path.open("rb") as file:
            _, header = next(bounded_lines(file, path), (0, ""))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, DatasetError):
        return False  # reading it as a table says what is wrong
    names = header.lower().replace('"', "").split(",")
    return {"path", "label"} <= {name.strip() for name in names}


def read_image_list(path: Path) -> tuple[list[ListedImage], int]:
    """Read a list, without looking at any image.

    Parameters
    ----------
    path : Path
        A CSV file with a header line, packed with gzip or not.

    Returns
    -------
    images : list of ListedImage
    n_without_label : int
        How many rows are of no digit.

    Raises
    ------
    DatasetError
        If it is no text, a row cannot be what it should be, or none has a label.
    """
    try:
        with path.open("rb") as file:
            lines = (line for _, line in bounded_lines(file, path))
            rows = list(_rows(csv.DictReader(lines, strict=True), path))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{path}: cannot be read ({why}); replace it") from error
    labelled = [row for row in rows if row.label]
    if not labelled:
        raise DatasetError(f"{path}: holds no row with a label; give each image what it shows")
    return labelled, len(rows) - len(labelled)


def read_listed_images(path: Path, listed: Sequence[ListedImage]) -> np.ndarray:
    """Read the images of a list and bring them into the form of MNIST, uint8 (n, 28, 28).

    Raises
    ------
    DatasetError
        If any of them cannot be read, shows no ink or not the digit meant, or is another by now.
    """
    images = np.zeros((len(listed), SIDE, SIDE), np.uint8)
    faults = []
    # On a terminal only: in a log a bar is noise.
    # The digits of a page follow each other.
    find_all = lru_cache(maxsize=1)(_find_all)
    for place, image in enumerate(tqdm(listed, desc=path.name, leave=False, disable=None)):
        try:
            images[place] = _read_digit(image, find_all)
        except ImageError as error:
            faults.append(error.message)
    refuse_faulty(path, faults, len(listed))
    return images


def _rows(reader: csv.DictReader, path: Path) -> Iterator[ListedImage]:
    names = [(name or "").strip().lower() for name in reader.fieldnames or []]
    reader.fieldnames = names
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        if reader.line_num > _MOST_IMAGES:
            raise DatasetError(f"{where} is more than can be held; give fewer images")
        if None in row or None in row.values():
            raise DatasetError(f"{where} has not the {len(names)} columns of the header; mend it")
        yield _listed(row, path.parent, where)


def _listed(row: Mapping[str, str], beside: Path, where: str) -> ListedImage:
    name = os.fsencode(row["path"])
    if raw := row.get("path_bytes", ""):
        if not re.fullmatch("0x([0-9a-fA-F]{2})+", raw):
            raise DatasetError(f"{where}: path_bytes {raw!r:.60} is not 0x and hexadecimal digits")
        name = bytes.fromhex(raw[2:])
    if not name:
        raise DatasetError(f"{where}: has no path; say which image it is")
    folder = os.path.join(beside, row.get("folder", ""))  # noqa: PTH118  (pathlib knows no bytes)
    return ListedImage(
        path=os.path.join(os.fsencode(folder), name),  # noqa: PTH118
        label=row["label"].strip(),
        box=_box(row, where),
        content_hash=row.get("content_hash", "").strip().lower(),
    )


def _box(row: Mapping[str, str], where: str) -> tuple[int, ...] | None:
    given = [row.get(name, "").strip() for name in _BOX]
    if not any(given):
        return None
    if not all(re.fullmatch("[0-9]{1,9}", number) for number in given):
        raise DatasetError(f"{where}: x, y, width and height are not whole numbers of pixels")
    return tuple(map(int, given))


def _read_digit(image: ListedImage, find_all: Callable[[bytes], _Several]) -> np.ndarray:
    """Return the digit that a row means, uint8 (28, 28)."""
    if image.box is None:
        read = read_image(image.path)
        digit = normalise(read.pixels)
    else:
        read, digits = find_all(image.path)
        digit = _choose(digits, image.box, read.scale, image.path)
    if image.content_hash not in ("", read.content_hash):
        raise _fault(image.path, "is not the image that the label was given to")
    if digit.blank:
        raise _fault(image.path, "shows no ink")
    return digit.image


def _find_all(path: bytes) -> _Several:
    """Return an image and the digits in it, as scoring several finds them."""
    read = read_image(path)
    return read, [found.digit for found in find_digits(read.pixels)]


def _choose(
    digits: Sequence[NormalisedImage], box: tuple[int, ...], scale: float, path: bytes
) -> NormalisedImage:
    """Return the digit that lies in a box; `scale` is the size of a pixel in the box's px."""
    best = max(digits, key=lambda digit: _overlap(box, digit, scale), default=None)
    if best is None or _overlap(box, best, scale) < _LEAST_OVERLAP:
        raise _fault(path, f"has no digit at {box}")
    return best


def _fault(path: bytes, what: str) -> ImageError:
    return ImageError("not_as_listed", f"{repr(os.fsdecode(path))[1:-1]}: {what}")


def _overlap(box: tuple[int, ...], found: NormalisedImage, scale: float) -> float:
    """Return the share of what two boxes cover that both do."""
    x, y, width, height = box
    left, top = found.x * scale, found.y * scale
    right, bottom = left + found.width * scale, top + found.height * scale
    across = max(min(x + width, right) - max(x, left), 0)
    down = max(min(y + height, bottom) - max(y, top), 0)
    both = across * down
    return both / max(width * height + (right - left) * (bottom - top) - both, 1)
