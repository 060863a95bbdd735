import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from digitflow.datasets.formats import read_idx
from digitflow.errors import DatasetError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + array.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reads_bytes_and_integers(tmp_path: Path, pack: type[bytes]) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(idx(IMAGES)))
    images = read_idx(path, ndim=3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, IMAGES)
    assert not images.flags.writeable
    rows = np.array([[1, -2], [70_000, 4]])
    path.write_bytes(pack(idx(rows.astype(">i4"), code=0x0C)))
    read = read_idx(path, ndim=2)
    assert read.dtype == np.int32
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, rows)


def test_reads_a_file_without_images(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(idx(np.zeros((0, 28, 28), np.uint8)))
    assert read_idx(path, ndim=3).shape == (0, 28, 28)


GOOD = idx(IMAGES)
PACKED = gzip.compress(GOOD)
HUGE = struct.pack(">HBB3I", 0, 8, 3, *(3 * [2**32 - 1]))
FAULTS = {
    "nothing": (b"", "ends within the header"),
    "half a header": (GOOD[:10], "ends within the header"),
    "not IDX": (b"P5 28 28 255\n" + bytes(99), "is not an IDX file"),
    "unknown type": (b"\0\0\x0d\3" + GOOD[4:], "is not an IDX file"),
    "other dimensions": (b"\0\0\x08\2" + GOOD[4:], "has 2 dimensions, not 3"),
    "too short": (GOOD[:-1], "claims 24 bytes|23 bytes of content"),
    "too long": (GOOD + b"\0", "more bytes of content where the header says 24"),
    "short, packed": (gzip.compress(GOOD[:-1]), "23 bytes of content where the header says 24"),
    "long, packed": (gzip.compress(GOOD + b"\0"), "more bytes of content"),
    "two packed": (PACKED + PACKED, "more bytes of content"),
    "rubbish after": (PACKED + b"rubbish", "cannot be read"),
    "cut, packed": (PACKED[:-9], "cannot be read"),
    "wrong checksum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "CRC check failed"),
    "damaged, packed": (PACKED[:12] + b"\xff\xff\xff" + PACKED[15:], "cannot be read"),
    "huge": (HUGE + bytes(99), "cannot hold that"),
    "huge, packed": (gzip.compress(HUGE), "cannot hold that"),
    "bomb": (gzip.compress(GOOD + bytes(10_000_000)), "more bytes of content"),
}


@pytest.mark.parametrize(("content", "fault"), FAULTS.values(), ids=FAULTS)
def test_refuses(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=fault) as caught:
        read_idx(path, ndim=3)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_refuses_every_truncation(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for whole in (GOOD, PACKED):
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(DatasetError):
                read_idx(path, ndim=3)


def test_names_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        read_idx(tmp_path / "absent", ndim=1)
    with pytest.raises(DatasetError, match="Is a directory"):
        read_idx(tmp_path, ndim=1)
