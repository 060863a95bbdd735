import gzip
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import csv_text, drawn, idx, write_images

from digitflow.datasets import own_data
from digitflow.datasets.catalogue import AUTO, DATASETS
from digitflow.datasets.own_data import check_own, load_own, name_of
from digitflow.errors import DatasetError, UsageError
from digitflow.models.registry import check_name

N = 40
IMAGES = drawn(N)
LABELS = np.array(["10", "9", "2", "9"] * (N // 4))


def as_csv(folder: Path) -> Path:
    (folder / "data.csv").write_text(csv_text(IMAGES, LABELS.tolist()))
    return folder / "data.csv"


def as_packed_csv(folder: Path) -> Path:
    (folder / "data.csv.gz").write_bytes(gzip.compress(as_csv(folder).read_bytes()))
    return folder / "data.csv.gz"


def as_npz(folder: Path) -> Path:
    np.savez(folder / "data.npz", images=IMAGES, labels=LABELS.astype(int))
    return folder / "data.npz"


def as_idx(folder: Path) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (folder / "data" / "train-labels-idx1-ubyte").write_bytes(idx(LABELS.astype(np.uint8)))
    return folder / "data"


def as_folder(folder: Path) -> Path:
    named = (f"{label}/{number}.png" for number, label in enumerate(LABELS))
    write_images(folder / "data", dict(zip(named, IMAGES, strict=True)))
    return folder / "data"


KINDS = {
    "folder": as_folder,
    "csv": as_csv,
    "csv.gz": as_packed_csv,
    "npz": as_npz,
    "idx": as_idx,
}
of_every_kind = pytest.mark.parametrize("write", KINDS.values(), ids=KINDS)


def content_of(images: np.ndarray, names: np.ndarray) -> Counter:
    return Counter((image.tobytes(), str(name)) for image, name in zip(images, names, strict=True))


@of_every_kind
def test_every_kind_gives_the_same_images_and_classes(tmp_path: Path, write) -> None:
    path = write(tmp_path)
    check_own(path)
    parts = [load_own(path, split) for split in ("train", "test")]
    for part in parts:
        assert part.class_names == ("2", "9", "10")
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)
        assert path.name in part.description
        assert "the test part is a fixed 20% of each class" in part.description
    # Together they are all there is, and each class is split alike.
    assert [np.bincount(part.labels).tolist() for part in parts] == [[8, 16, 8], [2, 4, 2]]
    images = np.concatenate([part.images for part in parts])
    names = np.concatenate([np.array(part.class_names)[part.labels] for part in parts])
    assert content_of(images, names) == content_of(IMAGES, LABELS)


@of_every_kind
def test_the_split_does_not_depend_on_the_place(tmp_path: Path, write) -> None:
    path = write(tmp_path)
    test = load_own(path, "test").images
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(path, moved / path.name)
    np.testing.assert_array_equal(load_own(moved / path.name, "test").images, test)


def test_parts_that_are_there_are_taken(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "mnist.npz",
        x_train=IMAGES[:30],
        y_train=LABELS[:30],
        x_test=IMAGES[30:],
        y_test=LABELS[30:],
    )
    test = load_own(tmp_path / "mnist.npz", "test")
    np.testing.assert_array_equal(test.images, IMAGES[30:])
    assert [test.class_names[label] for label in test.labels] == LABELS[30:].tolist()
    assert test.description == "npz file 'mnist.npz', test"
    for part, chosen in (("train", slice(30)), ("test", slice(30, None))):
        named = (f"{part}/{label}/{n:02}.png" for n, label in enumerate(LABELS[chosen]))
        write_images(tmp_path / "scans", dict(zip(named, IMAGES[chosen], strict=True)))
    train = load_own(tmp_path / "scans", "train")
    names = np.array(train.class_names)[train.labels]
    assert content_of(train.images, names) == content_of(IMAGES[:30], LABELS[:30])
    assert train.description == "image folder 'scans', train"


def test_a_class_of_the_test_part_alone_is_refused(tmp_path: Path) -> None:
    write_images(
        tmp_path,
        {"train/1/a.png": IMAGES[0], "train/2/a.png": IMAGES[1], "test/3/a.png": IMAGES[2]},
    )
    assert len(load_own(tmp_path, "train").images) == 2
    with pytest.raises(DatasetError, match="test part has the class '3', the training part has"):
        load_own(tmp_path, "test")


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    path = as_folder(tmp_path)
    (path / "README.md").write_text("scans")
    assert "left out: 'README.md'" in load_own(path, "train").description


def test_arrays_are_turned_bright_on_black_and_else_taken_as_they_are(tmp_path: Path) -> None:
    images = IMAGES.copy()
    images[::2] = 255 - images[::2]
    images[1, 0, 27] = 9  # no longer in the form of MNIST
    np.savez(tmp_path / "a.npz", x_train=images, y_train=LABELS, x_test=images, y_test=LABELS)
    part = load_own(tmp_path / "a.npz", "train")
    expected = IMAGES.copy()
    expected[1] = images[1]
    np.testing.assert_array_equal(part.images, expected)
    assert "1 of 40 images are not in the form of MNIST" in part.description


@of_every_kind
def test_is_read_once_unless_it_changes(
    tmp_path: Path, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    part = load_own(path, "train")
    assert load_own(path, "train") is part
    changed = next(file for file in sorted(tmp_path.rglob("*")) if file.is_file())
    for file in (changed, path):
        os.utime(file, ns=(0, 1))
    assert load_own(path, "train") is not part


def test_too_little_to_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text(csv_text(IMAGES[:2], ["a", "b"]))
    with pytest.raises(UsageError, match=r"few\.csv: 2 images: too few to hold out"):
        load_own(tmp_path / "few.csv", "train")


def test_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(csv_text(IMAGES[:20], ["a"] * 20))
    with pytest.raises(DatasetError, match=r"one\.csv: has 1 classes; give labels of 2 to 1,000"):
        load_own(tmp_path / "one.csv", "train")


def test_more_than_the_memory_holds_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise MemoryError

    monkeypatch.setattr(own_data, "read_csv", full)
    with pytest.raises(DatasetError, match="does not fit into memory; give less"):
        load_own(as_csv(tmp_path), "train")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("scans", "scans"),
        ("My Scans (2026)", "My-Scans-2026"),
        ("a/train.csv.gz", "train"),
        ("letters.NPZ", "letters"),
        ("v1.2/data.csv", "data"),
        ("v1.2", "v1.2"),
        ("_häßlich_", "h-lich"),
        ("-x", "x"),
        ("日本", "images"),
        ("..", "images"),
        ("mnist", "own-mnist"),
        ("auto.csv", "own-auto"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_model_can_be_called_after_every_path(path: str, name: str) -> None:
    assert name_of(Path(path)) == name
    assert check_name(name) == name
    assert name not in {AUTO, *DATASETS}


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scans").mkdir()
    monkeypatch.chdir(tmp_path / "scans")
    assert name_of(Path()) == "scans"


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "loop"])
def test_paths_that_can_be_none_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(UsageError, match="give a folder of class folders") as caught:
        load_own(Path(path), "train")
    assert "\n" not in str(caught.value)
