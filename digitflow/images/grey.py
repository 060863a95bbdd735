"""Pixels of any kind to grey levels of 0..255."""

import numpy as np
from PIL import Image

# Where colours vary by so many times what brightness does, brightness alone would lose the ink.
_COLOURFUL = 2.5

# Colours are judged on a picture of this many pixels along the longer side at most.
_COLOUR_SIDE = 128

# The share of red, green and blue in brightness (ITU-R BT.601, as Pillow's).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def to_grey(image: Image.Image) -> np.ndarray:
    """Return any Pillow image as grey, uint8 (rows, columns).

    Transparent pictures lie on the paper that their strokes contrast with.
    """
    if image.mode == "L" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith(("I", "F")):
        return _scale_to_bytes(np.asarray(image))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # Pillow converts premultiplied colours in two steps only.
        image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        return _lay_on_paper(np.asarray(image.convert("RGB").convert("L")), alpha)
    if image.mode == "LAB":
        return np.asarray(image.getchannel("L"))
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    return _colour_to_grey(image.convert("RGB"))


def _colour_to_grey(image: Image.Image) -> np.ndarray:
    """Return the brightness of a picture, or the colour that tells its ink from its paper.

    A yellow pen on white, or green on a red as bright, hardly shows in the brightness. There the
    grey levels run along the direction in which the colours differ most (principal component).
    """
    colours = np.asarray(image.reduce(-(-max(image.size) // _COLOUR_SIDE)), np.float32)
    off = colours.reshape(-1, 3) - np.median(colours, axis=(0, 1))
    lengths, directions = np.linalg.eigh(off.T @ off)
    # A grey picture's colours lie along (1, 1, 1), a step in it is √3 steps of brightness.
    if lengths[-1] <= 3 * _COLOURFUL**2 * ((off @ _LUMA) ** 2).sum():
        return np.asarray(image.convert("L"))
    direction = directions[:, -1] * np.copysign(3**-0.5, directions[:, -1].sum())
    middle = 128 - float(direction @ np.median(colours, axis=(0, 1)))
    return np.asarray(image.convert("L", (*direction.tolist(), middle)))


def _scale_to_bytes(values: np.ndarray) -> np.ndarray:
    """Scale 16-bit, 32-bit or float pixels to 0..255 by the range they use.

    Whole numbers that fit 8, 10, 12, 14 or 16 bits are taken as of that depth, floats in 0..1 or
    0..255 as of that range: a dim picture stays dim. Anything else is stretched.
    """
    scaled = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(scaled.min()), float(scaled.max())
    ranges = (1, 255) if values.dtype.kind == "f" else (255, 1023, 4095, 16383, 65535)
    full = float(next((top for top in ranges if high <= top), 0))
    if low < 0 or not full:
        scaled, full = scaled - low, (high - low) or 1.0
    return np.rint(scaled * (255 / full)).astype(np.uint8)


def _lay_on_paper(grey: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay a picture with transparency (uint8, as `grey`) on the paper its strokes contrast with.

    Where the opaque part is small or of one tone, the digit is its shape, and the paper is black
    or white, whichever is farther. Otherwise the opaque part is a picture with paper of its own,
    and that paper's tone fills the rest.
    """
    opaque = alpha >= 128
    if opaque.all() and (alpha == 255).all():
        return grey
    if not opaque.any():
        opaque = alpha > 0
    if not opaque.any():
        return np.full_like(grey, 255)
    tones = grey[opaque]
    tone = float(np.median(tones))
    low, high = np.percentile(tones, (2, 98))
    if opaque.mean() < 0.5 or high - low < 32:
        tone = 255.0 if tone < 128 else 0.0
    share = alpha.astype(np.float32) / 255
    return np.rint(grey * share + tone * (1 - share)).astype(np.uint8)


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
        array = _scale_to_bytes(array)
    return array if array.ndim == 2 else to_grey(Image.fromarray(array))
