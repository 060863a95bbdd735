"""Where the ink is and how much: a grey picture of any paper, light or polarity to a map of ink."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

# Pictures are searched at this many pixels along the longer side at most.
WORKING_SIDE = 640

# The paper is judged on a picture no larger than this.
_COARSE_SIDE = 96

# Ink fainter than this share of the paper's brightness is not ink (8 grey levels of 255).
_FAINTEST_INK = 0.03

# The polarity is judged on a smaller one still.
_POLARITY_SIDE = 48

# Half of the picture, and no less than this, px: with less around it, a digit that fills its
# picture surrounds the paper more than that surrounds its strokes.
_LEAST_SURROUNDINGS = 9

# Ink that is brighter than its ground stands out by this many grey levels somewhere.
_LEAST_BRIGHT = 4

# Bright ink on a dark ground has to outweigh dark ink by this factor: paper is the rule.
_SURELY = 1.2

# A rim whose tones lie within this many grey levels is of one tone: drawn, not photographed.
_EVEN_RIM = 8

# Where a third of the picture is less than this, px, strokes may be as wide, and the paper's light
# cannot be told from them.
_LEAST_REACH = 5

# Of such a picture, at least this share is paper.
_LEAST_PAPER = 0.2

# Within a third of the picture, paper falls to no less than this share of its brightness.
_DARKEST_SHADE = 0.75

# The threshold for sure ink is at most this share of the strongest ink.
_HIGHEST_THRESHOLD = 0.65

# What has this many times the threshold is all ink: MNIST was made from scans in black and white,
# so strokes are even, and only their edges are grey.
_FULL_INK = 1.4


@dataclass(frozen=True)
class Ink:
    """Where the ink is in a picture that may have been shrunk."""

    amount: np.ndarray  # float32 (rows, columns), 0 paper .. 1 ink
    mask: np.ndarray  # bool (rows, columns), what may be ink, faint strokes included
    strong: np.ndarray  # bool (rows, columns), what surely is ink
    faint: np.ndarray  # bool (rows, columns), the mask with what is fainter still: pale print
    polarity: str  # "dark_on_light" or "light_on_dark"
    factor: int  # pixels of the original for each pixel here, along both sides


def find_ink(grey: np.ndarray, working_side: int = WORKING_SIDE) -> Ink | None:
    """Find the ink of a picture, uint8 (rows, columns); None where there is none.

    It is looked at with at most `working_side` pixels along its longer side.
    """
    factor = -(-max(grey.shape) // working_side)
    small = shrink(grey, factor)
    coarse = shrink(small, -(-max(small.shape) // _COARSE_SIDE))
    dark_on_light = _is_dark_on_light(small)
    if not dark_on_light:
        small, coarse = ~small, ~coarse
    ink = 1 - small / np.maximum(_paper_level(coarse, small.shape), 1)
    noise = _noise(ink)
    if noise > 0.01 and min(ink.shape) > 64:
        ink, noise = _blur(ink, 1.0), noise / 3
    thresholds = _thresholds(ink, noise)
    if thresholds is None:
        return None
    low, high = thresholds
    amount = np.clip(ink / (_FULL_INK * high), 0, 1).astype(np.float32)
    polarity = "dark_on_light" if dark_on_light else "light_on_dark"
    faint = ink > min(max(low / 2, 3 * noise), low)
    return Ink(amount, ink > low, ink > high, faint, polarity, factor)


def with_edges(mask: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Return the ink in a mask and in the pixels next to it, which hold a share of its strokes.

    Parameters
    ----------
    mask : ndarray of shape (rows, columns), bool
    amount : ndarray of shape (rows, columns), float32
        How much ink there is, 0 paper .. 1 ink.

    Returns
    -------
    ndarray of shape (rows, columns), float32
    """
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    return np.where(wide, amount, np.float32(0))


def shrink(grey: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of factor × factor pixels, uint8."""
    return grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))


def _is_dark_on_light(grey: np.ndarray) -> bool:
    """Judge the polarity of a picture by what is narrow: strokes stick out of their surroundings.

    What each pixel differs by from the median around it says nothing of how light changes across
    the paper, of the table the paper lies on, or of how much of the picture is ink.
    """
    small = shrink(grey, -(-max(grey.shape) // _POLARITY_SIDE))
    window = max(_LEAST_SURROUNDINGS, max(small.shape) // 2) | 1
    # Continued as it rises or falls, so that light that changes leaves nothing at the rim.
    half = window // 2
    padded = np.pad(small.astype(np.float32), half, mode="reflect", reflect_type="odd")
    residual = small - _median_around(np.clip(padded, 0, 255), window)
    bright, dark = (float((np.maximum(sign * residual, 0) ** 2).sum()) for sign in (1, -1))
    return bright <= _SURELY * dark or residual.max() < _LEAST_BRIGHT


def _median_around(values: np.ndarray, window: int) -> np.ndarray:
    """Return the median, float32, of each square of `window` (odd) px that lies within a picture.

    A tenth of the time of Pillow's filter, whose cost grows with the square's area as well.
    """
    # Whole numbers of 32 bits are what NumPy selects from fastest on most machines.
    squares = sliding_window_view(values.astype(np.int32), (window, window))
    middle = window**2 // 2
    flat = squares.reshape(*squares.shape[:2], -1)
    return np.partition(flat, middle, axis=-1)[..., middle].astype(np.float32)


def _paper_level(coarse: np.ndarray, shape: tuple[int, int]) -> np.ndarray | float:
    """Estimate the brightness of the paper under the dark ink, float32 of `shape` or one number.

    One tone where the rim is of one tone or the picture is small, otherwise a closing that
    swallows all strokes, smoothed.
    """
    rim = np.concatenate([coarse[0], coarse[-1], coarse[:, 0], coarse[:, -1]])
    low, high = np.percentile(rim, (5, 95))
    if high - low <= _EVEN_RIM:
        return float(np.median(rim))
    stroke = min(coarse.shape) // 3
    if stroke < _LEAST_REACH:
        return float(np.quantile(coarse, 1 - _LEAST_PAPER))
    values = coarse.astype(np.float32)
    paper = _closing(values, stroke)
    # At the rim that takes the brightest within reach. Continuing the picture outwards does not,
    # but swallows strokes along the rim: it is believed where it makes the paper a little darker.
    outer = 2 * stroke
    continued = _closing(np.pad(values, outer, mode="edge"), stroke)[outer:-outer, outer:-outer]
    paper = np.where(continued > _DARKEST_SHADE * paper, continued, paper)
    # Hardly: the edge of a shadow, made soft, leaves a bar of false ink.
    paper = _blur(paper, stroke / 16)
    resized = Image.fromarray(paper).resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _noise(ink: np.ndarray) -> float:
    """Estimate the standard deviation of the noise from neighbouring pixels.

    Where a digit may fill a small picture, its strokes would be taken for noise: 0.
    """
    if min(ink.shape) < 3 * _LEAST_REACH:
        return 0.0
    return _quantile(np.abs(np.diff(ink, axis=1)), 0.5) * 1.4826 / 2**0.5


def _thresholds(ink: np.ndarray, noise: float) -> tuple[float, float] | None:
    """Return the least that may be ink and the least that surely is; None where nothing is ink."""
    ink -= _quantile(ink, 0.25)
    strongest = max(4, min(30, ink.size // 2000))  # a count: small digits in large photos stay
    peak = float(np.partition(ink, -strongest, axis=None)[-strongest]) if ink.size > 4 else 0.0
    if peak < max(_FAINTEST_INK, 5 * noise):
        return None
    floor = max(_FAINTEST_INK / 2, 3 * noise, peak / 4)
    # Where all ink is of one tone, there is nothing to part: stay well below it.
    high = min(otsu(ink[ink > floor], floor, peak), _HIGHEST_THRESHOLD * peak)
    return max(floor, high / 2), high


def _quantile(values: np.ndarray, share: float) -> float:
    """Return what NumPy's `quantile` does, in a fifth of its time, as it selects one value."""
    position = share * (values.size - 1)
    below = int(position)
    ordered = np.partition(values, below, axis=None)
    low, above = ordered[below], ordered[below + 1 :]
    step = above.min() - low if above.size else 0.0
    return float(low + step * (position - below))


def otsu(values: np.ndarray, low: float, high: float) -> float:
    """Return the threshold between low and high that parts values best (Otsu, 1979)."""
    counts, edges = np.histogram(np.clip(values, low, high), bins=128, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    total = sums[-1]
    sums = sums[:-1]
    apart = (sums / np.maximum(below, 1) - (total - sums) / np.maximum(above, 1)) ** 2
    between = below * above * apart
    # In the middle of the gap where several thresholds part equally well.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1:-1][best].mean())


def _blur(values: np.ndarray, radius: float) -> np.ndarray:
    """Blur by about a Gaussian of this standard deviation, px; three passes of a box."""
    size = max(1, round((4 * radius**2 + 1) ** 0.5)) | 1
    for axis in (0, 1) * 3:
        values = _box_mean(values, min(size, values.shape[axis] * 2 - 1 | 1), axis)
    return values


def _box_mean(values: np.ndarray, size: int, axis: int) -> np.ndarray:
    half = size // 2
    width = [(0, 0), (0, 0)]
    width[axis] = (half + 1, half)
    # Continued as it rises or falls, so that a gradient stays one up to the rim.
    padded = np.pad(values, width, mode="reflect", reflect_type="odd")
    running = np.cumsum(padded, axis=axis, dtype=np.float64)
    before, after = (
        (running[:-size], running[size:]) if axis == 0 else (running[:, :-size], running[:, size:])
    )
    return ((after - before) / size).astype(np.float32)


def _closing(values: np.ndarray, size: int) -> np.ndarray:
    """Close dark structures narrower than `size` px; outside the picture nothing counts."""
    return -_sliding_maximum(-_sliding_maximum(values, size), size)


def _sliding_maximum(values: np.ndarray, size: int) -> np.ndarray:
    """Return the maximum over a square of `size` (made odd) px around each pixel."""
    half = size // 2
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (half, half)
        values = np.pad(values, width, constant_values=-np.inf)
        values = values if axis == 0 else values.T
        reach = 1
        while reach < 2 * half + 1:
            step = min(reach, 2 * half + 1 - reach)
            values = np.maximum(values[:-step], values[step:])
            reach += step
        values = values if axis == 0 else values.T
    return values
