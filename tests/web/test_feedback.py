"""Corrected images: stored as load_dataset reads them, once, and up to a cap."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from asked import SEVEN, app_of, ask, blank, encoded
from fastapi import FastAPI
from PIL import Image

from digitflow import load_dataset, read_image
from digitflow.web.feedback import FeedbackStore, StoreFullError, can_name_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "corrected"


@pytest.fixture
def app(folder: Path) -> Iterator[FastAPI]:
    with app_of(workers=1, feedback=folder) as app:
        yield app


def correct(app: FastAPI, label: str, content: bytes | None = None, **notes: str) -> httpx.Response:
    file = {"file": ("photo.png", SEVEN.read_bytes() if content is None else content)}
    return ask(app, "POST", "/v1/feedback", files=file, data={"label": label, **notes})


def stored(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))


def test_what_is_stored_can_be_learned(app: FastAPI, folder: Path):
    seven = Image.open(SEVEN)
    for label, picture in {"7": seven, "1": seven.crop((60, 50, 110, 210))}.items():
        for angle in range(5):
            correct(app, label, encoded(picture.rotate(angle, fillcolor=250), "JPEG"))

    data, test = load_dataset(folder), load_dataset(folder, "test")

    assert data.class_names == ("1", "7")
    assert len(data) + len(test) == 10
    assert ask(app, "GET", "/v1/models").json()["feedback"] is True


def test_an_image_is_stored_once_encoded_anew(app: FastAPI, folder: Path):
    content = encoded(Image.open(SEVEN), "BMP") + b"and what else was sent"
    answers = [correct(app, "7", content, predicted="1", model_id="8" * 64), correct(app, "7")]

    assert [answer.status_code for answer in answers] == [201, 201]
    name = answers[0].json()["stored"]
    assert stored(folder) == [f"7/{name}"]
    assert np.array_equal(read_image(folder / "7" / name).pixels, read_image(SEVEN).pixels)
    with Image.open(folder / "7" / name) as image:
        assert image.format == "PNG"
        assert image.text == {"predicted": "1", "model_id": "8" * 64}
    assert b"what else" not in (folder / "7" / name).read_bytes()


def test_the_last_label_of_an_image_is_the_right_one(app: FastAPI, folder: Path):
    correct(app, "7")
    name = correct(app, "1").json()["stored"]

    assert stored(folder) == [f"1/{name}"]
    assert not (folder / "7").exists()


@pytest.mark.parametrize(
    ("label", "content", "status", "detail"),
    [
        ("7", b"no image", 422, "photo.png: not a PNG"),
        ("7", blank(), 422, "photo.png: nothing is written here"),
        ("8", b"", 422, "photo.png: the file is empty"),
        ("ten", SEVEN.read_bytes(), 400, "label: give the right class, one of 0, 1"),
        ("../7", SEVEN.read_bytes(), 400, "label: "),
        ("", SEVEN.read_bytes(), 400, "label: "),
    ],
)
def test_what_cannot_be_learned_is_not_stored(
    app: FastAPI, folder: Path, label: str, content: bytes, status: int, detail: str
):
    answer = correct(app, label, content)

    assert answer.status_code == status
    assert detail in answer.json()["detail"]
    assert stored(folder) == []


@pytest.mark.parametrize("notes", [{"predicted": "a\nb"}, {"model_id": "../x"}])
def test_notes_are_what_a_prediction_said(app: FastAPI, notes: dict[str, str]):
    assert correct(app, "7", **notes).status_code == 400


def test_nothing_is_stored_unless_asked_for():
    with app_of(workers=1) as app:
        answer = correct(app, "7")

    assert answer.status_code == 404
    assert "--feedback" in answer.json()["detail"]


def test_the_store_has_a_cap(folder: Path):
    small = Image.open(SEVEN).resize((45, 55))
    with app_of(workers=1, feedback=folder, feedback_cap=5000) as app:
        answers = [correct(app, "7", encoded(each)) for each in (small, small.resize((36, 44)))]
        again = correct(app, "7", encoded(small))

    assert [answer.status_code for answer in answers] == [201, 507]
    assert answers[1].json()["detail"] == "the store of corrected images is full"
    assert again.status_code == 201  # it is there already
    assert len(stored(folder)) == 1


def test_a_folder_that_cannot_be_written_is_told_without_its_path(app: FastAPI, folder: Path):
    (folder / "7").write_text("in the way")
    answer = correct(app, "7")

    assert answer.status_code == 507
    assert str(folder) not in answer.text
    assert "log" in answer.json()["detail"]


def test_servers_that_share_a_folder_share_its_cap(folder: Path):
    pixels = read_image(SEVEN).pixels[::4, ::4]
    first, second = FeedbackStore(folder, 8192), FeedbackStore(folder, 8192)
    first.store(pixels, "7", {})
    second.store(pixels[1:], "7", {})

    with pytest.raises(StoreFullError, match="8,192 bytes"):
        first.store(pixels[2:], "7", {})
    second.store(pixels[1:], "1", {})


def test_what_a_killed_server_left_is_swept_up(folder: Path):
    pixels = read_image(SEVEN).pixels[::4, ::4]
    FeedbackStore(folder, 8192).store(pixels, "7", {})
    (folder / "1").mkdir()
    (folder / "1" / f".{'a' * 40}.{'b' * 16}").write_bytes(b"half")
    (folder / "7" / f".{'a' * 40}.{'b' * 16}").write_bytes(b"half")
    (folder / ".size").write_text("")
    store = FeedbackStore(folder, 8192)

    assert len(stored(folder)) == 1
    with pytest.raises(StoreFullError):
        store.store(pixels[1:], "7", {"note": "1" * 5000})


@pytest.mark.parametrize(
    ("label", "can"),
    [("7", True), ("A", True), ("ß", True), ("not a digit", True), ("testing 1", True)]
    + [(word, False) for word in ("", ".", "..", "a/b", ".7", "Train", "testing", "a ", "a\n")],
)
def test_only_some_names_can_be_folders(label: str, can: bool):
    assert can_name_folder(label) is can
