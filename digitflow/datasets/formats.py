"""Files into arrays, strictly: a file is read as what it claims to be, or refused."""

import gzip
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from digitflow.errors import DatasetError

#: The types of IDX that MNIST and its relatives use, by code.
IDX_TYPES: dict[int, np.dtype] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}

MAX_BYTES = 1 << 30  # of unpacked content; EMNIST's largest file has 547 MB
MAX_EXPANSION = 1100  # DEFLATE packs to no less than 1/1032
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read an IDX file, packed with gzip or not.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        How many dimensions it must have.

    Returns
    -------
    ndarray of `ndim` dimensions, uint8 or int32
        Not writeable.

    Raises
    ------
    DatasetError
        If the file is not IDX of a known type, has another number of dimensions, is longer or
        shorter than it says, or is damaged.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File
    formats".
    """
    try:
        with path.open("rb") as file:
            return read_idx_stream(file, path.stat().st_size, str(path), ndim)
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror or error}); replace it"
        ) from error


def read_idx_stream(file: IO[bytes], size: int, path: str, ndim: int) -> np.ndarray:
    """Read IDX as `read_idx` does, from an open file.

    Parameters
    ----------
    file : binary file
        At its beginning; it can seek.
    size : int
        Of the file, bytes.
    path : str
        What messages call it.
    ndim : int
        How many dimensions it must have.
    """
    try:
        packed = file.read(2) == GZIP_MAGIC
        largest = min(MAX_BYTES, size * (MAX_EXPANSION if packed else 1))
        file.seek(0)
        if not packed:
            return _read_stream(file, path, ndim, largest)
        with gzip.open(file) as stream:
            return _read_stream(stream, path, ndim, largest)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DatasetError(f"{path}: cannot be read ({why}); replace it") from error


def _read_stream(
    stream: IO[bytes] | gzip.GzipFile, path: str, ndim: int, largest: int
) -> np.ndarray:
    head = stream.read(4 + 4 * ndim)
    if len(head) < 4 + 4 * ndim:
        raise DatasetError(f"{path}: ends within the header; replace it")
    zeros, code, dimensions = struct.unpack(">HBB", head[:4])
    if zeros or code not in IDX_TYPES:
        raise DatasetError(f"{path}: is not an IDX file (begins with {head[:4].hex()}); replace it")
    if dimensions != ndim:
        raise DatasetError(f"{path}: has {dimensions} dimensions, not {ndim}; use another file")
    shape = struct.unpack(f">{ndim}I", head[4:])
    dtype = IDX_TYPES[code]
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > largest:
        raise DatasetError(f"{path}: claims {n_bytes:,} bytes, it cannot hold that; replace it")
    # One byte more than expected reaches the end of the file, and with it gzip's checksum.
    content = stream.read(n_bytes + 1)
    if len(content) != n_bytes:
        found = f"{len(content):,}" if len(content) < n_bytes else "more"
        raise DatasetError(
            f"{path}: {found} bytes of content where the header says {n_bytes:,}; replace it"
        )
    array = np.frombuffer(content, dtype).reshape(shape)
    array = array.astype(dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array
