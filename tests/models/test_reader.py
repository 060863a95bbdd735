"""The digit reader, with the shipped model and drawings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digitflow import DigitReader
from digitflow.errors import ImageError
from digitflow.models.reader import spell

SEVEN = (20, 20, 70, 20, 40, 100)
ONE = (40, 20, 35, 100)
FOUR = ((30, 20, 20, 65, 75, 65), (60, 35, 55, 105))


@pytest.fixture(scope="module")
def reader(repository: Path) -> DigitReader:
    return DigitReader(repository / "models" / "mnist" / "pretrained")


@pytest.fixture
def page() -> Image.Image:
    """Return a page that says 714 on its first line and 17 on its second."""
    picture = Image.new("L", (400, 340), 240)
    pen = ImageDraw.Draw(picture)
    for (left, top), strokes in {
        (20, 20): (SEVEN,),
        (120, 20): (ONE,),
        (200, 20): FOUR,
        (20, 180): (ONE,),
        (100, 180): (SEVEN,),
    }.items():
        for stroke in strokes:
            moved = [at + (left, top)[place % 2] for place, at in enumerate(stroke)]
            pen.line(moved, fill=30, width=8, joint="curve")
    return picture


def test_one_digit_comes_with_its_box(reader: DigitReader, page: Image.Image, tmp_path: Path):
    page.crop((0, 0, 120, 150)).save(tmp_path / "7.png")
    reading = reader.read(tmp_path / "7.png")
    assert (reading.label, reading.status) == ("7", "ok")
    assert (reading.x, reading.y) == (pytest.approx(40, abs=3), pytest.approx(36, abs=3))
    assert (reading.width, reading.height) == (
        pytest.approx(58, abs=5),
        pytest.approx(88, abs=5),
    )
    assert next(iter(reading.probabilities)) == "7"
    assert sum(reading.probabilities.values()) == pytest.approx(1)
    assert reading.stages == {}
    assert reading.dependence is None


def test_the_box_is_that_of_the_original_where_it_was_read_reduced(
    reader: DigitReader, page: Image.Image, tmp_path: Path
):
    large = page.crop((0, 0, 120, 150)).resize((3600, 4500))
    large.save(tmp_path / "7.jpg")
    reading = reader.read(tmp_path / "7.jpg")
    assert reading.label == "7"
    assert (reading.x, reading.width) == (
        pytest.approx(40 * 30, abs=60),
        pytest.approx(55 * 30, abs=120),
    )


def test_all_digits_are_read_and_spelled(reader: DigitReader, page: Image.Image, tmp_path: Path):
    page.save(tmp_path / "page.png")
    readings = reader.read_all(tmp_path / "page.png")
    assert spell(readings) == "714\n17"
    assert [reading.line for reading in readings] == [0, 0, 0, 1, 1]
    assert [reading.x for reading in readings[:3]] == sorted(reading.x for reading in readings[:3])


def test_a_blank_page_is_one_blank_reading(reader: DigitReader, tmp_path: Path):
    Image.new("L", (300, 200), 240).save(tmp_path / "blank.png")
    (reading,) = reader.read_all(tmp_path / "blank.png")
    assert (reading.status, reading.label, reading.probabilities) == ("blank", None, {})
    assert (reading.width, reading.height) == (300, 200)
    assert spell([reading]) == ""


def test_words_are_parted_by_spaces(reader: DigitReader, page: Image.Image, tmp_path: Path):
    page.save(tmp_path / "page.png")
    words = [replace(each, label="ten") for each in reader.read_all(tmp_path / "page.png")]
    assert spell(words) == "ten ten ten\nten ten"


def test_digits_that_cannot_be_parted_are_uncertain(reader: DigitReader, tmp_path: Path):
    picture = Image.new("L", (300, 120), 240)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((40, 30, 230, 90), outline=20, width=8)
    pen.line((60, 90, 120, 30, 180, 90), fill=20, width=8)
    picture.save(tmp_path / "scrawl.png")
    (reading,) = reader.read_all(tmp_path / "scrawl.png")
    assert (reading.status, reading.reason) == ("uncertain", "touching")


def test_an_explanation_ends_with_what_the_model_saw(
    reader: DigitReader, page: Image.Image, tmp_path: Path
):
    page.crop((0, 0, 120, 150)).save(tmp_path / "7.png")
    told = reader.read(tmp_path / "7.png", explain=True)
    assert list(told.stages)[-1] == "seen"
    assert np.array_equal(told.stages["seen"], told.image)
    assert told.dependence is not None
    assert told.dependence.shape == (28, 28)
    assert told.dependence.max() > 0
    Image.new("L", (300, 200), 240).save(tmp_path / "blank.png")
    blank = reader.read(tmp_path / "blank.png", explain=True)
    assert blank.dependence is None
    assert list(blank.stages) == ["picture", "seen"]


def test_bytes_are_read_as_well_and_refused_with_a_reason(reader: DigitReader):
    with pytest.raises(ImageError, match="not a PNG") as caught:
        reader.read_all(b"no image")
    assert caught.value.reason == "unsupported_format"


def test_a_page_read_as_one_digit_is_uncertain(
    reader: DigitReader, page: Image.Image, tmp_path: Path
):
    page.save(tmp_path / "page.png")
    reading = reader.read(tmp_path / "page.png")
    assert (reading.status, reading.reason) == ("uncertain", "several")
