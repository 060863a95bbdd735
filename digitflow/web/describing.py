"""What the API says of an image, as `answers` has it."""

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from digitflow.images.reading import ReadImage
from digitflow.models.judging import digit_of
from digitflow.models.reader import Reading, spell

# Pictures of the stages are made no larger than this, px along the longer side.
_STAGE_SIDE = 320

# Odds that change by less than a factor of e hardly matter: maps of such do not glow.
_LEAST_DEPENDENCE = 1.0


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
        "digit": digit_of(reading.label),
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
