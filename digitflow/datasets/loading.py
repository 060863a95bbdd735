"""A data set by its name: from the cache, or through a mirror into the cache, into arrays."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from digitflow.datasets.catalogue import AUTO, DATASETS, MNIST_WRITERS, DatasetInfo, find_info
from digitflow.datasets.downloading import check_obtainable, fetch_all, is_cached
from digitflow.datasets.formats import read_idx
from digitflow.datasets.small_digits import load_small_digits
from digitflow.errors import DatasetUnavailableError, OutputError, UsageError
from digitflow.settings import data_folder

SPLITS = ("train", "test")

WRITER_COLUMN = 2  # of QMNIST's label rows


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

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)


def load_dataset(name: str = AUTO, split: str = "train") -> Dataset:
    """Load one part of a data set, downloading it into the cache if it is not there.

    Parameters
    ----------
    name : str
        ``"mnist"``, ``"digits"`` (comes with scikit-learn, needs no network), or ``"auto"``: see
        `resolve_dataset`.
    split : str
        ``"train"`` or ``"test"``. No writer of MNIST is in both. Of the small digits the last
        fifth is for the test, because they are stored in the order of their writers.

    Raises
    ------
    UsageError
        If there is no such data set or part.
    DatasetUnavailableError
        If it is neither in the cache nor can be downloaded.
    DatasetError
        If a file is damaged.
    OutputError
        If the cache cannot be written to.
    """
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: unknown; use {' or '.join(SPLITS)}")
    name, note = resolve_dataset(name)
    load = {"mnist": _load_mnist, "digits": _load_digits}[name]
    return replace(load(find_info(name), split), note=note)


def resolve_dataset(name: str) -> tuple[str, str]:
    """Return which data set will be used, and why if it is not the one that was wanted.

    ``"auto"`` means MNIST if it is whole in the cache or can be downloaded, which this does, and
    the small digits otherwise. Being offline costs some seconds to find out: ask once, and load by
    the name that comes back.

    Returns
    -------
    name : str
        Never ``"auto"``.
    note : str
        One line for people, empty if nothing was replaced.

    Raises
    ------
    UsageError
        If there is no such data set.
    """
    if name != AUTO:
        return find_info(name).name, ""
    try:
        _ensure_mnist(DATASETS["mnist"])
    except (DatasetUnavailableError, OutputError) as error:
        return "digits", (
            f"{error}: scikit-learn's 1,797 small digits stand in for MNIST,"
            " figures are not comparable with MNIST"
        )
    return "mnist", ""


def check_dataset(name: str) -> None:
    """Refuse a data set that can be neither loaded nor downloaded, within seconds.

    Nothing is downloaded, so that whoever starts long work can ask this first.

    Raises
    ------
    UsageError
        If there is no such data set.
    DatasetUnavailableError
        If it is not in the cache and none of its mirrors answers.
    """
    if name != AUTO:
        info = find_info(name)
        check_obtainable(info.title, info.files, info.mirrors, data_folder() / info.name)


def digest_of(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of the arrays' content one after the other, the same on every machine."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    return content.hexdigest()


def _load_mnist(info: DatasetInfo, split: str) -> Dataset:
    _ensure_mnist(info)
    prefix = {"train": "train", "test": "t10k"}[split]
    folder = data_folder() / info.name
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", ndim=3)
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", ndim=1)
    writers = _read_mnist_writers(split, len(images))
    source = f"{info.title}, {split}, {info.mirrors[0]} ({info.terms})"
    return _dataset(info, split, images, labels, source, writers)


def _ensure_mnist(info: DatasetInfo) -> None:
    """Bring MNIST into the cache if it is not there, and on that occasion who wrote it."""
    downloaded = fetch_all(info.title, info.files, info.mirrors, data_folder() / info.name)
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


def _load_digits(info: DatasetInfo, split: str) -> Dataset:
    images, labels = load_small_digits()
    boundary = len(images) * 4 // 5
    part = slice(None, boundary) if split == "train" else slice(boundary, None)
    source = f"{info.title}, {split}, sklearn.datasets.load_digits ({info.terms})"
    return _dataset(info, split, images[part], labels[part], source)


def _dataset(
    info: DatasetInfo,
    split: str,
    images: np.ndarray,
    labels: np.ndarray,
    source: str,
    writers: np.ndarray | None = None,
) -> Dataset:
    labels = labels.astype(np.int64)
    for array in (images, labels, writers):
        if array is not None:
            array.flags.writeable = False
    return Dataset(
        name=info.name,
        split=split,
        images=images,
        labels=labels,
        class_names=info.class_names,
        writers=writers,
        digest=digest_of(images, labels),
        source=source,
    )
