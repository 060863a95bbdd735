"""Pixels of any kind to grey levels of 0..255."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image

# So many pixels are converted at a time: large pictures are not held in memory once more.
_PART = 2**17

# Where colours vary by so many times what brightness does, brightness alone would lose the ink.
_COLOURFUL = 2.5

# Colours are judged on a picture of this many pixels along the longer side at most.
_COLOUR_SIDE = 128

# The share of red, green and blue in brightness (ITU-R BT.601, as Pillow's).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def to_grey(image: Image.Image) -> np.ndarray:
    """Return any Pillow image as grey, uint8 (rows, columns).

    Transparent pictures lie on the paper that their strokes contrast with.
    """
    if image.mode == "L" and "transparency" not in image.info:
        return np.asarray(image)
    if 0 in image.size:
        return np.zeros(image.size[::-1], np.uint8)
    convert = _conversion(image)
    grey = np.empty(image.size[::-1], np.uint8)
    for top, part in _parts(image):
        grey[top : top + part.height] = convert(part)
    return grey


def _parts(image: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield the first row and the picture of a multiple of so many rows at a time."""
    width, height = image.size
    rows = max(1, _PART // (width * multiple)) * multiple
    if rows >= height:
        yield 0, image
    else:
        for top in range(0, height, rows):
            yield top, image.crop((0, top, width, min(top + rows, height)))


def _conversion(image: Image.Image) -> Callable[[Image.Image], np.ndarray]:
    """Return what turns each part of a picture grey, chosen by the whole of it."""
    if image.mode.startswith(("I", "F")):
        low, full = _scale_of(np.asarray(part) for _, part in _parts(image))
        return lambda part: _deep_to_grey(np.asarray(part), low, full)
    if image.mode == "LAB":
        return lambda part: np.asarray(part.getchannel("L"))
    if _is_transparent(image):
        paper = _paper_of(image)
        return lambda part: _lay_on_paper(*_grey_and_alpha(part), paper)
    if image.mode in ("1", "LA", "La"):
        return lambda part: np.asarray(part.convert("LA").getchannel("L"))
    colour = _colour_of(image)
    return lambda part: np.asarray(_to_rgb(part).convert("L", colour))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":  # would be copied
        return image
    # Pillow converts premultiplied colours in two steps only.
    return (image.convert("RGBA") if image.mode == "RGBa" else image).convert("RGB")


def _colour_of(image: Image.Image) -> tuple[float, float, float, float] | None:
    """Return the colour that tells a picture's ink from its paper; None where brightness does.

    A yellow pen on white, or green on a red as bright, hardly shows in the brightness. There the
    grey levels run along the direction in which the colours differ most (principal component):
    its shares of red, green and blue, and what is to be added.
    """
    factor = -(-max(image.size) // _COLOUR_SIDE)
    small = [_to_rgb(part).reduce(factor) for _, part in _parts(image, factor)]
    colours = np.concatenate([np.asarray(part, np.float32).reshape(-1, 3) for part in small])
    middle = np.partition(colours, len(colours) // 2, axis=0)[len(colours) // 2]  # the median
    spread = (colours - middle).T @ (colours - middle)
    # A grey picture's colours lie along (1, 1, 1), a step in it is √3 steps of brightness.
    enough = 3 * _COLOURFUL**2 * float(_LUMA @ spread @ _LUMA)
    if float(np.trace(spread)) <= enough:  # in all directions together: most pictures
        return None
    lengths, directions = np.linalg.eigh(spread)
    if lengths[-1] <= enough:
        return None
    direction = directions[:, -1] * np.copysign(3**-0.5, directions[:, -1].sum())
    return (*direction.tolist(), 128 - float(direction @ middle))


def _scale_of(parts: Iterable[np.ndarray]) -> tuple[float, float]:
    """Return the values of 16-bit, 32-bit or float pixels that become 0 and 255.

    Whole numbers that fit 8, 10, 12, 14 or 16 bits are taken as of that depth, floats in 0..1 or
    0..255 as of that range: a dim picture stays dim. Anything else is stretched.
    """
    low, high, kind = np.inf, -np.inf, ""
    for values in map(_finite, parts):
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        kind = values.dtype.kind
    tops = (1, 255) if kind == "f" else (255, 1023, 4095, 16383, 65535)
    top = next((top for top in tops if high <= top), None)
    if low >= 0 and top:
        return 0, top
    return low, high if high > low else low + 1


def _finite(values: np.ndarray) -> np.ndarray:
    is_float = values.dtype.kind == "f"
    return np.nan_to_num(values, posinf=0.0, neginf=0.0) if is_float else values


def _deep_to_grey(values: np.ndarray, low: float, full: float) -> np.ndarray:
    scaled = (_finite(values).astype(np.float64) - low) * (255 / (full - low))
    return np.rint(scaled).astype(np.uint8)


def _is_transparent(image: Image.Image) -> bool:
    """Tell whether any pixel of a picture lets the paper through."""
    if image.mode in _WITH_ALPHA:
        return image.getchannel(len(image.getbands()) - 1).getextrema() != (255, 255)
    if "transparency" not in image.info:
        return False
    return any(_grey_and_alpha(part)[1].min() < 255 for _, part in _parts(image))


def _grey_and_alpha(part: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return the brightness and the opacity of a picture with transparency, uint8 each."""
    # Pillow converts premultiplied colours in two steps only.
    straight = part.convert({"La": "LA", "RGBa": "RGBA"}.get(part.mode, part.mode)).convert("RGBA")
    return np.asarray(straight.convert("L")), np.asarray(straight.getchannel("A"))


def _paper_of(image: Image.Image) -> int:
    """Return the tone of the paper under a picture with transparency, 0 to 255.

    Where the opaque part is small or of one tone, the digit is its shape, and the paper is black
    or white, on whichever more of it shows. Otherwise the opaque part is a picture with paper of
    its own, and that paper's tone fills the rest.
    """
    solid, any_ = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for _, part in _parts(image):
        grey, alpha = _grey_and_alpha(part)
        solid += np.bincount(grey[alpha >= 128], minlength=256)
        any_ += np.bincount(grey[alpha > 0], minlength=256)
    counts = solid if solid.any() else any_
    n_pixels = counts.sum()
    low, middle, high = np.searchsorted(np.cumsum(counts), n_pixels * np.array([0.02, 0.5, 0.98]))
    if n_pixels >= 0.5 * image.width * image.height and high - low >= 32:
        return int(middle)
    tones = np.arange(256)
    # Roots: much ink that shows counts for more than some that stands out.
    return 255 if np.sqrt(255 - tones) @ counts >= np.sqrt(tones) @ counts else 0


def _lay_on_paper(grey: np.ndarray, alpha: np.ndarray, paper: int) -> np.ndarray:
    share = alpha.astype(np.uint16)
    return ((grey * share + paper * (255 - share) + 127) // 255).astype(np.uint8)


def array_to_grey(array: np.ndarray) -> np.ndarray:
    """Return a picture of any kind of numbers as grey, uint8 (rows, columns).

    Parameters
    ----------
    array : ndarray of shape (rows, columns), (rows, columns, 1), (rows, columns, 3) or \
            (rows, columns, 4)
        Grey, red-green-blue, or that with transparency (255 or 1 is opaque); bool, whole numbers
        or floats.

    Raises
    ------
    ValueError
        If it has another shape, no pixel, or other values.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if not is_picture or array.size == 0:
        raise ValueError(
            f"a picture has shape {array.shape}; give (rows, columns), or (rows, columns, 3 or 4) "
            "for colour"
        )
    if array.dtype.kind not in "buif":
        raise ValueError(f"a picture has values of type {array.dtype}; give numbers")
    if array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype != np.uint8:
        array = _deep_to_grey(array, *_scale_of([array]))
    return array if array.ndim == 2 else to_grey(Image.fromarray(array))
