import gzip
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import csv_text, drawn

from digitflow.datasets import tables
from digitflow.datasets.tables import read_csv
from digitflow.errors import DatasetError

IMAGES = drawn(5)
LABELS = ["7", "0", "7", "3", "12"]
ROW = ",".join(["0"] * 784)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reads_what_kaggle_lays_out(path: Path, header: bool, pack: type[bytes]) -> None:
    path.write_bytes(pack(csv_text(IMAGES, LABELS, header).encode()))
    images, labels = read_csv(path)
    np.testing.assert_array_equal(images, IMAGES)
    assert images.dtype == np.uint8
    assert labels.tolist() == LABELS


def test_labels_may_be_words(path: Path) -> None:
    path.write_text(csv_text(IMAGES, ["A", "b", "ß", "A", "x y"], header=False))
    images, labels = read_csv(path)
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == ["A", "b", "ß", "A", "x y"]


def test_takes_what_other_programs_write(path: Path) -> None:
    text = csv_text(IMAGES, [f'"{label}"' for label in LABELS]).replace("\n", "\r\n\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace(",0", ", 0.0").encode())
    images, labels = read_csv(path)
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == LABELS


def test_blocks_make_no_difference(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(csv_text(IMAGES, LABELS))
    monkeypatch.setattr(tables, "_ROWS", 2)
    images, labels = read_csv(path)
    np.testing.assert_array_equal(images, IMAGES)
    assert labels.tolist() == LABELS


FAULTS = {
    "empty": (b"", "holds no rows"),
    "header only": (csv_text(IMAGES[:0], []).encode(), "holds no rows"),
    "Kaggle's test file": (
        ",".join(f"pixel{number}" for number in range(784)).encode() + b"\n",
        "line 1 has 784 columns instead of 785",
    ),
    "label last": (
        ",".join([*(f"pixel{number}" for number in range(784)), "label"]).encode(),
        "the label is not the first column",
    ),
    "a pixel short": (f"1,{ROW}\n2,{ROW[2:]}\n".encode(), "line 2 has 784 columns"),
    "semicolons": (f"1;{ROW.replace(',', ';')}\n".encode(), "line 1 has 1 columns"),
    "a word": (f"1,{ROW}\n2,{ROW[:-1]}x\n".encode(), "line 2 has a pixel that is no whole number"),
    "nothing": (f"1,{ROW}\n2,,{ROW[2:]}\n".encode(), "line 2 has a pixel"),
    "256": (f"1,{ROW}\n\n2,{ROW[:-1]}256\n".encode(), "line 3 has a pixel"),
    "-1": (f"1,{ROW[:-1]}-1\n".encode(), "line 1 has a pixel"),
    "a half": (f"1,{ROW[:-1]}0.5\n".encode(), "line 1 has a pixel"),
    "nan": (f"1,{ROW[:-1]}nan\n".encode(), "line 1 has a pixel"),
    "no text": (b"\xff\xfe\x00\x01" * 99, "cannot be read .*decode"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(99), "cannot be read .*decode"),
    "one endless line": (b"1," * 100_000, "line 1 is too long"),
    "gzip, cut off": (gzip.compress(f"1,{ROW}\n".encode())[:-9], "cannot be read"),
    "gzip, damaged": (b"\x1f\x8b" + bytes(50), "cannot be read"),
    "a bomb": (gzip.compress(bytes(10_000_000)), "line 1 is too long"),
}


@pytest.mark.parametrize(("content", "fault"), FAULTS.values(), ids=FAULTS)
def test_refuses(path: Path, content: bytes, fault: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=fault) as caught:
        read_csv(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_refuses_more_text_than_it_may_hold(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_BYTES", 5000)
    path.write_text(csv_text(IMAGES, LABELS, header=False))
    with pytest.raises(DatasetError, match=r"line [34] is too long"):
        read_csv(path)
