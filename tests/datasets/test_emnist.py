import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import drawn, idx, packed_idx, write_zip

from digitflow.datasets.emnist import load_emnist
from digitflow.errors import DatasetError

IMAGES = drawn(6)
LABELS = np.array([1, 26, 3, 3, 2, 1], np.uint8)
MEMBERS = {
    "gzip/emnist-letters-train-images-idx3-ubyte.gz": packed_idx(
        np.ascontiguousarray(IMAGES.transpose(0, 2, 1))
    ),
    "gzip/emnist-letters-train-labels-idx1-ubyte.gz": packed_idx(LABELS),
    "gzip/emnist-digits-test-images-idx3-ubyte.gz": packed_idx(IMAGES),
    "gzip/emnist-digits-test-labels-idx1-ubyte.gz": packed_idx(LABELS),
    "../outside.txt": b"never touched",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_zip(tmp_path / "gzip.zip", MEMBERS)
    return tmp_path / "gzip.zip"


def test_letters_are_upright_and_count_from_nought(path: Path) -> None:
    images, labels = load_emnist(path, "letters", "train")
    np.testing.assert_array_equal(images, IMAGES)
    assert (images.dtype, images.flags.c_contiguous) == (np.uint8, True)
    assert (labels.tolist(), labels.dtype) == ([0, 25, 2, 2, 1, 0], np.int64)


def test_the_other_parts_count_from_nought_already(path: Path) -> None:
    images, labels = load_emnist(path, "digits", "test")
    np.testing.assert_array_equal(labels, LABELS)
    assert not np.array_equal(images, IMAGES)
    assert images.shape == IMAGES.shape


def test_nothing_is_unpacked_to_the_disk(path: Path) -> None:
    load_emnist(path, "letters", "train")
    assert [entry.name for entry in path.parent.iterdir()] == ["gzip.zip"]


IMAGE_MEMBER = "gzip/emnist-letters-train-images-idx3-ubyte.gz"
BROKEN_MEMBERS = {
    "cut off": (MEMBERS[IMAGE_MEMBER][:-20], "cannot be read"),
    "no IDX": (gzip.compress(b"P5 28 28 255" + bytes(99)), "is not an IDX file"),
    "a bomb": (gzip.compress(idx(IMAGES) + bytes(10_000_000)), "more bytes of content"),
    "empty": (b"", "ends within the header"),
}


@pytest.mark.parametrize(("content", "fault"), BROKEN_MEMBERS.values(), ids=BROKEN_MEMBERS)
def test_refuses_a_damaged_member(path: Path, content: bytes, fault: str) -> None:
    write_zip(path, MEMBERS | {IMAGE_MEMBER: content})
    with pytest.raises(DatasetError, match=fault) as caught:
        load_emnist(path, "letters", "train")
    assert str(caught.value).startswith(f"{path}: {IMAGE_MEMBER}: ")
    assert "\n" not in str(caught.value)


def test_refuses_a_zip_file_that_is_none_or_holds_something_else(path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no gzip/emnist-balanced-train-images"):
        load_emnist(path, "balanced", "train")
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(DatasetError, match="File is not a zip file"):
        load_emnist(path, "letters", "train")
    with pytest.raises(DatasetError, match="No such file"):
        load_emnist(path.with_name("absent.zip"), "letters", "train")


def test_refuses_flipped_bytes_or_reads_the_same(path: Path) -> None:
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(IMAGE_MEMBER).compress_size
    for place in range(0, size, 7):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            images, _ = load_emnist(path, "letters", "train")
        except DatasetError:
            continue
        np.testing.assert_array_equal(images, IMAGES)
