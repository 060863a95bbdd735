"""Lists of images and labels as CSV."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import drawn, write_images

from digitflow import load_dataset
from digitflow.datasets.image_lists import read_image_list, read_listed_images
from digitflow.errors import DatasetError
from digitflow.images.segmenting import find_digits

IMAGES = drawn(10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of ten images, 0.png to 9.png."""
    write_images(tmp_path / "scans", {f"{n}.png": image for n, image in enumerate(IMAGES)})
    return tmp_path / "scans"


def write_list(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_list_by_hand_is_a_data_set(folder: Path) -> None:
    rows = [f"{n}.png,{'seven' if n % 2 else 3}" for n in range(10)]
    written = write_list(folder / "mine.csv", "path,label", *rows)
    train, test = load_dataset(written), load_dataset(written, "test")
    assert train.class_names == ("3", "seven")
    assert (len(train), len(test)) == (8, 2)
    assert "image list 'mine.csv', train" in train.source
    together = {image.tobytes() for image in [*train.images, *test.images]}
    assert together == {image.tobytes() for image in IMAGES}
    for image, label in zip(train.images, train.labels, strict=True):
        number = next(n for n in range(10) if np.array_equal(IMAGES[n], image))
        assert label == number % 2


def test_columns_may_come_in_any_order_and_packed(folder: Path, tmp_path: Path) -> None:
    text = '\ufeff"Note", "Label","PATH",folder\r\n"a ""b""",7,"0.png",scans\r\n,1,/x/1.png,\r\n'
    (tmp_path / "list.csv.gz").write_bytes(gzip.compress(text.replace('", "', '","').encode()))
    rows, n_others = read_image_list(tmp_path / "list.csv.gz")
    assert [(row.path, row.label, row.box) for row in rows] == [
        (os.fsencode(folder / "0.png"), "7", None),
        (b"/x/1.png", "1", None),
    ]
    assert n_others == 0


def test_rows_without_a_label_are_left_out_and_counted(folder: Path) -> None:
    rows = [f"{n}.png,{n % 2}" for n in range(9)]
    written = write_list(folder / "l.csv", "path,label", *rows, "9.png,")
    assert "1 rows without a label left out" in load_dataset(written).source


def test_a_name_that_is_no_text_is_given_as_bytes(folder: Path) -> None:
    raw = os.fsencode(folder) + b"/\xff\n.png"
    os.rename(folder / "0.png", raw)  # noqa: PTH104
    lines = ["path,label,path_bytes", f"x,7,0x{raw.hex()}", f"y,7,0x{b'1.png'.hex()}"]
    rows, _ = read_image_list(write_list(folder / "l.csv", *lines))
    np.testing.assert_array_equal(read_listed_images(folder, rows), IMAGES[:2])


def page_of(images: np.ndarray) -> np.ndarray:
    """Return digits in a line, dark on white, twice as large."""
    line = np.concatenate([np.pad(image, ((20, 20), (8, 8))) for image in images], axis=1)
    return 255 - np.kron(line, np.ones((2, 2), np.uint8))


def test_a_box_means_one_of_several_digits(folder: Path) -> None:
    solid = np.zeros((4, 28, 28), np.uint8)
    solid[:, 4:24, 10:18] = 255
    page = page_of(solid)
    write_images(folder, {"page.png": page})
    found = [each.digit for each in find_digits(page)]
    assert len(found) == 4
    lines = ["path,label,x,y,width,height"]
    lines += [f"page.png,1,{d.x + 2},{d.y - 3},{d.width},{d.height}" for d in found[::-1]]
    rows, _ = read_image_list(write_list(folder / "l.csv", *lines))
    images = read_listed_images(folder, rows)
    np.testing.assert_array_equal(images, [digit.image for digit in found[::-1]])


FAULTS = {
    "no label at all": ("path,label\n0.png,\n", "no row with a label"),
    "header only": ("path,label\n", "no row with a label"),
    "a cell short": ("path,label,note\n0.png,7,\n1.png,7\n", "line 3 has not the 3 columns"),
    "a cell more": ("path,label\n0.png,7,8\n", "line 2 has not the 2 columns"),
    "no path": ("path,label\n,7\n", "line 2: has no path"),
    "bytes": ("path,label,path_bytes\n0.png,7,ff\n", "line 2: path_bytes 'ff' is not 0x"),
    "half a box": ("path,label,x,y,width,height\n0.png,7,1,,2,3\n", "line 2: x, y, width"),
    "a box of words": ("path,label,x,y,width,height\n0.png,7,a,1,2,3\n", "line 2: x, y, width"),
    "an open quote": ('path,label\n"0.png,7\n', "cannot be read"),
    "one endless line": ("path,label\n" + "x" * 100_000, "line 2 is too long"),
}


@pytest.mark.parametrize(("text", "fault"), FAULTS.values(), ids=FAULTS)
def test_refuses_lists(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=fault) as caught:
        load_dataset(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_every_image_that_cannot_be_used_is_named(folder: Path) -> None:
    write_images(folder, {"empty.png": np.full((28, 28), 255, np.uint8)})
    other = hashlib.sha256(b"other").hexdigest()
    lines = [
        "path,label,x,y,width,height,content_hash",
        "none.png,7,,,,,",
        "empty.png,7,,,,,",
        f"0.png,7,,,,,{other}",
        "1.png,7,500,500,9,9,",
        "empty.png,7,1,1,9,9,",
        "2.png,7,,,,,",
    ]
    rows, _ = read_image_list(write_list(folder / "l.csv", *lines))
    for number, fault in enumerate(
        ["no such file", "shows no ink", "is not the image", "has no digit at", "has no digit at"]
    ):
        with pytest.raises(DatasetError, match=fault):
            read_listed_images(folder, rows[number : number + 1])
    with pytest.raises(DatasetError, match=r"5 of 6 images cannot be used .* and 2 more"):
        read_listed_images(folder, rows)


def test_what_was_read_is_remembered_until_an_image_changes(folder: Path) -> None:
    rows = [f"{n}.png,{n % 2}" for n in range(10)]
    written = write_list(folder / "l.csv", "path,label", *rows)
    first = load_dataset(written)
    assert np.shares_memory(load_dataset(written).images, first.images)
    write_images(folder, {f"{n}.png": IMAGES[9] for n in range(10)})
    assert len(np.unique(load_dataset(written).images, axis=0)) == 1


def test_the_hash_that_was_noted_is_that_of_the_file(folder: Path) -> None:
    noted = hashlib.sha256((folder / "0.png").read_bytes()).hexdigest().upper()
    lines = ["path,label,content_hash", f"0.png,7,{noted}"]
    rows, _ = read_image_list(write_list(folder / "l.csv", *lines))
    np.testing.assert_array_equal(read_listed_images(folder, rows), IMAGES[:1])
