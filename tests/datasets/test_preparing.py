import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from digitflow.datasets import preparing
from digitflow.datasets.loading import Dataset, digest_of
from digitflow.datasets.preparing import (
    SPLITS,
    PreparedData,
    open_prepared,
    prepare_dataset,
    prepared_location,
)
from digitflow.errors import DatasetError, OutputError

WRITERS = (np.arange(100) // 5).astype(np.int32)


def make_dataset(split: str, writers: np.ndarray | None = None) -> Dataset:
    n = 100 if split == "train" else 20
    images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), np.uint8)
    labels = np.arange(n) % 10
    digest = digest_of(images, labels)
    return Dataset("small", split, images, labels, tuple("0123456789"), writers, digest, "made up")


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch) -> dict[str, Dataset]:
    """Give what `prepare_dataset` takes for the data set; a test may put other parts there."""
    parts = {split: make_dataset(split) for split in ("train", "test")}
    monkeypatch.setattr(preparing, "load_dataset", lambda name, split="train": parts[split])
    return parts


@pytest.fixture
def prepared(datasets: dict[str, Dataset]) -> PreparedData:
    datasets["train"] = make_dataset("train", WRITERS)
    return prepare_dataset("small")


def assert_whole(data: PreparedData) -> None:
    images = np.concatenate([data.load(split)[0] for split in SPLITS])
    assert len(images) == 120
    assert len(np.unique(images, axis=0)) == 120
    writers = data.load_writers()
    assert writers is None or len(writers) == 90


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def test_the_parts_are_disjoint_and_whole(prepared: PreparedData) -> None:
    assert_whole(prepared)
    sizes = {split: facts["n"] for split, facts in prepared.facts["splits"].items()}
    assert sizes == {"train": 90, "validation": 10, "test": 20}
    assert open_prepared(prepared.folder) == prepared
    assert prepared_location("small", 0.1) == prepared.folder


def test_the_second_time_they_are_taken_as_they_are(prepared: PreparedData) -> None:
    written = {file: file.stat().st_mtime_ns for file in prepared.folder.iterdir()}

    assert prepare_dataset("small") == prepared
    assert {file: file.stat().st_mtime_ns for file in prepared.folder.iterdir()} == written


def test_the_writers_of_the_training_images_are_kept(prepared: PreparedData) -> None:
    images = make_dataset("train").images
    writer_of = {
        image.tobytes(): writer for image, writer in zip(images, WRITERS.tolist(), strict=True)
    }

    writers = prepared.load_writers()

    assert writers is not None
    assert writers.tolist() == [writer_of[image.tobytes()] for image in prepared.load("train")[0]]
    held_out = {writer_of[image.tobytes()] for image in prepared.load("validation")[0]}
    assert held_out.isdisjoint(writers.tolist())


def test_unknown_writers_stay_unknown(datasets: dict[str, Dataset]) -> None:
    assert prepare_dataset("small").load_writers() is None


def test_the_disputed_test_images_are_known(datasets: dict[str, Dataset]) -> None:
    assert prepare_dataset("small").facts["disputed"] == []
    disputed = np.array([3, 7])
    datasets["test"] = dataclasses.replace(make_dataset("test"), disputed=disputed)
    assert prepare_dataset("small", seed=1).facts["disputed"] == [3, 7]


def test_other_class_names_are_other_data(datasets: dict[str, Dataset]) -> None:
    place = prepared_location("small", 0.1)
    letters = dataclasses.replace(datasets["train"], class_names=tuple("abcdefghij"))
    datasets["train"] = letters
    assert prepared_location("small", 0.1) != place


def test_whatever_decides_the_split_decides_the_place(datasets: dict[str, Dataset]) -> None:
    places = [prepare_dataset("small").folder]
    places += [
        prepare_dataset("small", **other).folder
        for other in ({"seed": 1}, {"validation_fraction": 0.2})
    ]
    for writers in (WRITERS, WRITERS // 2):
        datasets["train"] = make_dataset("train", writers)
        places.append(prepare_dataset("small").folder)

    assert len(set(places)) == 5


@pytest.mark.parametrize(
    ("writers", "said"),
    [
        (WRITERS, "whole writers"),
        (None, "random, stratified: the writers are not known"),
        (np.zeros(100, int), "random, stratified: the writers are too few"),
    ],
    ids=["known", "unknown", "one"],
)
def test_says_how_the_validation_images_were_chosen(
    datasets: dict[str, Dataset], writers: np.ndarray | None, said: str
) -> None:
    datasets["train"] = make_dataset("train", writers)

    assert prepare_dataset("small").facts["validation"] == said


def test_what_another_run_stored_in_the_meantime_is_taken(
    datasets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    split, others = preparing.split_by_writer, []

    def split_while_another_run_comes_first(*arguments):
        monkeypatch.setattr(preparing, "split_by_writer", split)
        others.append(prepare_dataset("small"))
        return split(*arguments)

    monkeypatch.setattr(preparing, "split_by_writer", split_while_another_run_comes_first)

    data = prepare_dataset("small")

    assert others == [data]
    assert_whole(data)
    assert list(data.folder.parent.iterdir()) == [data.folder]


def test_a_place_that_cannot_be_written_is_said(
    datasets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGITFLOW_PREPARED", "/dev/null/prepared")

    with pytest.raises(OutputError, match="cannot be written"):
        prepare_dataset("small")


def damage_images(folder: Path) -> None:
    flip(folder / "train.npz", (folder / "train.npz").stat().st_size // 2)


def damage_archive(folder: Path) -> None:
    flip(folder / "validation.npz", -10)


def cut_off(folder: Path) -> None:
    os.truncate(folder / "test.npz", 1000)


def remove_a_part(folder: Path) -> None:
    (folder / "test.npz").unlink()


def exchange_parts(folder: Path) -> None:
    shutil.copy(folder / "test.npz", folder / "train.npz")


def exchange_writers(folder: Path) -> None:
    with np.load(folder / "train.npz") as arrays:
        changed = dict(arrays) | {"writers": arrays["writers"][::-1]}
    np.savez(folder / "train.npz", **changed)


def store_another_array(folder: Path) -> None:
    np.savez(folder / "train.npz", images=np.zeros(3))


def store_no_archive(folder: Path) -> None:
    with (folder / "train.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))


@pytest.mark.parametrize(
    "damage",
    [
        damage_images,
        damage_archive,
        cut_off,
        remove_a_part,
        exchange_parts,
        exchange_writers,
        store_another_array,
        store_no_archive,
    ],
)
def test_damaged_parts_are_refused_and_made_again(prepared: PreparedData, damage) -> None:
    damage(prepared.folder)

    with pytest.raises(DatasetError, match=f"remove {prepared.folder}, and it is made again"):
        assert_whole(prepared)

    assert prepare_dataset("small") == prepared
    assert_whole(prepared)


def without(key: str, facts: dict) -> str:
    return json.dumps({other: facts[other] for other in facts if other != key})


@pytest.mark.parametrize(
    "write",
    [
        lambda facts: "[]",
        lambda facts: "",
        lambda facts: "\udcff",
        lambda facts: json.dumps(facts | {"splits": []}),
        lambda facts: json.dumps(facts | {"splits": facts["splits"] | {"train": {}}}),
        lambda facts: json.dumps(facts | {"splits": facts["splits"] | {"train": 1}}),
        lambda facts: without("splits", facts),
        lambda facts: without("source", facts),
        lambda facts: without("class_names", facts),
        lambda facts: without("disputed", facts),
        lambda facts: without("writers", facts),
    ],
)
def test_damaged_facts_are_refused_and_made_again(prepared: PreparedData, write) -> None:
    content = write(dict(prepared.facts)).encode(errors="surrogateescape")
    (prepared.folder / "facts.json").write_bytes(content)

    with pytest.raises(DatasetError, match=r"remove .*, and it is made again"):
        open_prepared(prepared.folder)

    assert prepare_dataset("small") == prepared


def test_any_flipped_byte_of_a_part_is_refused_or_does_no_harm(prepared: PreparedData) -> None:
    path = prepared.folder / "validation.npz"
    content = path.read_bytes()
    images, labels = prepared.load("validation")
    # All of the headers, and here and there in the images.
    places = {*range(300), *range(300, len(content) - 600, 500)}
    for place in sorted(places | {*range(len(content) - 600, len(content))}):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            found = prepared.load("validation")
        except DatasetError:
            continue
        np.testing.assert_array_equal(found[0], images)
        np.testing.assert_array_equal(found[1], labels)


def test_a_folder_without_prepared_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no prepared data"):
        open_prepared(tmp_path)
