"""How pictures are judged: brought into MNIST's form, read by a model, drawn to be looked at."""

import io
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from digitflow.errors import ImageError
from digitflow.images.normalising import normalise
from digitflow.images.placing import SIDE
from digitflow.images.reading import ReadImage
from digitflow.models.predictor import Predictor

_Picture = TypeVar("_Picture")

# Of a contact sheet, px: a picture's side, a line of text, between pictures, from one to the next.
_TILE, _TEXT, _GAP = 112, 14, 6
_PITCH = 2 * _TILE + _GAP, _TILE + _TEXT + _GAP
_GROUND = (150, 170, 190)


@dataclass(frozen=True)
class Reading:
    """What a model made of one picture."""

    name: str  # of the picture
    label: str
    prediction: str | None  # None where no digit was found
    confidence: float  # probability of the prediction; 0 where there is none
    image: np.ndarray  # uint8 (28, 28), what the network saw
    milliseconds: float  # from the picture to that

    @property
    def right(self) -> bool:
        """Return whether the prediction is the label."""
        return self.prediction == self.label

    def describe(self) -> dict[str, Any]:
        """Return what a result file tells of a misread picture."""
        told = {"name": self.name, "label": self.label, "prediction": self.prediction}
        return told | {"confidence": round(self.confidence, 4)}


def read_pictures(
    predictor: Predictor,
    pictures: Iterable[tuple[str, str, _Picture]],
    prepare: Callable[[_Picture], np.ndarray | None],
) -> list[Reading]:
    """Return what a model reads in pictures.

    Parameters
    ----------
    predictor : Predictor
    pictures : iterable of (name, label, picture)
    prepare : callable
        Takes a picture and returns it in MNIST's form, uint8 (28, 28), or None for no digit.
    """
    facts, images, found = [], [], []
    for name, label, picture in pictures:
        started = time.perf_counter()
        image = prepare(picture)
        facts.append((name, label, 1000 * (time.perf_counter() - started)))
        found.append(image is not None)
        images.append(np.zeros((SIDE, SIDE), np.uint8) if image is None else image)
    probabilities = predictor.predict_proba(np.array(images))
    class_names = predictor.bundle.class_names
    return [
        Reading(
            name,
            label,
            class_names[int(row.argmax())] if one_found else None,
            float(row.max()) if one_found else 0.0,
            image,
            milliseconds,
        )
        for (name, label, milliseconds), image, one_found, row in zip(
            facts, images, found, probabilities, strict=True
        )
    ]


def normalised(read: Callable[[_Picture], ReadImage], picture: _Picture) -> np.ndarray | None:
    """Return a picture as digitflow brings it into MNIST's form; None for no digit, or no image."""
    try:
        found = normalise(read(picture).pixels)
    except ImageError:
        return None
    return None if found.blank else found.image


def accuracy(readings: Sequence[Reading]) -> float:
    """Return the share that was read right."""
    return sum(reading.right for reading in readings) / len(readings)


def draw_sheet(
    groups: Iterable[tuple[str, Sequence[tuple[bytes, Reading]]]], columns: int = 10
) -> Image.Image:
    """Draw a contact sheet: each picture beside what the network saw, in titled groups.

    Parameters
    ----------
    groups : iterable of (title, pictures)
        Pictures are pairs of an image file's content and what was read in it.
    columns : int
        Most pictures in a line.
    """
    strips = [_draw_group(title, pictures, columns) for title, pictures in groups]
    sheet = Image.new("RGB", (columns * _PITCH[0], sum(strip.height for strip in strips)), _GROUND)
    y = 0
    for strip in strips:
        sheet.paste(strip, (0, y))
        y += strip.height
    return sheet


def _draw_group(title: str, pictures: Sequence[tuple[bytes, Reading]], columns: int) -> Image.Image:
    n_lines = -(-len(pictures) // columns)
    strip = Image.new("RGB", (columns * _PITCH[0], _TEXT + n_lines * _PITCH[1] + _GAP), _GROUND)
    draw = ImageDraw.Draw(strip)
    draw.text((0, 0), title, "black")
    for place, (content, reading) in enumerate(pictures):
        left, top = place % columns * _PITCH[0], _TEXT + place // columns * _PITCH[1]
        seen = Image.fromarray(reading.image).resize((_TILE, _TILE), Image.Resampling.NEAREST)
        strip.paste(_shown(content), (left, top))
        strip.paste(seen, (left + _TILE, top))
        text = f"{reading.name}: {reading.label} "
        text += "" if reading.right else f"read {reading.prediction or 'nothing'} "
        colour = "black" if reading.right else (160, 0, 0)
        draw.text((left, top + _TILE), f"{text}{reading.confidence:.0%}", colour)
    return strip


def _shown(content: bytes) -> Image.Image:
    """Return a picture to look at, within a tile: pink where it is transparent or no image."""
    pink = (255, 190, 200, 255)
    try:
        original: Image.Image = Image.open(io.BytesIO(content))
    except OSError:
        return Image.new("RGB", (_TILE, _TILE), pink[:3])
    if original.mode.startswith("I"):
        original = Image.fromarray((np.asarray(original) >> 8).astype(np.uint8))
    ground = Image.new("RGBA", original.size, pink)
    picture = Image.alpha_composite(ground, original.convert("RGBA")).convert("RGB")
    picture.thumbnail((_TILE, _TILE))
    return picture
