"""Ink stays to be seen whatever its colour, and ordinary pictures stay Pillow's brightness."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from digitflow.images import grey
from digitflow.images.grey import array_to_grey, to_grey
from digitflow.images.normalising import normalise
from digitflow.images.reading import decode_image

Colour = tuple[int, int, int]

WHITE, BLACK, YELLOW, RED = (255, 255, 255), (10, 10, 15), (255, 255, 0), (220, 40, 20)
GREEN_AS_BRIGHT_AS_RED = (0, 155, 0)

STROKES = np.zeros((60, 48), bool)
STROKES[8:14, 10:38] = STROKES[8:52, 32:38] = True  # a 7

#: Ink and paper that brightness tells apart.
ORDINARY = [
    (BLACK, WHITE),
    ((35, 45, 130), (240, 236, 225)),
    ((150, 30, 40), (235, 235, 240)),
    ((60, 60, 60), (200, 190, 150)),
    ((240, 240, 235), (20, 60, 40)),
    ((200, 200, 200), WHITE),
]
#: Ink and paper that it does not.
COLOURFUL = [
    (YELLOW, WHITE),
    (GREEN_AS_BRIGHT_AS_RED, RED),
    (RED, GREEN_AS_BRIGHT_AS_RED),
    ((255, 150, 200), (200, 215, 150)),
]


def written(ink: Colour, paper: Colour, noise: float = 0) -> Image.Image:
    """Return a picture of a 7."""
    picture = np.where(STROKES[..., np.newaxis], ink, paper).astype(np.float64)
    picture += noise * np.random.default_rng(0).standard_normal(picture.shape)
    return Image.fromarray(np.clip(picture.round(), 0, 255).astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def contrast(pixels: np.ndarray) -> float:
    """Return by how many grey levels ink and paper differ, noise aside."""
    return abs(float(np.median(pixels[STROKES])) - float(np.median(pixels[~STROKES])))


def finds_the_strokes(pixels: np.ndarray) -> bool:
    """Tell whether the digit is found where it is, whole and alone."""
    found = normalise(pixels)
    box = (found.x, found.y, found.width, found.height)
    return not found.blank and np.abs(np.subtract(box, (10, 8, 28, 44))).max() <= 2


@pytest.mark.parametrize(("ink", "paper"), COLOURFUL)
@pytest.mark.parametrize("noise", [0, 4])
def test_ink_as_bright_as_its_paper_is_seen_by_its_colour(ink: Colour, paper: Colour, noise: float):
    image = written(ink, paper, noise)
    pixels = to_grey(image)
    assert contrast(pixels) > 1.5 * contrast(np.asarray(image.convert("L")))
    assert contrast(pixels) > 40
    assert finds_the_strokes(pixels)
    assert finds_the_strokes(decode_image(jpeg(image)).pixels)


@pytest.mark.parametrize(("ink", "paper"), ORDINARY)
@pytest.mark.parametrize("noise", [0, 4])
def test_ordinary_ink_keeps_its_brightness_exactly(ink: Colour, paper: Colour, noise: float):
    image = written(ink, paper, noise)
    assert np.array_equal(to_grey(image), np.asarray(image.convert("L")))
    decoded = np.asarray(Image.open(io.BytesIO(jpeg(image))).convert("L"))
    assert np.array_equal(decode_image(jpeg(image)).pixels, decoded)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "YCbCr", "P", "LA", "RGBa", "La"])
def test_grey_stored_as_colour_stays_exact(mode: str):
    # Hardly any noise: what there is may not be taken for colour.
    plain = np.asarray(written((40, 40, 40), (250, 250, 250), noise=1).getchannel(0))
    image = Image.fromarray(plain)
    for step in {"RGBa": "RGBA", "La": "LA"}.get(mode, mode), mode:
        image = image.convert(step)
    assert np.abs(to_grey(image).astype(int) - plain).max() <= (1 if mode == "YCbCr" else 0)


def test_a_picture_of_one_colour_stays_its_brightness():
    for size in ((1, 1), (1, 40), (300, 1), (28, 28)):
        assert (to_grey(Image.new("RGB", size, YELLOW)) == 226).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_of_nothing_stays_one(mode: str):
    assert to_grey(Image.new(mode, (0, 5))).shape == (5, 0)


def test_palettes_and_opaque_layers_are_seen_by_their_colour_too():
    image = written(YELLOW, WHITE)
    pixels = to_grey(image)
    for mode in ("P", "RGBA", "RGBX"):
        assert np.array_equal(to_grey(image.convert(mode)), pixels), mode
    assert np.array_equal(array_to_grey(np.asarray(image)), pixels)
    assert contrast(pixels) > 100


def canvas(colours: list[Colour]) -> Image.Image:
    """Return strokes on nothing, each column of one of these colours."""
    picture = np.zeros((*STROKES.shape, 4), np.uint8)
    for column, colour in enumerate(np.array(colours)[np.arange(48) // 12 % len(colours)]):
        picture[:, column][STROKES[:, column]] = (*colour, 255)
    return Image.fromarray(picture)


@pytest.mark.parametrize(
    "colours",
    [
        [BLACK],
        [YELLOW],
        [(127, 127, 127)],
        [RED, GREEN_AS_BRIGHT_AS_RED],
        [RED, YELLOW],
        [(0, 0, 255), (60, 120, 255)],
        [BLACK, BLACK, BLACK, (180, 180, 180)],
    ],
)
def test_strokes_of_any_colours_show_on_a_transparent_canvas(colours: list[Colour]):
    pixels = to_grey(canvas(colours))
    paper = int(pixels[0, 0])
    assert paper in (0, 255)
    assert (pixels[~STROKES] == paper).all()
    assert np.abs(pixels[STROKES].astype(int) - paper).min() >= 60
    assert finds_the_strokes(pixels)
    # Pillow keeps premultiplied colours too.
    assert np.array_equal(to_grey(canvas(colours).convert("RGBa")), pixels)


def fading(image: Image.Image) -> Image.Image:
    """Return a picture whose upper edge is transparent."""
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


NUMBERS = np.arange(60 * 48).reshape(60, 48)
MODES: dict[str, Callable[[], Image.Image]] = {
    "yellow": lambda: written(YELLOW, WHITE, noise=3),
    "black": lambda: written(BLACK, WHITE, noise=3),
    "palette": lambda: written(YELLOW, WHITE).convert("P"),
    "CMYK": lambda: written(YELLOW, WHITE, noise=3).convert("CMYK"),
    "1": lambda: written(BLACK, WHITE).convert("1"),
    "LAB": lambda: Image.frombytes("LAB", (48, 60), bytes(range(240)) * 36),
    "canvas": lambda: canvas([RED, YELLOW]),
    "fading": lambda: fading(written(BLACK, WHITE, noise=3)),
    "16 bits": lambda: Image.fromarray((NUMBERS * 20).astype(np.uint16)),
    "16 bits, big-endian": lambda: Image.frombytes(
        "I;16B", (48, 60), (NUMBERS * 20).astype(">u2").tobytes()
    ),
    "32 bits": lambda: Image.fromarray((NUMBERS - 99).astype(np.int32)),
    "floats": lambda: Image.fromarray((NUMBERS / 7 - 9).astype(np.float32)),
}


@pytest.mark.parametrize("mode", MODES)
def test_large_pictures_are_converted_in_parts_and_come_out_the_same(
    mode: str, monkeypatch: pytest.MonkeyPatch
):
    image = MODES[mode]()
    pixels = to_grey(image)
    assert np.array_equal(to_grey(image), pixels)
    monkeypatch.setattr(grey, "_PART", 7 * 48)
    assert np.array_equal(to_grey(image), pixels)
