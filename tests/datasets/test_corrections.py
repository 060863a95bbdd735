"""Corrections from reviews among the training images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import drawn, write_images
from PIL import Image

from digitflow.datasets.corrections import check_corrections, read_corrections
from digitflow.datasets.loading import load_dataset
from digitflow.datasets.preparing import is_prepared, prepare_dataset, prepared_location
from digitflow.errors import DatasetError, UsageError
from digitflow.images.normalising import normalise
from digitflow.web.feedback import FeedbackStore

IMAGES = drawn(6)
NAMES = [str(digit) for digit in range(10)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of six images, 0.png to 5.png."""
    write_images(tmp_path / "scans", {f"{n}.png": image for n, image in enumerate(IMAGES)})
    return tmp_path / "scans"


def write_list(folder: Path, *rows: str, name: str = "answers.csv") -> Path:
    (folder / name).write_text("\n".join(["path,label", *rows]) + "\n")
    return folder / name


def test_corrections_are_learned_and_decide_nothing_else(folder: Path) -> None:
    answers = write_list(folder, "0.png,7", "1.png,3", "2.png,")
    plain = prepare_dataset("digits")

    corrected = prepare_dataset("digits", corrections=[answers])

    images, labels = corrected.load("train")
    before, _ = plain.load("train")
    assert np.array_equal(images[:-2], before)
    assert np.array_equal(images[-2:], IMAGES[:2])
    assert labels[-2:].tolist() == [7, 3]
    assert corrected.facts["corrections"] == 2
    for split in ("validation", "test"):
        assert corrected.facts["splits"][split] == plain.facts["splits"][split]
    assert corrected.facts["digest"] != plain.facts["digest"]
    assert corrected.folder != plain.folder
    assert corrected.folder == prepared_location("digits", 0.1, corrections=[answers])


def test_other_answers_are_other_data(folder: Path) -> None:
    first = prepare_dataset("digits", corrections=[write_list(folder, "0.png,7")])
    second = prepare_dataset("digits", corrections=[write_list(folder, "0.png,1")])

    assert first.facts["digest"] != second.facts["digest"]
    assert first.facts["splits"]["train"] != second.facts["splits"]["train"]


def test_several_lists_are_taken_together_and_an_image_only_once(folder: Path) -> None:
    first = write_list(folder, "0.png,7", "1.png,3")
    second = write_list(folder, "1.png,3", "4.png,0", name="later.csv")

    both = read_corrections([first, second], NAMES)

    assert both.labels.tolist() == [7, 3, 0]
    assert np.array_equal(both.images, IMAGES[[0, 1, 4]])


def test_what_is_held_out_is_not_learned(tmp_path: Path) -> None:
    plain = prepare_dataset("digits")
    held_out = [*plain.load("validation")[0][:2], *plain.load("test")[0][:2]]
    for place, image in enumerate([*held_out, IMAGES[0]]):
        Image.fromarray(image).save(tmp_path / f"{place}.png")
    answers = write_list(tmp_path, *(f"{place}.png,{place}" for place in range(5)))

    corrected = prepare_dataset("digits", corrections=[answers])

    assert corrected.facts["corrections"] == 1
    assert np.array_equal(corrected.load("train")[0][-1], IMAGES[0])


def test_each_corrected_image_is_of_a_writer_of_its_own(
    folder: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITFLOW_DATA", str(shared_data))
    corrected = prepare_dataset("mnist", corrections=[write_list(folder, "0.png,7", "1.png,3")])

    writers = corrected.load_writers()

    known = load_dataset("mnist").writers
    assert known is not None
    assert writers is not None
    assert len(writers) == len(corrected.load("train")[0])
    assert writers[-2] != writers[-1]
    assert not set(writers[-2:].tolist()) & set(known.tolist())


def test_data_prepared_before_there_were_corrections_is_made_again(folder: Path) -> None:
    plain = prepare_dataset("digits")
    facts = {name: value for name, value in plain.facts.items() if name != "corrections"}
    (plain.folder / "facts.json").write_text(json.dumps(facts))
    assert not is_prepared(plain.folder)

    assert prepare_dataset("digits").facts["corrections"] == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0.png,x"], "'x' is no class of the data set, which has 0, 1, 2, .*; mend the label or"),
        (["0.png,1", "0.png,2"], "the same image is '2' here and '1' before; decide for one"),
        (["none.png,1"], "none.png"),
        (["0.png,"], "holds no row with a label"),
    ],
)
def test_what_cannot_be_learned_is_told(folder: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_corrections([write_list(folder, *rows)], NAMES)


def test_a_file_of_another_kind_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("label,pixel0\n1,2\n")
    with pytest.raises(UsageError, match=r"table\.csv: is no CSV list of images with the columns"):
        check_corrections([tmp_path / "table.csv"])
    with pytest.raises(UsageError, match=r"none\.csv: no such file"):
        check_corrections([tmp_path / "none.csv"])


def test_a_folder_is_all_its_lists_and_what_a_server_was_told(folder: Path) -> None:
    write_list(folder, "0.png,7", "1.png,3", name="monday.csv")
    write_list(folder, "1.png,3", "2.png,", name="tuesday.csv")
    (folder / ".hidden.csv").write_text("no list")
    (folder / "README.md").write_text("What people answered.")
    store = FeedbackStore(folder / "told", 1 << 20)
    pixels = np.zeros((60, 40), np.uint8)
    pixels[10:50, 15:25] = 200
    store.store(pixels, "1", {"predicted": "7"})
    shutil.copytree(folder / "told", folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "told")

    found = read_corrections([folder], NAMES)

    assert found.labels.tolist() == [7, 3, 1]
    assert np.array_equal(found.images[:2], IMAGES[:2])
    assert np.array_equal(found.images[2], normalise(pixels).image)
    check_corrections([folder])


def test_what_a_server_was_told_is_a_data_set_and_corrections(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path, 1 << 20)
    for image, label in zip(IMAGES, "771133", strict=True):
        store.store(image, label, {})

    corrections = read_corrections([tmp_path], NAMES)
    train, test = (load_dataset(str(tmp_path), split) for split in ("train", "test"))

    assert sorted(corrections.labels) == [1, 1, 3, 3, 7, 7]
    as_data = {image.tobytes() for part in (train, test) for image in part.images}
    assert {image.tobytes() for image in corrections.images} == as_data


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_may_be_empty_and_with_a_slash_not_be_there(
    tmp_path: Path, is_there: bool
) -> None:
    if is_there:
        (tmp_path / "corrections").mkdir()
    given = f"{tmp_path}/corrections/"

    check_corrections([given])
    with_none = prepare_dataset("digits", corrections=[given])

    assert with_none.facts["corrections"] == 0
    assert with_none.folder == prepared_location("digits", 0.1)


def test_a_list_in_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("label,pixel0\n1,2\n")

    with pytest.raises(UsageError, match=r"table\.csv: is no CSV list of images with the columns"):
        check_corrections([tmp_path])


def test_a_folder_in_a_folder_is_of_a_class(folder: Path) -> None:
    write_images(folder / "letters", {"0.png": IMAGES[0]})

    with pytest.raises(DatasetError, match="scans: 'letters' is no class of the data set"):
        read_corrections([folder], NAMES)
