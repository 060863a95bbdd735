"""A data set by its name, from the cache or by download, or by its path, into arrays."""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from digitflow.datasets.catalogue import (
    AUTO,
    DATASETS,
    MNIST_DISPUTED,
    MNIST_WRITERS,
    DatasetInfo,
    find_info,
)
from digitflow.datasets.downloading import check_obtainable, fetch_all, is_cached
from digitflow.datasets.emnist import load_emnist
from digitflow.datasets.formats import read_idx
from digitflow.datasets.own_data import check_own, load_own, name_of
from digitflow.datasets.small_digits import load_small_digits
from digitflow.datasets.usps import load_usps
from digitflow.errors import DatasetUnavailableError, OutputError, UsageError
from digitflow.settings import data_folder

SPLITS = ("train", "test")

CLASS_COLUMN, WRITER_COLUMN = 0, 2  # of QMNIST's label rows


# Arrays have no truth value to compare by; two data sets are the same if their digests are.
@dataclass(frozen=True, eq=False)
class Dataset:
    """Images, what they show, and where they come from. The arrays are not writeable."""

    name: str
    split: str  # "train" or "test"
    images: np.ndarray = field(repr=False)  # (n, 28, 28), uint8, ink bright on black
    labels: np.ndarray = field(repr=False)  # (n,), int64, indices into class_names
    class_names: tuple[str, ...]
    writers: np.ndarray | None = field(repr=False)  # (n,), int32, where they are known
    digest: str  # SHA-256 of images and labels, 64 hexadecimal digits
    source: str  # one line: what it is and whence
    note: str = ""  # why it stands in for another data set, if it does
    # (m,), int64, ascending: the images whose label is known to be disputed
    disputed: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64), repr=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)


def load_dataset(name: str | Path = AUTO, split: str = "train") -> Dataset:
    """Load one part of a data set, downloading it into the cache if it is not there.

    Parameters
    ----------
    name : str or Path
        One of the catalogue:

        - ``"mnist"``: 60,000 and 10,000 digits, with their writers where the cache knows them;
        - ``"qmnist"``: the same 60,000 digits made anew, and 60,000 for the test, of which the
          first 10,000 are MNIST's; with writers;
        - ``"emnist-letters"`` (26 classes), ``"emnist-balanced"`` (47), ``"emnist-digits"`` (10)
          and ``"usps"``, brought into the form of MNIST;
        - ``"digits"``: comes with scikit-learn, needs no network;
        - ``"auto"``: see `resolve_dataset`;

        or the path of a data set of one's own, which a Path always is, and a string where it is no
        name of the catalogue: a folder of class folders (``7/scan.png``, or ``train/7/scan.png``
        and ``test/7/scan.png``) with images of any size and light, a `.csv` as Kaggle lays it out
        (label and 784 pixels), a `.csv` list of images and labels, by hand or from `digitflow
        review` (see `digitflow.datasets.image_lists`), a `.npz` (``x_train``, ``y_train``,
        ``x_test``, ``y_test``, or ``images`` and ``labels``), or a folder with IDX files of MNIST's
        names. Labels may be numbers or words.
    split : str
        ``"train"`` or ``"test"``. No writer of MNIST is in both. Of the small digits the last
        fifth is for the test, because they are stored in the order of their writers; of a path
        without a test part a fifth of each class, always the same, which `source` says.

    Raises
    ------
    UsageError
        If there is no such data set or part.
    DatasetUnavailableError
        If it is neither in the cache nor can be downloaded.
    DatasetError
        If a file is damaged, or an image of a class folder cannot be used.
    OutputError
        If the cache cannot be written to.
    """
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: unknown; use {' or '.join(SPLITS)}")
    if path := _as_path(name):
        part = load_own(path, split)
        source = f"{part.description} (data of one's own)"
        return _dataset(name_of(path), split, part.images, part.labels, part.class_names, source)
    name, note = resolve_dataset(name)
    info = find_info(name)
    images, labels, writers, disputed = _LOADERS[name](info, split)
    origin = info.mirrors[0] if info.mirrors else "sklearn.datasets.load_digits"
    source = f"{info.title}, {split}, {origin} ({info.terms})"
    dataset = _dataset(name, split, images, labels, info.class_names, source, writers)
    return replace(dataset, note=note, disputed=_read_only(np.array(disputed, np.int64)))


def resolve_dataset(name: str | Path) -> tuple[str, str]:
    """Return which data set will be used, and why if it is not the one that was wanted.

    ``"auto"`` means MNIST if it is whole in the cache or can be downloaded, which this does, and
    the small digits otherwise. Being offline costs some seconds to find out: ask once, and load by
    the name that comes back.

    Returns
    -------
    name : str
        Never ``"auto"``; of a data set of one's own the absolute path.
    note : str
        One line for people, empty if nothing was replaced.

    Raises
    ------
    UsageError
        If there is no such data set.
    """
    if path := _as_path(name):
        return os.fspath(path.absolute()), ""
    if name != AUTO:
        return find_info(str(name)).name, ""
    try:
        _ensure_mnist(DATASETS["mnist"])
    except (DatasetUnavailableError, OutputError) as error:
        return "digits", (
            f"{error}: scikit-learn's 1,797 small digits stand in for MNIST,"
            " figures are not comparable with MNIST"
        )
    return "mnist", ""


def short_name(name: str | Path) -> str:
    """Return what a data set, given by name or path, is called, and a model of it by default.

    Raises
    ------
    UsageError
        If there is no such data set in the catalogue.
    """
    if path := _as_path(name):
        return name_of(path)
    return AUTO if name == AUTO else find_info(str(name)).name


def check_dataset(name: str | Path) -> None:
    """Refuse a data set that can be neither loaded nor downloaded, within seconds.

    Nothing is downloaded, and no image is read, so that whoever starts long work can ask this
    first.

    Raises
    ------
    UsageError
        If there is no such data set.
    DatasetUnavailableError
        If it is not in the cache and none of its mirrors answers.
    DatasetError
        If a folder of one's own is no folder of class folders.
    """
    if path := _as_path(name):
        check_own(path)
    elif name != AUTO:
        info = find_info(str(name))
        check_obtainable(info.title, info.files, info.mirrors, data_folder() / info.folder)


def _as_path(name: str | Path) -> Path | None:
    """Return the path if one was given: a name of the catalogue comes first."""
    if isinstance(name, Path):
        return name
    if name == AUTO or name in DATASETS:
        return None
    path = Path(name)
    # An empty name is no path, though Path takes it for the current folder.
    looks_like_one = os.sep in name or bool(path.suffix) or path.exists()
    return path if name and looks_like_one else None


def digest_of(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of the arrays' content one after the other, the same on every machine."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    return content.hexdigest()


# What a loader returns: images, labels, writers where they are known, indices of disputed labels.
_Loaded = tuple[np.ndarray, np.ndarray, np.ndarray | None, Sequence[int]]


def _load_mnist(info: DatasetInfo, split: str) -> _Loaded:
    _ensure_mnist(info)
    prefix = {"train": "train", "test": "t10k"}[split]
    folder = data_folder() / info.folder
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", ndim=3)
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", ndim=1)
    return images, labels, _read_mnist_writers(split, len(images)), _disputed(split)


def _disputed(split: str) -> Sequence[int]:
    return MNIST_DISPUTED if split == "test" else ()


def _ensure_mnist(info: DatasetInfo) -> None:
    """Bring MNIST into the cache if it is not there, and on that occasion who wrote it."""
    downloaded = fetch_all(info.title, info.files, info.mirrors, data_folder() / info.folder)
    if downloaded:
        extra = MNIST_WRITERS
        with suppress(DatasetUnavailableError, OutputError):
            fetch_all(extra.title, extra.files, extra.mirrors, data_folder() / extra.name)


def _read_mnist_writers(split: str, n: int) -> np.ndarray | None:
    """Return the writer of each image, (n,) int32, if the cache knows."""
    file = {"train": MNIST_WRITERS.files[0], "test": MNIST_WRITERS.files[1]}[split]
    folder = data_folder() / MNIST_WRITERS.name
    try:
        known = is_cached(file, folder)
    except DatasetUnavailableError:
        known = False
    if not known:
        return None
    # The test file goes on, with digits that are not part of MNIST.
    return read_idx(folder / file.name, ndim=2)[:n, WRITER_COLUMN].copy()


def _load_qmnist(info: DatasetInfo, split: str) -> _Loaded:
    folder = _fetched(info)
    images = read_idx(folder / f"qmnist-{split}-images-idx3-ubyte.gz", ndim=3)
    rows = read_idx(folder / f"qmnist-{split}-labels-idx2-int.gz", ndim=2)
    writers = rows[:, WRITER_COLUMN].astype(np.int32)
    # The first 10,000 of the test part are MNIST's, with its labels.
    return images, rows[:, CLASS_COLUMN], writers, _disputed(split)


def _load_emnist(info: DatasetInfo, split: str) -> _Loaded:
    path = _fetched(info) / info.files[0].name
    return *load_emnist(path, info.name.removeprefix("emnist-"), split), None, ()


def _load_usps(info: DatasetInfo, split: str) -> _Loaded:
    file = info.files[SPLITS.index(split)]
    return *load_usps(_fetched(info) / file.name), None, ()


def _load_digits(info: DatasetInfo, split: str) -> _Loaded:
    images, labels = load_small_digits()
    boundary = len(images) * 4 // 5
    part = slice(None, boundary) if split == "train" else slice(boundary, None)
    return images[part], labels[part], None, ()


_LOADERS: dict[str, Callable[[DatasetInfo, str], _Loaded]] = {
    "mnist": _load_mnist,
    "digits": _load_digits,
    "qmnist": _load_qmnist,
    "emnist-letters": _load_emnist,
    "emnist-balanced": _load_emnist,
    "emnist-digits": _load_emnist,
    "usps": _load_usps,
}


def _fetched(info: DatasetInfo) -> Path:
    """Bring a data set into the cache if it is not there, and return its folder."""
    folder = data_folder() / info.folder
    fetch_all(info.title, info.files, info.mirrors, folder)
    return folder


def _dataset(
    name: str,
    split: str,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    source: str,
    writers: np.ndarray | None = None,
) -> Dataset:
    labels = labels.astype(np.int64)
    return Dataset(
        name=name,
        split=split,
        images=_read_only(images),
        labels=_read_only(labels),
        class_names=class_names,
        writers=None if writers is None else _read_only(writers),
        digest=digest_of(images, labels),
        source=source,
    )


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
