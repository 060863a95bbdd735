"""What the API says of images: the answers, and what describes them in the OpenAPI document."""

import base64
import io
import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from digitflow.images.reading import ReadImage
from digitflow.models.reader import Reading, spell

_DIGITS = frozenset("0123456789")

# Pictures of the stages are made no larger than this, px along the longer side.
_STAGE_SIDE = 320

# Odds that change by less than a factor of e hardly matter: maps of such do not glow.
_LEAST_DEPENDENCE = 1.0


class Box(BaseModel):
    """Where a digit is in the upright image, px."""

    x: int
    y: int
    width: int
    height: int


class RankedClass(BaseModel):
    """A class with its probability."""

    label: str
    probability: float


class Stage(BaseModel):
    """A picture on the way from the image to what the model saw."""

    name: str = Field(description="picture, sheet, ink, written, digit or seen")
    png: str = Field(description="a PNG image, base64, shrunk to 320 px")


class Explanation(BaseModel):
    """What the model saw, and what its answer rests on."""

    stages: list[Stage]
    image: str = Field(description="what the model saw: a PNG image of 28×28, base64")
    dependence: str | None = Field(
        description="bright where a change would turn the answer: a PNG image of 28×28, base64; "
        "null where nothing is written"
    )


class Digit(BaseModel):
    """A digit, as a row of the scored table tells of it."""

    segment: int = Field(description="its place in reading order, from 0")
    line: int = Field(description="the line it stands on, from 0")
    status: Literal["ok", "uncertain", "rejected", "blank"]
    reason: str | None = Field(description="for all but ok, for example low_confidence")
    message: str | None = Field(description="one line a person can act on")
    label: str | None = Field(description="the most probable class; null if blank")
    digit: int | None = Field(description="the label as a number, where it is a digit")
    confidence: float | None = Field(description="calibrated probability of the label")
    top: list[RankedClass] = Field(description="the most probable classes")
    probabilities: dict[str, float] = Field(description="of every class; empty if blank")
    box: Box | None = Field(description="null if blank")
    explanation: Explanation | None = Field(description="null unless asked for")


class ImageFacts(BaseModel):
    """What was read of an image file."""

    width: int = Field(description="of the upright image, px")
    height: int = Field(description="of the upright image, px")
    format: str = Field(description="for example PNG")
    mode: str = Field(description="how pixels are stored, as Pillow names it")
    orientation: int = Field(description="as stored in EXIF, 1 to 8; already applied")
    frames: int = Field(description="the first is read")
    polarity: Literal["dark_on_light", "light_on_dark"]


class Prediction(BaseModel):
    """What an image says."""

    model: str = Field(description="its name")
    version: str = Field(description="of the model")
    model_id: str = Field(description="the model's digest, as in the scored table")
    image: ImageFacts
    text: str = Field(description="what the digits spell, with line breaks; empty if blank")
    digits: list[Digit] = Field(description="at least one: that of a blank image says so")
    milliseconds: float = Field(description="that reading it took")


class ImageFault(BaseModel):
    """Why an image could not be read."""

    reason: str = Field(description="as in the scored table")
    message: str = Field(description="one line a person can act on")


class ImageRead(BaseModel):
    """What one image of a batch says."""

    name: str = Field(description="of the file")
    image: ImageFacts
    text: str
    digits: list[Digit]


class ImageRefused(BaseModel):
    """Why one image of a batch could not be read."""

    name: str = Field(description="of the file")
    error: ImageFault


class BatchPrediction(BaseModel):
    """What the images of a batch say."""

    model: str
    version: str
    model_id: str
    results: list[ImageRead | ImageRefused] = Field(description="in the order of the files")
    milliseconds: float


class ModelEntry(BaseModel):
    """One version of a model in the registry."""

    name: str
    version: str
    model_id: str
    network: str | None = Field(description="the name of its kind, if it has one")
    classes: list[str]
    current: bool = Field(description="whether the name alone means this version")


class Manifest(BaseModel, extra="allow"):
    """A model's manifest, as it is in the bundle; there is more in it than is listed here."""

    format: int = Field(description="of the bundle")
    name: str
    version: str
    model_id: str = Field(description="the digest of the manifest, as in the scored table")
    class_names: list[str] = Field(description="in the order of the model's outputs")
    temperature: float
    thresholds: dict[str, Any]


class ModelList(BaseModel):
    """The models that may be asked for."""

    default: str = Field(description="what is used where no model is named")
    feedback: bool = Field(description="whether corrected images are taken")
    models: list[ModelEntry]


class Stored(BaseModel):
    """Where a corrected image was stored."""

    stored: str


class Health(BaseModel):
    """How the server is."""

    status: Literal["alive", "ready"]


def describe_image(
    read: ReadImage, readings: Sequence[Reading], class_names: Sequence[str], top: int
) -> dict[str, Any]:
    """Return what is said of an image.

    Parameters
    ----------
    read : ReadImage
        The image.
    readings : sequence of Reading
        What was read in it, at least one.
    class_names : sequence of str
        In the model's order.
    top : int
        How many of the most probable classes are listed.
    """
    return {
        "image": {
            "width": read.width,
            "height": read.height,
            "format": read.format,
            "mode": read.mode,
            "orientation": read.orientation,
            "frames": read.n_frames,
            "polarity": readings[0].polarity,
        },
        "text": spell(readings),
        "digits": [
            _describe_digit(segment, reading, class_names, top)
            for segment, reading in enumerate(readings)
        ],
    }


def json_bytes(answer: dict[str, Any]) -> bytes:
    """Return an answer as JSON."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _describe_digit(
    segment: int, reading: Reading, class_names: Sequence[str], top: int
) -> dict[str, Any]:
    blank = reading.label is None
    return {
        "segment": segment,
        "line": reading.line,
        "status": reading.status,
        "reason": reading.reason,
        "message": reading.message,
        "label": reading.label,
        "digit": int(reading.label) if reading.label in _DIGITS else None,
        "confidence": reading.confidence,
        "top": [
            {"label": label, "probability": share}
            for label, share in list(reading.probabilities.items())[:top]
        ],
        "probabilities": {}
        if blank
        else {name: reading.probabilities[name] for name in class_names},
        "box": None
        if blank
        else {"x": reading.x, "y": reading.y, "width": reading.width, "height": reading.height},
        "explanation": _describe_explanation(reading) if reading.stages else None,
    }


def _describe_explanation(reading: Reading) -> dict[str, Any]:
    dependence = reading.dependence
    return {
        "stages": [
            {"name": name, "png": _png(stage, _STAGE_SIDE)}
            for name, stage in reading.stages.items()
        ],
        "image": _png(reading.image),
        "dependence": None if dependence is None else _png(_glow(dependence)),
    }


def _glow(dependence: np.ndarray) -> np.ndarray:
    strongest = max(float(dependence.max()), _LEAST_DEPENDENCE)
    return (255 * dependence / strongest).round().astype(np.uint8)


def _png(pixels: np.ndarray, most: int | None = None) -> str:
    """Return a grey picture as a PNG image in base64, its longer side at most so many px."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if most and max(image.size) > most:
        image = image.reduce(-(-max(image.size) // most))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
