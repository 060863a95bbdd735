"""EMNIST: letters and digits, read out of its one zip file without unpacking it to the disk."""

import zipfile
from pathlib import Path

import numpy as np

from digitflow.datasets.formats import read_idx_stream
from digitflow.datasets.mnist_form import bring_to_mnist_form
from digitflow.errors import DatasetError

#: The first label of each part; the others count from 0.
_FIRST_LABEL = {"letters": 1}


def load_emnist(path: Path, part: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of EMNIST in the form of MNIST.

    EMNIST stores its images transposed, 24 px large, centred by their box and slightly blurred.
    Scoring turns every image into the form of MNIST, so this does as well.

    Parameters
    ----------
    path : Path
        The publishers' `gzip.zip`.
    part : str
        ``"letters"``, ``"balanced"`` or ``"digits"``.
    split : str
        ``"train"`` or ``"test"``.

    Returns
    -------
    images : ndarray of shape (n, 28, 28), uint8
        Ink bright on black.
    labels : ndarray of shape (n,), int64
        From 0.

    Raises
    ------
    DatasetError
        If the zip file or what it should hold is damaged.

    References
    ----------
    G. Cohen, S. Afshar, J. Tapson, A. van Schaik, "EMNIST: an extension of MNIST to handwritten
    letters", 2017, https://arxiv.org/abs/1702.05373.
    """
    images = _read_member(path, f"gzip/emnist-{part}-{split}-images-idx3-ubyte.gz", ndim=3)
    labels = _read_member(path, f"gzip/emnist-{part}-{split}-labels-idx1-ubyte.gz", ndim=1)
    upright = bring_to_mnist_form(images.transpose(0, 2, 1))
    return upright, labels.astype(np.int64) - _FIRST_LABEL.get(part, 0)


def _read_member(path: Path, name: str, ndim: int) -> np.ndarray:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            size = archive.getinfo(name).file_size
            return read_idx_stream(file, size, f"{path}: {name}", ndim)
    except KeyError as error:
        raise DatasetError(f"{path}: holds no {name}; replace it") from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        # The last two: packed by an unknown method, or encrypted.
        raise DatasetError(f"{path}: cannot be read ({error}); replace it") from error
