"""Measure how often what is no digit is taken for one, and how often digits are refused.

    python benchmarks/non_digits.py --output docs/results/non_digits.json

Blank pages, noise, textures, icons (PngSuite), printed letters that no digit looks like, and
scribbles are read as any picture; so are the data set's test digits and real ones. None of these
drawings was trained on: the outliers of the training are drawn otherwise, and without fonts.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from keeping import command_line, machine, write_result
from painting import smooth_noise, to_png
from picture_tables import non_digits_table
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from digitflow import load_dataset, settings
from digitflow.errors import DigitflowError
from digitflow.models.reader import DigitReader

#: Left out are those that someone writes as another does a digit: O, I, l, Z, S, b, g, q, ...
LETTERS = "AEFHKMNPRUVWXachdefhkmnprtuvwxy"
FONTS = ("DejaVuSans", "DejaVuSerif-Bold", "DejaVuSansMono-Oblique", "STIXGeneralItalic")

_SIDE = 120  # px


def blank(random: np.random.Generator) -> np.ndarray:
    """Empty paper, evenly lit or not, with the noise of a camera."""
    light = 1 - random.uniform(0, 0.4) * np.linspace(0, 1, _SIDE)
    paper = random.uniform(120, 250) * np.tile(light, (_SIDE, 1))
    return paper + random.uniform(0, 4) * random.standard_normal(paper.shape)


def noise(random: np.random.Generator) -> np.ndarray:
    """Noise of any grain."""
    grain = np.exp(random.uniform(0, np.log(12)))
    return 128 + random.uniform(20, 90) * smooth_noise((_SIDE, _SIDE), grain, random)


def texture(random: np.random.Generator) -> np.ndarray:
    """Wood, cloth, bricks or gravel."""
    y, x = np.indices((_SIDE, _SIDE)) / _SIDE
    warp = 0.15 * smooth_noise((_SIDE, _SIDE), 40, random)
    length = random.uniform(4, 16)
    kind = random.integers(4)
    if kind == 0:
        value = np.sin(2 * np.pi * length * (x + warp))
    elif kind == 1:
        value = np.sin(2 * np.pi * length * x) * np.sin(2 * np.pi * length * y + warp)
    elif kind == 2:
        row = np.floor(y * length)
        joints = ((y * length) % 1 < 0.15) | ((x * length / 2 + 0.5 * (row % 2)) % 1 < 0.08)
        value = np.where(joints, -1.0, 0.6) + warp
    else:
        stones = random.random((_SIDE, _SIDE)) > 0.997
        value = np.tanh(ndimage.distance_transform_edt(~stones) / 4 - 1.5)
    return 130 + random.uniform(40, 110) * value


def scribble(random: np.random.Generator) -> np.ndarray:
    """Lines of a pen that wanders about, long enough to be no sign."""
    picture = Image.new("L", (_SIDE, _SIDE), 240)
    pen = ImageDraw.Draw(picture)
    n = int(random.integers(25, 120))
    turns = ndimage.gaussian_filter1d(random.normal(0, 2.2, n), random.uniform(0.5, 2))
    angle = np.cumsum(turns) + random.uniform(0, 2 * np.pi)
    steps = random.uniform(8, 20) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    place = np.cumsum(steps, axis=0)
    place = 15 + 90 * (place - place.min(axis=0)) / np.maximum(np.ptp(place, axis=0), 1)
    pen.line(place.ravel().tolist(), fill=30, width=int(random.integers(2, 7)), joint="curve")
    return np.asarray(picture, np.float64)


def letter(random: np.random.Generator) -> np.ndarray:
    """A printed letter that no digit looks like."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(str(folder / f"{random.choice(FONTS)}.ttf"), 80)
    picture = Image.new("L", (_SIDE, _SIDE), 240)
    sign = str(random.choice(list(LETTERS)))
    ImageDraw.Draw(picture).text((60, 60), sign, fill=30, font=font, anchor="mm")
    return np.asarray(picture.rotate(random.uniform(-12, 12), fillcolor=240), np.float64)


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "blank": blank,
    "noise": noise,
    "texture": texture,
    "scribble": scribble,
    "letter": letter,
}


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    reader = DigitReader(options.model)
    found = [
        describe(name, status_of(reader, pictures))
        for name, pictures in choose_pictures(options).items()
    ]
    content = {
        "model": reader.model_id,
        "seed": options.seed,
        "non_digits": found,
        "command": command_of(options),
        **machine(),
    }
    print(non_digits_table(content))
    if options.output:
        write_result(options.output, content)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="name, name@version or folder (default: the current one)")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--pictures", type=int, default=200, help="of each kind (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    return parser.parse_args()


def choose_pictures(options: argparse.Namespace) -> dict[str, Iterable[bytes]]:
    """Return the image files of each kind."""
    pictures: dict[str, Iterable[bytes]] = {
        name: map(partial(paint_picture, name, options.seed), range(options.pictures))
        for name in KINDS
    }
    data = settings.data_folder()
    # Those that begin with x are damaged, and f00 to f04 show the digits of their names.
    icons = sorted((data / "odd-images" / "pngsuite").glob("pngsuite_[!x]*.png"))
    icons = [icon for icon in icons if not icon.name.startswith("pngsuite_f0")]
    if icons:
        pictures["icon"] = contents(icons)
    digits = load_dataset(options.dataset, split="test").images
    pictures["test digit"] = (to_png(image) for image in digits)
    if (data / "real-digits").is_dir():
        real = sorted((data / "real-digits").glob("*/*.png"))
        pictures["real digit"] = contents(real)
    return pictures


def contents(paths: Iterable[Path]) -> Iterator[bytes]:
    """Yield the content of files."""
    for path in paths:
        yield path.read_bytes()


def paint_picture(kind: str, seed: int, number: int) -> bytes:
    """Return the image file of one kind, always the same for its seed and number."""
    random = np.random.default_rng([seed, list(KINDS).index(kind), number])
    return to_png(KINDS[kind](random))


def status_of(reader: DigitReader, pictures: Iterable[bytes]) -> Counter[str]:
    """Count what becomes of pictures."""
    return Counter(reader.read(picture).status for picture in pictures)


def describe(kind: str, statuses: Counter[str]) -> dict[str, Any]:
    """Return what is recorded of one kind."""
    n = sum(statuses.values())
    return {
        "kind": kind,
        "pictures": n,
        "statuses": dict(statuses),
        "refused": 1 - statuses["ok"] / n,
    }


def command_of(options: argparse.Namespace) -> str:
    """Return the command, without what only shows more."""
    return command_line("non_digits", **vars(options) | {"output": None})


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
