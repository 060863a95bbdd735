"""Arrays out of an npz file that may be hostile: no pickle, and no more memory than was agreed."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.lib import format as npy_format

from digitflow.errors import BundleError


def read_npz(content: bytes, rows: Mapping[str, np.dtype], most_rows: int) -> list[np.ndarray]:
    """Read arrays of equally many rows.

    Parameters
    ----------
    content : bytes
        The npz file.
    rows : mapping of str to dtype
        The arrays to read, and of what type and shape each of their rows must be: for rows of two
        numbers ``np.dtype((np.float32, (2,)))``.
    most_rows : int
        How many rows an array may have; it must have one.

    Returns
    -------
    list of ndarray
        In the order of `rows`; not writeable.

    Raises
    ------
    BundleError
        If there are no such arrays in it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = [_read_array(archive, name, row, most_rows) for name, row in rows.items()]
        if len({len(array) for array in arrays}) > 1:
            named = zip(rows, arrays, strict=True)
            numbers = ", ".join(f"{len(array)} {name}" for name, array in named)
            raise ValueError(f"not equally many rows: {numbers}")
    except Exception as error:
        # On hostile bytes zipfile, zlib and numpy raise almost anything: RuntimeError,
        # NotImplementedError, SyntaxError, TokenError, MemoryError, an error of their own.
        why = str(error).partition("\n")[0][:200] or type(error).__name__
        raise BundleError(f"cannot be read ({why}); the file is damaged") from error
    return arrays


def _read_array(archive: zipfile.ZipFile, name: str, row: np.dtype, most_rows: int) -> np.ndarray:
    """Read an array, its header checked before anything is allocated for the rows."""
    member = archive.getinfo(f"{name}.npy")
    # zipfile unpacks the other methods without a limit.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed by method {member.compress_type}")
    with archive.open(member) as stream:
        if (version := npy_format.read_magic(stream)) != (1, 0):
            raise ValueError(f"{name} is in version {version} of the npy format, not (1, 0)")
        shape, is_fortran, dtype = npy_format.read_array_header_1_0(stream)
        if dtype != row.base or shape[1:] != row.shape or not 1 <= shape[0] <= most_rows:
            raise ValueError(
                f"{name} is {dtype} {shape}, not {row.base} of 1 to {most_rows} rows {row.shape}"
            )
        size = shape[0] * row.itemsize
        # One byte more than expected reaches the end, and with it zip's checksum.
        data = stream.read(size + 1)
    if len(data) != size:
        raise ValueError(f"{name} has {len(data)} bytes instead of {size}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")
