"""USPS: digits from envelopes, 16×16, as LIBSVM publishes them."""

import bz2
from pathlib import Path

import numpy as np

from digitflow.datasets.mnist_form import bring_to_mnist_form
from digitflow.errors import DatasetError

SIDE = 16  # px

_MAX_TEXT = 256 << 20  # bytes of unpacked text; the larger part has about 26 MB


def load_usps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of USPS in the form of MNIST.

    The digits fill their 16×16 pixels to the rim and are known to be bright on black: so the ink is
    taken as it is and scaled by area, as MNIST's makers did, where `normalise` would look for paper
    around it.

    Parameters
    ----------
    path : Path
        A file of LIBSVM's, packed with bz2: a line is a label, 1 for the digit 0 to 10 for 9, and
        `index:value` for each pixel, -1 for paper to 1 for ink; what is left out is 0.

    Returns
    -------
    images : ndarray of shape (n, 28, 28), uint8
        Ink bright on black.
    labels : ndarray of shape (n,), int64

    Raises
    ------
    DatasetError
        If the file is damaged or holds something else.

    References
    ----------
    J. J. Hull, "A database for handwritten text recognition research", IEEE Transactions on Pattern
    Analysis and Machine Intelligence 16, 1994;
    https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps.
    """
    try:
        with bz2.open(path) as stream:
            text = stream.read(_MAX_TEXT + 1)
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{path}: cannot be read ({why}); replace it") from error
    if len(text) > _MAX_TEXT:
        raise DatasetError(f"{path}: unpacks to over {_MAX_TEXT:,} bytes; replace it")
    lines = text.splitlines()
    ink = np.zeros((len(lines), SIDE**2), np.float32)
    labels = np.empty(len(lines), np.int64)
    for number, line in enumerate(lines):
        try:
            labels[number] = _read_line(line, ink[number])
        except ValueError as error:
            raise DatasetError(
                f"{path}: line {number + 1} is no row of USPS ({str(error)[:80]}); replace it"
            ) from error
    images = np.rint((ink + 1) * 127.5).astype(np.uint8).reshape(-1, SIDE, SIDE)
    return bring_to_mnist_form(images), labels


def _read_line(line: bytes, ink: np.ndarray) -> int:
    """Fill in the ink of an image, (256,) of -1..1, and return the digit."""
    first, *pixels = line.split()
    label = int(first)
    if not 1 <= label <= 10:
        raise ValueError(f"label {label} is not from 1 to 10")
    numbers = np.array(b":".join(pixels).split(b":")).astype(np.float64).reshape(-1, 2)
    index = numbers[:, 0].astype(int) - 1
    if not ((index >= 0) & (index < len(ink))).all():
        raise ValueError(f"a pixel's index is not from 1 to {len(ink)}")
    ink[index] = numbers[:, 1]
    if not (np.abs(ink) <= 1).all():
        raise ValueError("a value is not from -1 to 1")
    return label - 1
