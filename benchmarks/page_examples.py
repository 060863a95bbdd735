"""Paint the example pictures of the page: drawn by digitflow's own strokes, and by nobody's hand.

    python benchmarks/page_examples.py digitflow/web/page/examples

The same pictures come out each time. They show what people give the page: a felt pen, a photo in
poor light, chalk, several digits, a digit that is hard to tell, and what is none.
"""

import argparse
from pathlib import Path

import numpy as np
from painting import draw_lines, encode, paint, place, rotate, smooth_noise, take_photo, to_image
from PIL import Image, ImageDraw

from digitflow.drawing.digit_forms import FORMS
from digitflow.drawing.letter_forms import DRAWINGS
from digitflow.drawing.strokes import Form, write_form

SIDE = 320  # px of a picture
_FINENESS = 4  # strokes are drawn at so many times the size

_WHITE = (252, 251, 247)
_INK = (32, 34, 40)


def main() -> None:
    """Write all pictures into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures().items():
        content = encode(to_image(picture), "JPEG", quality=80)
        if name.endswith(".png"):
            content = encode(to_image(picture).quantize(32), "PNG", optimize=True)
        (folder / name).write_bytes(content)


def pictures() -> dict[str, np.ndarray]:
    """Return each example's file name and its picture, (rows, columns, 3), 0 to 255."""
    random = np.random.default_rng(6)
    return {
        "seven.png": paint(centred(FORMS[7]["bar"], 200, 20, random), _INK, _WHITE),
        "photo.jpg": photo(centred(FORMS[2]["loop at the base"], 150, 8, random), random),
        "chalk.png": paint(
            centred(FORMS[5]["one stroke"], 190, 13, random), (238, 238, 228), (38, 62, 54)
        ),
        "number.png": paint(number("40 193", random), (30, 45, 130), _WHITE),
        "unsure.png": paint(
            centred(UNSURE, 190, 16, np.random.default_rng(UNSURE_HAND)), _INK, _WHITE
        ),
        "star.png": paint(centred(DRAWINGS["star"], 190, 12, random), _INK, _WHITE),
    }


#: Between a 1 and a 7, as this hand writes it.
UNSURE: Form = ("10,16 30,6 46,0! 40,50 30,100",)
UNSURE_HAND = 3


def centred(form: Form, height: float, width: float, random: np.random.Generator) -> np.ndarray:
    """Write one form in the middle of a picture, so high and with a pen so wide, px, as ink."""
    ink = written(form, height, width, random)
    top, left = ((SIDE - side) // 2 for side in ink.shape)
    return place(ink, (SIDE, SIDE), top, left)


def number(text: str, random: np.random.Generator) -> np.ndarray:
    """Write digits in a row, a space between groups, as ink."""
    row = np.zeros((SIDE, SIDE), np.float32)
    left = 18
    for sign in text:
        if sign == " ":
            left += 16
            continue
        forms = [form for name, form in FORMS[int(sign)].items() if name != "square"]
        ink = written(forms[random.integers(4)], random.uniform(70, 80), 7, random)
        row += place(ink, row.shape, round(120 + random.uniform(-4, 4)), left)
        left += ink.shape[1] + 9
    return np.clip(row, 0, 1)


def written(form: Form, height: float, width: float, random: np.random.Generator) -> np.ndarray:
    """Write one form by some hand, cut tightly, as ink."""
    lines = write_form(form, 1, random)[0]
    points = np.concatenate(lines)
    scale = _FINENESS * height / np.ptp(points[:, 1])
    margin = _FINENESS * width / 2 + _FINENESS
    columns, rows = np.ceil(np.ptp(points, axis=0) * scale + 2 * margin).astype(int).tolist()
    canvas = Image.new("L", (columns, rows))
    pencil = ImageDraw.Draw(canvas)
    for line in lines:
        path = (line - points.min(axis=0)) * scale + margin
        pencil.line([tuple(point) for point in path], 255, round(_FINENESS * width), "curve")
        for x, y in path[[0, -1]]:
            pencil.circle((x, y), _FINENESS * width / 2, 255)
    size = (columns // _FINENESS, rows // _FINENESS)
    return np.asarray(canvas.resize(size, Image.Resampling.BOX), np.float32) / 255


def photo(ink: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Take a tilted photo of a ruled page under a lamp that stands at its upper left."""
    ink = place(rotate(ink, -7), ink.shape, 85, 90)
    ruled = draw_lines(ink.shape, 40, 1.5, 2, 12)[..., np.newaxis]
    paper = (1 - 0.3 * ruled) * np.array((226, 220, 204)) + 0.3 * ruled * np.array((90, 130, 190))
    y, x = np.indices(ink.shape) / SIDE
    light = 1.02 - 0.62 * np.hypot(x - 0.2, y - 0.15) + 0.02 * smooth_noise(ink.shape, 60, random)
    return take_photo(paint(ink, (38, 48, 110), paper) * light[..., np.newaxis], random, 4, 1)


if __name__ == "__main__":
    main()
