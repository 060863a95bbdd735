"""Sheets on a table are found, and nothing else is taken for one."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digitflow.images.normalising import normalise
from digitflow.images.sheets import find_sheet, only_sheet

SEVEN = (150, 80, 210, 80, 165, 165)


def photo(sheet: int, table: int, ink: int, degrees: float = 0.0) -> np.ndarray:
    """Show a written sheet of 180 × 160 px on a table."""
    picture = Image.new("L", (360, 250), table)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((90, 45, 270, 205), fill=sheet)
    pen.line(SEVEN, fill=ink, width=9)
    return np.asarray(picture.rotate(degrees, fillcolor=table, resample=Image.Resampling.BICUBIC))


@pytest.mark.parametrize("degrees", [0, 8, -20])
@pytest.mark.parametrize(
    ("sheet", "table", "ink"),
    [(235, 70, 40), (150, 230, 30), (130, 60, 235), (20, 240, 255), (235, 200, 100)],
)
def test_a_written_sheet_is_found(sheet: int, table: int, ink: int, degrees: float) -> None:
    picture = photo(sheet, table, ink, degrees)
    found = find_sheet(picture)
    assert found is not None
    assert 0.8 * 180 * 160 < found.sum() < 180 * 160
    alone = np.full_like(picture, sheet)
    ImageDraw.Draw(drawn := Image.fromarray(alone)).line(SEVEN, fill=ink, width=9)
    expected = normalise(np.asarray(drawn.rotate(degrees, fillcolor=sheet))).image
    image = normalise(picture).image
    assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.9


def test_what_lies_beside_the_sheet_gets_its_tone() -> None:
    cut, left, top = only_sheet(photo(235, 70, 40, 20), find_sheet(photo(235, 70, 40, 20)))
    assert (cut[0, 0], cut[-1, -1]) == (235, 235)
    assert (left, top) == (pytest.approx(70, abs=25), pytest.approx(25, abs=25))


def drawing(*shapes: tuple) -> np.ndarray:
    picture = Image.new("L", (240, 300), 235)
    pen = ImageDraw.Draw(picture)
    for kind, *where in shapes:
        getattr(pen, kind)(*where[:1], **where[1])
    return np.asarray(picture)


@pytest.mark.parametrize(
    "picture",
    [
        drawing(("ellipse", (60, 60, 180, 240), {"outline": 30, "width": 30})),
        drawing(("rectangle", (100, 40, 140, 260), {"fill": 30})),
        drawing(
            *[("line", (0, at, 240, at), {"fill": 140}) for at in range(10, 300, 40)],
            *[("line", (at, 0, at, 300), {"fill": 140}) for at in range(10, 240, 40)],
            ("line", (90, 80, 150, 80, 105, 200), {"fill": 30, "width": 9}),
        ),
        np.tile(np.linspace(120, 240, 240).astype(np.uint8), (300, 1)),
        np.full((300, 240), 235, np.uint8),
        np.zeros((20, 20), np.uint8),
    ],
    ids=["thick 0", "thick 1", "squared paper", "gradient", "empty", "small"],
)
def test_what_is_no_sheet_is_not_taken_for_one(picture: np.ndarray) -> None:
    assert find_sheet(picture) is None
