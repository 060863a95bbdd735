import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import drawn, idx, packed_idx

from digitflow.datasets import arrays
from digitflow.datasets.arrays import is_idx_folder, read_idx_folder, read_npz
from digitflow.errors import DatasetError

IMAGES, TEST_IMAGES = drawn(6), drawn(3, seed=1)
LABELS, TEST_LABELS = np.arange(6, dtype=np.uint8), np.arange(3, dtype=np.uint8)
KERAS = {"x_train": IMAGES, "y_train": LABELS, "x_test": TEST_IMAGES, "y_test": TEST_LABELS}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mnist.npz"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_keras_stores(path: Path, save) -> None:
    save(path, **KERAS)
    parts = read_npz(path)
    assert list(parts) == ["train", "test"]
    for part, images, labels in [
        ("train", IMAGES, LABELS),
        ("test", TEST_IMAGES, TEST_LABELS),
    ]:
        np.testing.assert_array_equal(parts[part][0], images)
        np.testing.assert_array_equal(parts[part][1], labels)


def test_reads_one_part_with_words_for_labels(path: Path) -> None:
    np.savez(path, images=IMAGES, labels=np.array(list("abcabc")), more=np.zeros(3))
    parts = read_npz(path)
    assert list(parts) == ["train"]
    assert parts["train"][1].tolist() == list("abcabc")


@pytest.mark.parametrize(
    "stored",
    [
        IMAGES[..., np.newaxis],
        IMAGES.reshape(-1, 784),
        IMAGES.astype(np.int64),
        IMAGES.astype(np.float32),
        (IMAGES / 255).astype(np.float32),
        IMAGES / 255,
        np.asfortranarray(IMAGES),
    ],
    ids=["channel", "flat", "int64", "float 255", "float32 1", "float64 1", "fortran"],
)
def test_other_shapes_and_scales_are_the_same_images(path: Path, stored: np.ndarray) -> None:
    np.savez(path, images=stored, labels=LABELS)
    images, _ = read_npz(path)["train"]
    np.testing.assert_array_equal(images, IMAGES)
    assert images.dtype == np.uint8


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_black_and_white_is_taken_for_0_to_1(path: Path, dtype: type) -> None:
    np.savez(path, images=(IMAGES > 100).astype(dtype), labels=LABELS)
    np.testing.assert_array_equal(read_npz(path)["train"][0], 255 * (IMAGES > 100))


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


FAULTS = {
    "objects": (
        {"images": IMAGES, "labels": np.array([Payload()] * 6, object)},
        "labels holds Python objects, which could run code",
    ),
    "other names": ({"a": IMAGES, "b": LABELS}, "holds a, b; name the arrays x_train"),
    "no test labels": ({key: KERAS[key] for key in KERAS if key != "y_test"}, "name the arrays"),
    "too few labels": ({"images": IMAGES, "labels": LABELS[:5]}, "one label for each image"),
    "no images": ({"images": IMAGES[:0], "labels": LABELS[:0]}, "one label for each image"),
    "one number": ({"images": np.array(1), "labels": LABELS}, "one label for each image"),
    "other size": ({"images": np.ones((6, 32, 32)), "labels": LABELS}, "class folders"),
    "negative": ({"images": IMAGES - np.int64(1), "labels": LABELS}, "not from 0 to 255"),
    "16 bit": ({"images": IMAGES * np.uint16(257), "labels": LABELS}, "not from 0 to 255"),
    "not a number": ({"images": IMAGES + np.nan, "labels": LABELS}, "not from 0 to 255"),
    "words": ({"images": IMAGES.astype(str), "labels": LABELS}, "give numbers"),
}


@pytest.mark.parametrize(("content", "fault"), FAULTS.values(), ids=FAULTS)
def test_refuses_arrays(path: Path, content: dict[str, np.ndarray], fault: str) -> None:
    np.savez(path, **content)
    with pytest.raises(DatasetError, match=fault) as caught:
        read_npz(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def npz(header: str, content: bytes = b"", packed: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive whose arrays both have a header written by hand."""
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packed) as archive:
        archive.writestr("images.npy", array)
        archive.writestr("labels.npy", array)
    return file.getvalue()


HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 28, 28)}"
BROKEN = {
    "nothing": b"",
    "no archive": b"\x93NUMPY\x01\x00" + bytes(100),
    "a pickle": pickle.dumps([Payload]),
    "huge": npz(HUGE, bytes(1000)),
    "huge, packed": npz(HUGE, bytes(10_000_000), zipfile.ZIP_DEFLATED),
    "negative": npz(HUGE.replace("1000000000", "-1")),
    "short": npz(HUGE.replace("1000000000", "2"), bytes(28 * 28)),
    "long": npz(HUGE.replace("1000000000", "2"), bytes(3 * 28 * 28)),
    "other method": npz(HUGE.replace("1000000000", "1"), bytes(28 * 28), zipfile.ZIP_LZMA),
    "code": npz("{'descr': __import__('os').system('false')}"),
    "no header": npz("((((("),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_refuses_files(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"cannot be read .*; save it again") as caught:
        read_npz(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_flipped_bytes_are_refused_or_do_no_harm(path: Path) -> None:
    np.savez(path, images=IMAGES, labels=LABELS)
    content = path.read_bytes()
    for place in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            images, _ = read_npz(path)["train"]
        except DatasetError:
            continue
        np.testing.assert_array_equal(images, IMAGES)


def test_refuses_more_than_may_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(path, images=IMAGES, labels=LABELS)
    monkeypatch.setattr(arrays, "MAX_BYTES", IMAGES.nbytes - 1)
    with pytest.raises(DatasetError, match="images claims 4,704 bytes"):
        read_npz(path)


@pytest.mark.parametrize("name", ["{}-idx{}-ubyte", "{}-idx{}-ubyte.gz", "{}.idx{}-ubyte"])
def test_reads_idx_files_of_the_usual_names(tmp_path: Path, name: str) -> None:
    write = packed_idx if name.endswith(".gz") else idx
    assert not is_idx_folder(tmp_path)
    (tmp_path / name.format("train-images", 3)).write_bytes(write(IMAGES))
    (tmp_path / name.format("train-labels", 1)).write_bytes(write(LABELS))
    assert is_idx_folder(tmp_path)
    assert list(read_idx_folder(tmp_path)) == ["train"]
    (tmp_path / name.format("t10k-images", 3)).write_bytes(write(TEST_IMAGES))
    with pytest.raises(DatasetError, match="has no t10k-labels-idx1-ubyte; put it there"):
        read_idx_folder(tmp_path)
    (tmp_path / name.format("t10k-labels", 1)).write_bytes(write(TEST_LABELS))
    parts = read_idx_folder(tmp_path)
    np.testing.assert_array_equal(parts["train"][0], IMAGES)
    np.testing.assert_array_equal(parts["test"][0], TEST_IMAGES)
    np.testing.assert_array_equal(parts["test"][1], TEST_LABELS)


def test_refuses_idx_files_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(DatasetError, match="has no train-labels-idx1-ubyte"):
        read_idx_folder(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(LABELS[:3]))
    with pytest.raises(DatasetError, match="one label for each image"):
        read_idx_folder(tmp_path)
    labels.write_bytes(b"no labels")
    with pytest.raises(DatasetError, match="is not an IDX file"):
        read_idx_folder(tmp_path)
