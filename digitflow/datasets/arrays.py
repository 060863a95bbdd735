"""Images and labels out of `.npz` files and out of folders of IDX files."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from digitflow.datasets.formats import MAX_BYTES, read_idx
from digitflow.errors import DatasetError
from digitflow.images.placing import SIDE

Labelled = tuple[np.ndarray, np.ndarray]  # images, uint8 (n, 28, 28), and labels (n,) of any kind

#: The names of the arrays, by part: those of Keras' `mnist.npz`, or one part only.
_KEYS = (
    {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")},
    {"train": ("images", "labels")},
)
_IDX_PREFIXES = {"train": "train", "test": "t10k"}
_READ_HEADER = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


def read_npz(path: Path) -> dict[str, Labelled]:
    """Read `x_train`, `y_train`, `x_test` and `y_test`, or `images` and `labels`, from a file.

    Returns
    -------
    dict
        Images and labels by part, ``"train"`` and, where there is one, ``"test"``.

    Raises
    ------
    DatasetError
        If there are no such arrays in it, they do not fit together, hold Python objects, claim
        over `MAX_BYTES`, or the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
            for parts in _KEYS:
                if {name for pair in parts.values() for name in pair} <= names:
                    return {
                        part: _check(
                            _read_array(archive, images), _read_array(archive, labels), path
                        )
                        for part, (images, labels) in parts.items()
                    }
    except DatasetError:
        raise
    except Exception as error:
        # On hostile bytes zipfile, zlib and numpy raise almost anything.
        why = str(error).partition("\n")[0][:200] or type(error).__name__
        raise DatasetError(f"{path}: cannot be read ({why}); save it again") from error
    found = ", ".join(sorted(names)[:8]) or "nothing"
    raise DatasetError(
        f"{path}: holds {found:.200}; name the arrays x_train, y_train, x_test and y_test,"
        " or images and labels"
    )


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read an array, its header checked before anything is allocated for the content."""
    member = archive.getinfo(f"{name}.npy")
    # zipfile unpacks the other methods without a limit.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed by method {member.compress_type}")
    with archive.open(member) as stream:
        version = npy_format.read_magic(stream)
        if version not in _READ_HEADER:
            raise ValueError(f"{name} is in version {version} of the npy format")
        shape, is_fortran, dtype = _READ_HEADER[version](stream)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, which could run code")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if size > min(MAX_BYTES, member.file_size):
            raise ValueError(f"{name} claims {size:,} bytes, more than there are or may be")
        # One byte more than expected reaches the end, and with it zip's checksum.
        content = stream.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} has {len(content):,} bytes instead of {size:,}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")


def is_idx_folder(folder: Path) -> bool:
    """Tell whether a folder holds MNIST's training files, by their names."""
    return _find_idx(folder, "train-images", 3) is not None


def read_idx_folder(folder: Path) -> dict[str, Labelled]:
    """Read MNIST's four files or others of their names, packed with gzip or not.

    Returns
    -------
    dict
        As of `read_npz`; without ``"test"`` where neither of the two `t10k` files is there.

    Raises
    ------
    DatasetError
        If a file is missing, damaged, or not what its name says.
    """
    parts = {}
    for part, prefix in _IDX_PREFIXES.items():
        images = _find_idx(folder, f"{prefix}-images", 3)
        labels = _find_idx(folder, f"{prefix}-labels", 1)
        if images and labels:
            parts[part] = _check(read_idx(images, ndim=3), read_idx(labels, ndim=1), folder)
        elif images or labels or part == "train":
            missing = "labels-idx1-ubyte" if images else "images-idx3-ubyte"
            raise DatasetError(f"{folder}: has no {prefix}-{missing}; put it there")
    return parts


def _find_idx(folder: Path, name: str, ndim: int) -> Path | None:
    # With a dot where an archive program took it for the end of the name.
    names = [f"{name}{sign}idx{ndim}-ubyte{end}" for sign in "-." for end in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _check(images: np.ndarray, labels: np.ndarray, path: Path) -> Labelled:
    are_rows = images.ndim > 1 and labels.ndim > 0 and len(images) > 0
    if not are_rows or len(images) != len(labels):
        raise DatasetError(
            f"{path}: images of shape {images.shape} and labels of shape {labels.shape};"
            " give one label for each image"
        )
    if images.shape[1:] not in {(SIDE, SIDE), (SIDE, SIDE, 1), (SIDE * SIDE,)}:
        raise DatasetError(
            f"{path}: images have shape {images.shape}, not (n, {SIDE}, {SIDE}); images of other"
            " sizes are taken from a folder of class folders"
        )
    return _as_bytes(images, path).reshape(-1, SIDE, SIDE), labels


def _as_bytes(images: np.ndarray, path: Path) -> np.ndarray:
    """Return pixels as uint8; nowhere above 1 means that they are from 0 to 1."""
    if images.dtype.kind not in "biuf":
        raise DatasetError(f"{path}: pixels are {images.dtype}; give numbers")
    if images.dtype == np.uint8 and images.max() > 1:
        return images
    # Written so that NaN fails.
    if not (images.min() >= 0 and images.max() <= 255):
        raise DatasetError(f"{path}: a pixel is not from 0 to 255; scale them to that, or to 0..1")
    return np.rint(images * np.float32(255 if images.max() <= 1 else 1)).astype(np.uint8)
