"""A digit reader: from one image to what it says, as the scored table would."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digitflow.images.normalising import normalise
from digitflow.images.reading import decode_image, read_image
from digitflow.models.bundle import Bundle
from digitflow.models.predictor import Predictor

#: Status, reason and message of an image without ink.
BLANK = ("blank", "no_ink", "nothing is written here")


@dataclass(frozen=True)
class Reading:
    """What was read in an image; statuses and reasons are those of the scored table."""

    status: str  # "ok", "uncertain" or "blank"
    reason: str | None  # for all but "ok", for example "low_confidence"
    message: str | None  # one line a person can act on
    label: str | None  # the most probable class; None where the image is blank
    confidence: float | None  # its calibrated probability
    probabilities: dict[str, float]  # of every class, the most probable first
    image: np.ndarray  # what the model saw, uint8 (28, 28)


class DigitReader:
    """Read the digit in an image.

    Parameters
    ----------
    model : str, Path or None
        A model's name, `name@version`, or a bundle's folder; None is the default model.

    Raises
    ------
    UnknownModelError, BundleError
        If there is no such model, or its bundle is damaged.

    Examples
    --------
    >>> from digitflow import DigitReader
    >>> reader = DigitReader()
    >>> reading = reader.read("photo.jpg")  # doctest: +SKIP
    >>> reading.label, reading.confidence  # doctest: +SKIP
    ('7', 0.998)
    """

    def __init__(self, model: str | Path | None = None) -> None:
        self._predictor = Predictor.load(model)

    def read(self, source: Path | str | bytes) -> Reading:
        """Read one image.

        Parameters
        ----------
        source : Path, str or bytes
            A file's path, or the content of an image file.

        Raises
        ------
        ImageError
            If it cannot be read as an image; `reason` says why.
        """
        if isinstance(source, bytes):
            read = decode_image(source)
        else:
            # Whoever names a link means what it points to.
            read = read_image(os.path.realpath(source), name=str(source))
        found = normalise(read.pixels)
        if found.blank:
            return Reading(*BLANK, None, None, {}, found.image)
        probabilities = self._predictor.predict_proba(found.image[np.newaxis])[0]
        names = self._predictor.bundle.class_names
        order = np.argsort(-probabilities, kind="stable")
        confidence = float(probabilities[order[0]])
        return Reading(
            *judge(confidence, self._predictor.bundle),
            label=names[order[0]],
            confidence=confidence,
            probabilities={names[place]: float(probabilities[place]) for place in order},
            image=found.image,
        )


def judge(confidence: float, bundle: Bundle) -> tuple[str, str | None, str | None]:
    """Return status, reason and message of a digit that was read with this confidence."""
    if confidence < bundle.uncertain_below:
        message = f"confidence {confidence:.3f} is below {bundle.uncertain_below:.3f}"
        return "uncertain", "low_confidence", message
    return "ok", None, None
