import bz2
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import libsvm

from digitflow.datasets import usps
from digitflow.datasets.usps import load_usps
from digitflow.errors import DatasetError
from digitflow.images.normalising import normalise_batch

# An L and its mirror image, filling the 16 pixels to the rim.
L = np.full((16, 16), -1.0)
L[:, 2:5] = L[13:, 2:14] = 1
IMAGES = np.stack([L, L[:, ::-1], 0.5 * (L + 1) - 1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "usps.bz2").write_bytes(libsvm(IMAGES, [1, 10, 8]))
    return tmp_path / "usps.bz2"


def test_label_l_is_the_digit_l_minus_1(path: Path) -> None:
    images, labels = load_usps(path)
    assert (labels.tolist(), labels.dtype) == ([0, 9, 7], np.int64)
    assert (images.shape, images.dtype) == ((3, 28, 28), np.uint8)


def test_the_images_have_the_form_of_mnist(path: Path) -> None:
    images, _ = load_usps(path)
    unchanged, done = normalise_batch(images)
    assert done.all()
    np.testing.assert_array_equal(unchanged, images)
    # Upright: the foot of the L is below, its stem on the left, and paper is black.
    rows, columns = np.flatnonzero(images[0].any(axis=1)), np.flatnonzero(images[0].any(axis=0))
    assert len(rows) == 20
    assert len(columns) in (15, 16)
    assert images[0][rows[-1], columns[-1]] > 0
    assert images[0][rows[0], columns[-1]] == 0
    assert images[1][rows[0]].any()
    # Half the ink everywhere is the same digit in a fainter pen.
    np.testing.assert_array_equal(images[2], images[0])


def test_pixels_left_out_are_0(path: Path) -> None:
    path.write_bytes(bz2.compress(b"3 1:1 256:1\n"))
    images, labels = load_usps(path)
    assert labels.tolist() == [2]
    # 0 is half ink: a grey sheet with two black corners.
    assert 100 < np.median(images[0][5:24, 5:24]) < 150


FAULTS = {
    "no bz2": (b"1 1:1\n", "Invalid data stream"),
    "cut off": (libsvm(IMAGES, [1, 2, 3])[:-10], "cannot be read"),
    "label 0": (bz2.compress(b"0 1:1\n"), "line 1 is no row of USPS .label 0"),
    "label 11": (bz2.compress(b"1 1:1\n11 1:1\n"), "line 2 is no row of USPS .label 11"),
    "a word": (bz2.compress(b"seven 1:1\n"), "line 1 is no row"),
    "an empty line": (bz2.compress(b"1 1:1\n\n"), "line 2 is no row"),
    "pixel 257": (bz2.compress(b"1 257:1\n"), "index is not from 1 to 256"),
    "pixel 0": (bz2.compress(b"1 0:1\n"), "index is not from 1 to 256"),
    "too bright": (bz2.compress(b"1 1:1.5\n"), "value is not from -1 to 1"),
    "no number": (bz2.compress(b"1 1:nan\n"), "value is not from -1 to 1"),
    "half a pair": (bz2.compress(b"1 1:1 2\n"), "line 1 is no row"),
}


@pytest.mark.parametrize(("content", "fault"), FAULTS.values(), ids=FAULTS)
def test_refuses(path: Path, content: bytes, fault: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=fault) as caught:
        load_usps(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usps, "_MAX_TEXT", 1000)
    path.write_bytes(bz2.compress(bytes(1_000_000)))
    with pytest.raises(DatasetError, match="unpacks to over 1,000 bytes"):
        load_usps(path)
