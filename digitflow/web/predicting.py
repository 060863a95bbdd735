"""From an uploaded image to its answer in JSON: what the threads of the pool do."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from digitflow.errors import DigitflowError, ImageError
from digitflow.images.normalising import normalise
from digitflow.images.reading import decode_image
from digitflow.models.judging import BLANK
from digitflow.web.answers import describe_image, json_bytes
from digitflow.web.feedback import FeedbackStore
from digitflow.web.metrics import Metrics
from digitflow.web.problems import ProblemError
from digitflow.web.served_models import ServedModel
from digitflow.web.uploads import Correction, Upload

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadingOptions:
    """How images are to be read."""

    multi: bool = False  # several digits in each
    explain: bool = False  # with what the model saw, and what its answer rests on
    top: int = 3  # how many classes are listed as the most probable


def predict_one(
    served: ServedModel, upload: Upload, options: ReadingOptions, metrics: Metrics
) -> bytes:
    """Return what is said of an image.

    Raises
    ------
    ProblemError
        If it cannot be read.
    """
    start = time.perf_counter()
    try:
        answer = _describe(served, upload, options, metrics)
    except ImageError as error:
        raise _unreadable(error) from error
    spent = {"milliseconds": milliseconds_since(start)}
    return json_bytes({**name_model(served), **answer, **spent})


def predict_one_of_several(
    served: ServedModel, upload: Upload, options: ReadingOptions, metrics: Metrics
) -> bytes:
    """Return what is said of an image, or why it cannot be read: the others still are."""
    try:
        answer = _describe(served, upload, options, metrics)
    except ImageError as error:
        answer = {"error": {"reason": error.reason, "message": error.message}}
    return json_bytes({"name": upload.name, **answer})


def store_corrected(store: FeedbackStore, correction: Correction) -> str:
    """Store an image under its right label, and return the file's name.

    Raises
    ------
    ProblemError
        If it cannot be read, or shows nothing.
    OutputError
        If it cannot be stored.
    """
    upload = correction.upload
    try:
        with _faults_as_image_errors():
            pixels = decode_image(upload.content, upload.name).pixels
            is_blank = normalise(pixels).blank
    except ImageError as error:
        raise _unreadable(error) from error
    if is_blank:  # `load_dataset` would refuse the whole folder
        _, reason, message = BLANK
        raise ProblemError(422, f"{upload.name}: {message}", "image", reason)
    return store.store(pixels, correction.label, correction.notes)


def name_model(served: ServedModel) -> dict[str, str]:
    """Return by what an answer names its model."""
    bundle = served.bundle
    return {"model": bundle.name, "version": bundle.version, "model_id": bundle.model_id}


def milliseconds_since(start: float) -> float:
    """Return the time since a moment of `time.perf_counter`, ms."""
    return round(1000 * (time.perf_counter() - start), 3)


def _describe(
    served: ServedModel, upload: Upload, options: ReadingOptions, metrics: Metrics
) -> dict[str, Any]:
    try:
        with served.reader() as reader, _faults_as_image_errors():
            image = decode_image(upload.content, upload.name)
            if options.multi:
                readings = reader.read_all(image, options.explain)
            else:
                readings = [reader.read(image, options.explain)]
    except ImageError as error:
        metrics.count_fault(error.reason)
        raise
    metrics.count_digits(readings)
    return describe_image(image, readings, served.bundle.class_names, options.top)


@contextmanager
def _faults_as_image_errors() -> Iterator[None]:
    """Tell whatever a file provokes as a fault of the file, as scoring does."""
    try:
        yield
    except DigitflowError:
        raise
    except Exception as error:
        _logger.exception("an image provoked an unexpected error")
        what = " ".join(str(error).split())[:200]
        message = f"unexpected {type(error).__name__} ({what}); please report this file"
        raise ImageError("unreadable", message) from error


def _unreadable(error: ImageError) -> ProblemError:
    return ProblemError(422, error.message, "image", error.reason)
