"""What answers consist of, for the OpenAPI document; `describing` makes them."""

from typing import Any, Literal

from pydantic import BaseModel, Field


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
