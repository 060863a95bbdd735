"""A digit reader: from one image to what it says, as the scored table would."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from digitflow.images.normalising import NormalisedImage, normalise
from digitflow.images.reading import ReadImage, decode_image, read_image
from digitflow.images.segmenting import find_digits
from digitflow.models.explaining import dependence_map
from digitflow.models.judging import BLANK, SEVERAL, TOUCHING, Judgement, familiarity, judge
from digitflow.models.predictor import Predictor

#: Of several digits, so many at most are explained: each takes hundreds of predictions.
MOST_EXPLAINED = 12


@dataclass(frozen=True)
class Reading:
    """What was read in an image; statuses and reasons are those of the scored table."""

    status: str  # "ok", "uncertain", "rejected" or "blank"
    reason: str | None  # for all but "ok", for example "low_confidence"
    message: str | None  # one line a person can act on
    label: str | None  # the most probable class; None where the image is blank
    confidence: float | None  # its calibrated probability
    probabilities: dict[str, float]  # of every class, the most probable first
    x: int  # left edge of the digit's box in the upright image, px; the whole image if blank
    y: int  # top edge, px
    width: int  # px
    height: int  # px
    line: int  # on which line of several it stands, counted from 0
    polarity: str  # "dark_on_light" or "light_on_dark"
    image: np.ndarray  # what the model saw, uint8 (28, 28)
    #: From the picture to what the model saw, uint8 (rows, columns) each; empty if not asked for.
    stages: dict[str, np.ndarray] = field(default_factory=dict)
    #: How much the answer depends on each place of `image`, as from `dependence_map`; as above.
    dependence: np.ndarray | None = None


class DigitReader:
    """Read the digit in an image.

    Parameters
    ----------
    model : str, Path, Predictor or None
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

    def __init__(self, model: str | Path | Predictor | None = None) -> None:
        self._predictor = model if isinstance(model, Predictor) else Predictor.load(model)

    @property
    def model_id(self) -> str:
        """Return the model's digest, as the scored table has it."""
        return self._predictor.bundle.model_id

    def read(self, source: Path | str | bytes | ReadImage, explain: bool = False) -> Reading:
        """Read one image as one digit.

        Parameters
        ----------
        source : Path, str, bytes or ReadImage
            A file's path, the content of an image file, or what was read of one.
        explain : bool
            Keep the stages from the picture to what the model saw, and on what in it the answer
            depends.

        Raises
        ------
        ImageError
            If it cannot be read as an image; `reason` says why.
        """
        read = _open(source)
        found = normalise(read.pixels, explain)
        if found.blank:
            return _reading(found, read.scale, BLANK)
        reading = self._classify([found], [0], [SEVERAL if found.others else None], read.scale)[0]
        return self._explained(reading) if explain else reading

    def read_all(
        self, source: Path | str | bytes | ReadImage, explain: bool = False
    ) -> list[Reading]:
        """Read all digits of an image, line by line and from left to right.

        Parameters
        ----------
        source : Path, str, bytes or ReadImage
            A file's path, the content of an image file, or what was read of one.
        explain : bool
            Tell of the first `MOST_EXPLAINED` digits on what in them the answer depends, and of a
            digit that is alone the stages as well.

        Returns
        -------
        list of Reading
            At least one: that of a blank image says so. `spell` makes text of it.

        Raises
        ------
        ImageError
            If it cannot be read as an image; `reason` says why.
        """
        read = _open(source)
        found = find_digits(read.pixels)
        if not found:
            return [_reading(normalise(read.pixels, explain), read.scale, BLANK)]
        digits = [each.digit for each in found]
        if explain and len(digits) == 1:  # it is what `normalise` finds
            digits = [normalise(read.pixels, explain)]
        lines = [each.line for each in found]
        known = [None if each.clear else TOUCHING for each in found]
        readings = self._classify(digits, lines, known, read.scale)
        n_explained = MOST_EXPLAINED if explain else 0
        return [*map(self._explained, readings[:n_explained]), *readings[n_explained:]]

    def _classify(
        self,
        digits: Sequence[NormalisedImage],
        lines: Sequence[int],
        known: Sequence[Judgement | None],
        scale: float,
    ) -> list[Reading]:
        """Return the readings of digits; of some it is known beforehand what is wrong with them."""
        bundle = self._predictor.bundle
        probabilities = self._predictor.predict_proba(np.stack([digit.image for digit in digits]))
        familiar = familiarity(probabilities, bundle.temperature)
        readings = []
        for digit, line, wrong, shares, likeness in zip(
            digits, lines, known, probabilities.tolist(), familiar.tolist(), strict=True
        ):
            ranked = sorted(zip(bundle.class_names, shares, strict=True), key=lambda pair: -pair[1])
            judged = wrong or judge(ranked[0][1], likeness, bundle)
            readings.append(_reading(digit, scale, judged, ranked, line))
        return readings

    def _explained(self, reading: Reading) -> Reading:
        """Return a reading with what it depends on, and with the last stage at least."""
        return replace(
            reading,
            stages=reading.stages or {"seen": reading.image},
            dependence=dependence_map(self._predictor.predict_proba, reading.image),
        )


def spell(readings: Sequence[Reading]) -> str:
    """Return what the digits of an image spell, a line of text for each of theirs.

    Classes with names of several characters are parted by spaces.
    """
    lines: dict[int, list[str]] = {}
    for reading in readings:
        lines.setdefault(reading.line, []).append(reading.label or "")
    are_words = any(len(label) > 1 for line in lines.values() for label in line)
    return "\n".join((" " if are_words else "").join(line) for line in lines.values())


def _open(source: Path | str | bytes | ReadImage) -> ReadImage:
    if isinstance(source, ReadImage):
        return source
    if isinstance(source, bytes):
        return decode_image(source)
    # Whoever names a link means what it points to.
    return read_image(os.path.realpath(source), name=str(source))


def _reading(
    digit: NormalisedImage,
    scale: float,
    judged: Judgement,
    ranked: Sequence[tuple[str, float]] = (),
    line: int = 0,
) -> Reading:
    """Return the reading of a digit; `scale` is how many px of the original a pixel read was."""
    label, confidence = ranked[0] if ranked else (None, None)
    return Reading(
        *judged,
        label=label,
        confidence=confidence,
        probabilities=dict(ranked),
        x=round(digit.x * scale),
        y=round(digit.y * scale),
        width=round(digit.width * scale),
        height=round(digit.height * scale),
        line=line,
        polarity=digit.polarity,
        image=digit.image,
        stages=digit.stages,
    )
