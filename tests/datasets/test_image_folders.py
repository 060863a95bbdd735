import os
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import drawn, write_images

from digitflow.datasets import image_folders
from digitflow.datasets.image_folders import list_image_folder, read_images
from digitflow.errors import DatasetError
from digitflow.images.normalising import normalise

IMAGES = drawn(6)


def names(root: Path, part: str = "train") -> list[str]:
    listed = list_image_folder(root)[0][part]
    return [os.fspath(path.relative_to(root)) for path in listed.paths]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    order = ["10/b2.png", "10/b10.png", "9/sub/x.png", "9/a.png"]
    write_images(root, dict(zip(order, IMAGES, strict=False)))
    return root


def test_lists_classes_and_images_in_natural_order(root: Path) -> None:
    parts, left_out = list_image_folder(root)
    assert (list(parts), left_out) == (["train"], [])
    assert names(root) == ["9/a.png", "9/sub/x.png", "10/b2.png", "10/b10.png"]
    assert parts["train"].labels.tolist() == ["9", "9", "10", "10"]


def test_what_has_the_form_of_mnist_is_read_as_it_is(root: Path) -> None:
    images = read_images(root, list_image_folder(root)[0]["train"].paths)
    np.testing.assert_array_equal(images, IMAGES[[3, 2, 0, 1]])


def test_other_images_are_read_as_scoring_reads_them(root: Path) -> None:
    large = 255 - np.kron(np.pad(IMAGES[4], 20), np.ones((3, 3), np.uint8))
    colour = np.stack([large, large, np.full_like(large, 255)], axis=2)
    write_images(root, {"9/large.png": large, "9/colour.jpg": colour})
    images = read_images(root, [root / "9/large.png", root / "9/colour.jpg"])
    np.testing.assert_array_equal(images[0], normalise(large).image)
    assert np.corrcoef(images[1].ravel(), IMAGES[4].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "TESTING")])
def test_two_parts(root: Path, train: str, test: str) -> None:
    root.rename(root.with_name(train))
    root.mkdir()
    root.with_name(train).rename(root / train)
    assert list(list_image_folder(root)[0]) == ["train"]
    write_images(root, {f"{test}/9/z.png": IMAGES[4], "validation/9/v.png": IMAGES[5]})
    (root / train / "notes.txt").write_text("seen")
    parts, left_out = list_image_folder(root)
    assert parts["train"].labels.tolist() == ["9", "9", "10", "10"]
    assert parts["test"].labels.tolist() == ["9"]
    assert left_out == ["validation", f"{train}/notes.txt"]


def test_what_systems_leave_behind_is_no_image(root: Path) -> None:
    (root / "9" / ".DS_Store").write_bytes(b"x")
    (root / "9" / "Thumbs.db").write_bytes(b"x")
    (root / ".git").mkdir()
    (root / "README.md").write_text("scans")
    (root / "loose.png").write_bytes(b"x")
    parts, left_out = list_image_folder(root)
    assert len(parts["train"].paths) == 4
    assert left_out == ["README.md", "loose.png"]


def test_images_that_cannot_be_used_are_counted_and_named(root: Path, tmp_path: Path) -> None:
    (root / "9" / "broken.png").write_bytes((root / "9" / "a.png").read_bytes()[:-20])
    (root / "9" / "text.png").write_text("seven")
    (root / "9" / "pipe\n.png").mkdir()
    os.mkfifo(root / "9" / "pipe\n.png" / "p")
    (root / "10" / "link.png").symlink_to(root / "9" / "a.png")
    (root / "10" / "folder").symlink_to(tmp_path)
    write_images(root, {"10/paper.png": np.full((40, 40), 250, np.uint8)})
    with pytest.raises(DatasetError) as caught:
        read_images(root, list_image_folder(root)[0]["train"].paths)
    message = str(caught.value)
    assert message.startswith(f"{root}: 6 of 10 images cannot be used (9/broken.png: the PNG file")
    assert "9/text.png: not a PNG" in message
    assert message.endswith("; and 3 more); mend them or take them away")
    assert "\n" not in message


def test_says_which_image_shows_no_ink(root: Path) -> None:
    write_images(root, {"9/paper.png": np.full((40, 40), 250, np.uint8)})
    with pytest.raises(DatasetError, match=r"1 of 5 images .*\(9/paper\.png: shows no ink\); mend"):
        read_images(root, list_image_folder(root)[0]["train"].paths)


def test_refuses_what_is_no_folder_of_class_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no folders of images; give each class a folder"):
        list_image_folder(tmp_path)
    with pytest.raises(DatasetError, match=r"absent: cannot be read .No such file"):
        list_image_folder(tmp_path / "absent")
    (tmp_path / "7").mkdir()
    with pytest.raises(DatasetError, match="7: holds no images; fill or remove it"):
        list_image_folder(tmp_path)


def test_refuses_a_test_part_without_a_training_part(tmp_path: Path) -> None:
    write_images(tmp_path, {"test/7/a.png": IMAGES[0]})
    with pytest.raises(DatasetError, match="has test/, but no train/; add it"):
        list_image_folder(tmp_path)


def test_refuses_more_images_than_fit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folders, "_MAX_IMAGES", 3)
    with pytest.raises(DatasetError, match="holds over 3 images"):
        list_image_folder(root)
