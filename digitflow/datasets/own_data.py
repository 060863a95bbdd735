"""Data sets of one's own, by their path: class folders, CSV, `.npz`, IDX files, image lists."""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from digitflow.datasets.arrays import is_idx_folder, read_idx_folder, read_npz
from digitflow.datasets.catalogue import AUTO, DATASETS
from digitflow.datasets.classes import index_labels, list_classes, name_labels
from digitflow.datasets.image_folders import ListedImages, list_image_folder, read_images
from digitflow.datasets.image_lists import (
    ListedImage,
    is_image_list,
    read_image_list,
    read_listed_images,
)
from digitflow.datasets.splitting import split_by_writer
from digitflow.datasets.tables import read_csv
from digitflow.errors import DatasetError, UsageError
from digitflow.images.normalising import normalise_batch

#: Where there is only one part, this share of each class is held out for the test.
TEST_FRACTION = 0.2

#: The kinds, as descriptions call them.
_IMAGES, _CSV, _NPZ, _IDX = "image folder", "CSV file", "npz file", "IDX folder"
_LIST = "image list"

_LONGEST_NAME = 60  # characters


@dataclass(frozen=True)
class OwnPart:
    """One part of a data set of one's own."""

    images: np.ndarray  # (n, 28, 28), uint8, ink bright on black
    labels: np.ndarray  # (n,), int64, indices into class_names
    class_names: tuple[str, ...]
    description: str  # one line: what it is, and what was done to it


def name_of(path: Path) -> str:
    """Return what a data set of one's own, and a model of it, is called: after file or folder.

    Only letters, digits, `.`, `_` and `-` are left of the path's last part, and the name is none of
    the catalogue's.
    """
    stem = re.sub(r"(\.csv|\.npz|\.gz)+$", "", path.absolute().name, flags=re.IGNORECASE)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:_LONGEST_NAME] or "images"
    return f"own-{name}" if name in {AUTO, *DATASETS} else name


def check_own(path: Path) -> None:
    """Refuse a path that holds no data set, without reading more than names.

    Raises
    ------
    UsageError
        If there is nothing, or nothing of a known kind.
    DatasetError
        If a folder is no folder of class folders.
    """
    if _kind_of(path) == _IMAGES:
        list_image_folder(path)


def load_own(path: Path, split: str) -> OwnPart:
    """Load one part of a data set of one's own.

    Where it has one part only, a fifth of each class, always the same, is held out for the test.
    The training part decides which classes there are. What was read last is remembered as long as
    neither it nor anything in the folder changes.

    Parameters
    ----------
    path : Path
        A folder of class folders, `.csv`, `.csv.gz` or `.npz` file, a folder of IDX files, or a
        list of images (`image_lists`) as `.csv` or `.csv.gz`.
    split : str
        ``"train"`` or ``"test"``.

    Raises
    ------
    UsageError
        If there is nothing of a known kind, or too little to split.
    DatasetError
        If it cannot be used as it is.
    """
    kind = _kind_of(path)
    try:
        return _load(path.resolve(), kind, split, _state_of(path.resolve(), kind))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise DatasetError(f"{path}: does not fit into memory; give less") from error


@lru_cache(maxsize=2)
def _load(path: Path, kind: str, split: str, state: str) -> OwnPart:
    stored, remarks = _open(path, kind)
    classes = list_classes(stored["train"].names, str(path))
    part = stored.get(split, stored["train"])
    indices = np.arange(len(part.names))
    if "test" not in stored:
        indices = _hold_out(part.names, split, path)
        remarks.append(f"the test part is a fixed {TEST_FRACTION:.0%} of each class")
    labels = index_labels(part.names[indices], classes, str(path))
    images, more_remarks = part.read(indices)
    description = "; ".join([f"{kind} {path.name!r}, {split}", *remarks, *more_remarks])
    return OwnPart(images, labels, classes, description)


@dataclass(frozen=True)
class _StoredPart:
    """A part whose labels are known and whose images can be had."""

    names: np.ndarray  # (n,) str, the class of each image
    read: Callable[[np.ndarray], tuple[np.ndarray, list[str]]]  # indices -> images, remarks


def _open(path: Path, kind: str) -> tuple[dict[str, _StoredPart], list[str]]:
    """Return the parts by name, and what there is to say of them."""
    if kind == _IMAGES:
        listed, left_out = list_image_folder(path)
        return {
            part: _StoredPart(name_labels(images.labels, str(path)), partial(_read, path, images))
            for part, images in listed.items()
        }, ([f"left out: {', '.join(map(repr, left_out)):.200}"] if left_out else [])
    if kind == _LIST:
        rows, n_others = read_image_list(path)
        names = name_labels(np.array([row.label for row in rows], str), str(path))
        remarks = [f"{n_others:,} rows without a label left out"] if n_others else []
        return {"train": _StoredPart(names, partial(_read_listed, path, rows))}, remarks
    read = {_CSV: lambda path: {"train": read_csv(path)}, _NPZ: read_npz, _IDX: read_idx_folder}
    return {
        part: _StoredPart(name_labels(labels, str(path)), partial(_choose, images))
        for part, (images, labels) in read[kind](path).items()
    }, []


def _read(root: Path, listed: ListedImages, indices: np.ndarray) -> tuple[np.ndarray, list[str]]:
    return read_images(root, [listed.paths[index] for index in indices]), []


def _read_listed(
    path: Path, rows: list[ListedImage], indices: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    return read_listed_images(path, [rows[index] for index in indices]), []


def _choose(images: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return some images; dark ink on white turned where they are in the form of MNIST."""
    turned, done = normalise_batch(images[indices])
    if done.all():
        return turned, []
    return turned, [
        f"{np.count_nonzero(~done):,} of {len(done):,} images are not in the form of MNIST and are"
        " taken as they are, though scoring brings every image into it"
    ]


def _hold_out(names: np.ndarray, split: str, path: Path) -> np.ndarray:
    try:
        train, test, _ = split_by_writer(names, None, TEST_FRACTION, seed=0)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return train if split == "train" else test


def _kind_of(path: Path) -> str:
    try:
        if path.is_dir():
            return _IDX if is_idx_folder(path) else _IMAGES
        name = path.name.lower().removesuffix(".gz")
        if path.is_file() and name.endswith((".csv", ".npz")):
            if name.endswith(".npz"):
                return _NPZ
            return _LIST if is_image_list(path) else _CSV
        found = "is not a data set" if path.exists() else "no such file or folder"
    except OSError as error:
        found = error.strerror or str(error)
    raise UsageError(
        f"{str(path)!r:.300}: {found}; give a folder of class folders such as 7/scan.png, a folder"
        " of IDX files, a .csv or a .npz"
    )


def _state_of(path: Path, kind: str) -> str:
    """Return what changes with any of the files: names, sizes and times."""
    state = hashlib.sha256()
    places: Sequence[Path | bytes] = sorted(path.rglob("*")) if path.is_dir() else [path]
    if kind == _LIST:
        places = [path, *(image.path for image in read_image_list(path)[0])]
    for place in places:
        with suppress(OSError, ValueError):  # reading it says what is wrong
            facts = os.lstat(place)
            state.update(f"{os.fspath(place)!r} {facts.st_size} {facts.st_mtime_ns}".encode())
    return state.hexdigest()
