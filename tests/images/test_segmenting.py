"""Lines, forms and pages: each digit once, in reading order, in MNIST's form."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digitflow.images.normalising import normalise
from digitflow.images.segmenting import FoundDigit, find_digits


@pytest.fixture(scope="module")
def digits(shared_data: Path) -> np.ndarray:
    """Return 200 digits of MNIST, cut to their ink at three times the size."""
    content = gzip.decompress((shared_data / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(content, np.uint8, offset=16, count=200 * 784).reshape(-1, 28, 28)
    cut = np.empty(len(images), object)
    cut[:] = [enlarged(image) for image in images]
    return cut


def enlarged(image: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = 3 * ink.shape[1], 3 * ink.shape[0]
    return np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BICUBIC))


def on_a_page(lines: list[list[np.ndarray]], gap: int, margin: int = 20) -> np.ndarray:
    """Write digits on light paper, each line 70 px high."""
    width = max(sum(digit.shape[1] + gap for digit in line) for line in lines)
    ink = np.zeros((70 * len(lines), width))
    for number, line in enumerate(lines):
        left = 0
        for digit in line:
            top = 70 * number + (60 - digit.shape[0]) // 2
            ink[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
            left += digit.shape[1] + gap
    return (235 - 0.8 * np.pad(ink, margin)).astype(np.uint8)


def boxes_of(found: list[FoundDigit]) -> list[tuple[int, int, int, int]]:
    return [(each.digit.x, each.digit.y, each.digit.width, each.digit.height) for each in found]


@pytest.mark.parametrize("gap", [2, 12, 60])
def test_a_line_gives_each_digit_from_left_to_right(digits: np.ndarray, gap: int) -> None:
    right = 0
    for start in range(0, 100, 10):
        line = list(digits[start : start + 10])
        found = find_digits(on_a_page([line], gap))
        assert {each.line for each in found} == {0}
        assert boxes_of(found) == sorted(boxes_of(found))
        widths = [digit.shape[1] for digit in line]
        if len(found) == 10:
            off = np.abs(np.subtract([each.digit.width for each in found], widths))
            right += int((off <= 8).sum())
    assert right >= 98


def test_each_digit_is_as_if_it_stood_alone(digits: np.ndarray) -> None:
    line = list(digits[:8])
    found = find_digits(on_a_page([line], 12))
    for digit, each in zip(line, found, strict=True):
        alone = normalise(on_a_page([[digit]], 0)).image
        assert np.corrcoef(alone.ravel(), each.digit.image.ravel())[0, 1] > 0.9


def test_a_page_is_read_line_by_line(digits: np.ndarray) -> None:
    lines = [list(digits[start : start + 8]) for start in range(0, 40, 8)]
    found = find_digits(on_a_page(lines, 15))
    assert [each.line for each in found] == [line for line in range(5) for _ in range(8)]
    tops = [np.mean([each.digit.y for each in found if each.line == line]) for line in range(5)]
    assert tops == sorted(tops)


def test_a_line_that_rises_across_the_page_is_one(digits: np.ndarray) -> None:
    picture = on_a_page([list(digits[:10]), list(digits[10:20])], 15)
    leaning = Image.fromarray(picture).rotate(4, expand=True, fillcolor=235)
    found = find_digits(np.asarray(leaning))
    assert [each.line for each in found] == [0] * 10 + [1] * 10


def test_a_single_digit_is_what_normalise_makes_of_it(digits: np.ndarray) -> None:
    picture = on_a_page([[digits[0]]], 0)
    (found,) = find_digits(picture)
    alone = normalise(picture)
    assert np.array_equal(found.digit.image, alone.image)
    assert (found.digit.x, found.digit.y) == (alone.x, alone.y)
    assert (found.line, found.clear) == (0, True)


def test_an_image_in_mnists_form_passes_unchanged(shared_data: Path) -> None:
    content = gzip.decompress((shared_data / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())
    image = np.frombuffer(content, np.uint8, offset=16, count=784).reshape(28, 28)
    (found,) = find_digits(image)
    assert np.array_equal(found.digit.image, image)


def test_the_cells_of_a_form_are_not_digits(digits: np.ndarray) -> None:
    picture = Image.fromarray(on_a_page([list(digits[20:25])], 40, margin=40))
    pen = ImageDraw.Draw(picture)
    for each in find_digits(np.asarray(picture)):
        left, top = each.digit.x - 12, each.digit.y - 12
        right, bottom = left + each.digit.width + 24, top + each.digit.height + 24
        pen.rectangle((left, top, right, bottom), outline=120, width=2)
    assert len(find_digits(np.asarray(picture))) == 5


def test_boxes_are_those_of_the_whole_picture(digits: np.ndarray) -> None:
    sheet = on_a_page([list(digits[:4])], 15, margin=40)
    table = np.full((sheet.shape[0] + 200, sheet.shape[1] + 260), 60, np.uint8)
    table[90 : 90 + sheet.shape[0], 120 : 120 + sheet.shape[1]] = sheet
    expected = [
        (x + 120, y + 90, width, height) for x, y, width, height in boxes_of(find_digits(sheet))
    ]
    found = boxes_of(find_digits(table))
    assert len(found) == 4
    assert np.abs(np.subtract(found, expected)).max() <= 2


def test_specks_are_no_digits(digits: np.ndarray) -> None:
    picture = on_a_page([list(digits[:5])], 30)
    random = np.random.default_rng(0)
    for row, column in random.integers(0, np.array(picture.shape) - 3, (30, 2)):
        picture[row : row + 3, column : column + 3] = 60
    assert len(find_digits(picture)) == 5


def test_clearly_touching_digits_are_parted(digits: np.ndarray) -> None:
    picture = Image.new("L", (260, 120), 240)
    pen = ImageDraw.Draw(picture)
    for left in (40, 130):
        pen.ellipse((left, 25, left + 60, 95), outline=20, width=7)
    pen.line((95, 62, 135, 62), fill=20, width=6)
    found = find_digits(np.asarray(picture))
    assert [each.clear for each in found] == [True, True]
    assert found[0].digit.x + found[0].digit.width <= found[1].digit.x


def test_digits_run_into_each_other_are_not_parted_blindly() -> None:
    picture = Image.new("L", (300, 120), 240)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((40, 30, 230, 90), outline=20, width=8)
    pen.line((60, 90, 120, 30, 180, 90), fill=20, width=8)
    found = find_digits(np.asarray(picture))
    assert [each.clear for each in found] == [False]


def test_an_empty_page_holds_none() -> None:
    noise = np.random.default_rng(0).normal(230, 3, (400, 300))
    assert find_digits(np.clip(noise, 0, 255).astype(np.uint8)) == []


def test_what_is_no_grey_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="need a grey picture"):
        find_digits(np.zeros((28, 28)))
