"""From an uploaded image to its answer in JSON: what the processes that read do.

They know nothing of the web: this imports neither FastAPI nor what stands on it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from digitflow.errors import ImageError
from digitflow.images.normalising import normalise
from digitflow.images.reading import decode_image
from digitflow.models.bundle import Bundle, load_bundle
from digitflow.models.judging import BLANK
from digitflow.models.predictor import Predictor
from digitflow.models.reader import DigitReader
from digitflow.web.describing import describe_image, json_bytes
from digitflow.web.feedback import FeedbackStore

#: So many models are kept ready; each takes some megabytes.
MOST_MODELS = 8


class Upload(NamedTuple):
    """An image file as a client sent it."""

    name: str  # what messages call it
    content: bytes


class ModelPlace(NamedTuple):
    """Where a model lies, and which it was when it was looked at."""

    folder: Path
    model_id: str


@dataclass(frozen=True)
class ReadingOptions:
    """How images are to be read."""

    multi: bool = False  # several digits in each
    explain: bool = False  # with what the model saw, and what its answer rests on
    top: int = 3  # how many classes are listed as the most probable


class Said(NamedTuple):
    """What an image says."""

    content: bytes  # JSON
    judged: tuple[tuple[str, str | None], ...]  # each digit's status and reason, to be counted


def prepare(place: ModelPlace) -> None:
    """Load a model before its first image comes."""
    _ready(place)


def predict_one(place: ModelPlace, upload: Upload, options: ReadingOptions) -> Said:
    """Return what is said of an image.

    Raises
    ------
    ImageError
        If it cannot be read.
    BundleError
        If the model can no longer be loaded.
    """
    start = time.perf_counter()
    answer = _describe(place, upload, options)
    bundle = _ready(place).bundle
    return _said({**name_model(bundle), **answer, "milliseconds": milliseconds_since(start)})


def predict_one_of_several(place: ModelPlace, upload: Upload, options: ReadingOptions) -> Said:
    """Return what is said of one image of a batch, and raise as `predict_one`."""
    return _said({"name": upload.name, **_describe(place, upload, options)})


def store_corrected(
    store: FeedbackStore, upload: Upload, label: str, notes: Mapping[str, str]
) -> str:
    """Store an image under its right label, and return the file's name.

    Raises
    ------
    ImageError
        If it cannot be read, or shows nothing.
    OutputError
        If it cannot be stored.
    """
    pixels = decode_image(upload.content, upload.name).pixels
    if normalise(pixels).blank:  # `load_dataset` would refuse the whole folder
        _, reason, message = BLANK
        raise ImageError(str(reason), f"{upload.name}: {message}")
    return store.store(pixels, label, notes)


def name_model(bundle: Bundle) -> dict[str, str]:
    """Return by what an answer names its model."""
    return {"model": bundle.name, "version": bundle.version, "model_id": bundle.model_id}


def milliseconds_since(start: float) -> float:
    """Return the time since a moment of `time.perf_counter`, ms."""
    return round(1000 * (time.perf_counter() - start), 3)


class _ReadyModel(NamedTuple):
    bundle: Bundle
    reader: DigitReader


@lru_cache(MOST_MODELS)
def _ready(place: ModelPlace) -> _ReadyModel:
    """Return a model, loaded with its first image; the place tells when it is another."""
    bundle = load_bundle(place.folder)
    return _ReadyModel(bundle, DigitReader(Predictor(bundle, batch_size=1)))


def _describe(place: ModelPlace, upload: Upload, options: ReadingOptions) -> dict[str, Any]:
    model = _ready(place)
    image = decode_image(upload.content, upload.name)
    if options.multi:
        readings = model.reader.read_all(image, options.explain)
    else:
        readings = [model.reader.read(image, options.explain)]
    return describe_image(image, readings, model.bundle.class_names, options.top)


def _said(answer: dict[str, Any]) -> Said:
    judged = tuple((digit["status"], digit["reason"]) for digit in answer["digits"])
    return Said(json_bytes(answer), judged)
