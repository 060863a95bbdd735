"""What happens to digits in the world, in five severities, and how many are then still read.

Inspired by MNIST-C (Mu, N. & Gilmer, J. (2019). MNIST-C: a robustness benchmark for computer
vision. arXiv:1906.02337) and, for the idea of five severities, by ImageNet-C (Hendrycks, D. &
Dietterich, T. (2019). Benchmarking neural network robustness to common corruptions and
perturbations. ICLR). The results are not comparable with theirs: kinds and strengths are our own.

The digits are corrupted as the network gets them. What normalising would undo in a photo, such
as a shift, shows here how much the network depends on it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from digitflow.errors import UsageError
from digitflow.evaluation.predictions import check_predictions, predictions_of

#: Severities, from slight to severe.
SEVERITIES = (1, 2, 3, 4, 5)

#: Name of the rows of images as they are; their severity is 0.
UNCHANGED = "none"

#: Images that `measure_robustness` takes unless told otherwise: 95 % intervals of ± 0.4 points
#: around 99 %, and seconds for the whole table.
N_IMAGES = 2000

_Change = Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray[Any]]


@dataclass(frozen=True)
class Corruption:
    """One kind of damage; called with images, a severity and a seed it returns damaged images."""

    change: _Change  # (images, level, random) to images, not yet rounded or limited to 0..255
    levels: tuple[float, ...]  # strength at each severity
    unit: str  # what a level means, with {} for the number

    def __call__(
        self, images: NDArray[np.uint8], severity: int, seed: int = 0
    ) -> NDArray[np.uint8]:
        """Return damaged copies; the same seed gives the same damage.

        Parameters
        ----------
        images : ndarray of shape (n, height, width), uint8
            Bright ink on black.
        severity : int
            1 to 5.
        seed : int
            Of what is drawn per image: direction, place or noise. Severities of one seed
            differ in strength alone.

        Returns
        -------
        ndarray of shape (n, height, width), uint8

        Raises
        ------
        UsageError
            If the images are no such array, or there is no such severity.
        """
        level = self.levels[_check_severity(severity) - 1]
        random = np.random.default_rng(seed)
        changed = self.change(_check_images(images), level, random)
        return np.clip(np.rint(changed), 0, 255).astype(np.uint8)

    def describe(self, severity: int) -> str:
        """Return the strength in words, such as ``20°``."""
        return self.unit.format(f"{self.levels[_check_severity(severity) - 1]:g}")


def measure_robustness(
    predict_probabilities: Callable[[NDArray[np.uint8]], ArrayLike],
    images: NDArray[np.uint8],
    labels: ArrayLike,
    *,
    n_images: int = N_IMAGES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the accuracy under each corruption and severity.

    Parameters
    ----------
    predict_probabilities : callable
        Takes images of shape (m, height, width), uint8, and returns probabilities of shape (m, k).
    images : ndarray of shape (n, height, width), uint8
        Bright ink on black.
    labels : array-like of shape (n,), integer
        Index of the true class.
    n_images : int
        How many images at most, evenly spaced over all of them.
    seed : int
        Of the corruptions.

    Returns
    -------
    list of dict
        Keys ``corruption``, ``severity``, ``n`` and ``accuracy``; first the images as they are
        (`UNCHANGED`, severity 0), then each of `CORRUPTIONS` in severities 1 to 5.

    Raises
    ------
    UsageError
        If images, labels and probabilities do not fit each other.
    """
    images, labels = _check_images(images), np.asarray(labels)
    if len(images) == 0 or labels.shape != (len(images),) or n_images < 1:
        raise UsageError(
            f"{len(images)} images, labels of shape {labels.shape}, n_images {n_images}: give at"
            " least one image, and one label for each"
        )
    chosen = np.linspace(0, len(images) - 1, min(n_images, len(images))).astype(np.intp)
    images, labels = images[chosen], labels[chosen]

    def row(corruption: str, severity: int, changed: NDArray[np.uint8]) -> dict[str, Any]:
        true, probabilities = check_predictions(labels, np.asarray(predict_probabilities(changed)))
        accuracy = float((predictions_of(probabilities)[0] == true).mean())
        return {
            "corruption": corruption,
            "severity": severity,
            "n": len(labels),
            "accuracy": accuracy,
        }

    return [row(UNCHANGED, 0, images)] + [
        row(name, severity, corrupt(images, severity, seed))
        for name, corrupt in CORRUPTIONS.items()
        for severity in SEVERITIES
    ]


def accuracy_by_corruption(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return accuracies by corruption, in rising severity; `UNCHANGED` has a single one.

    Parameters
    ----------
    rows : sequence of mapping
        As `measure_robustness` returns it, in any order; corruptions may be missing, not all.

    Raises
    ------
    UsageError
        If a corruption is not known or lacks a severity, or the unchanged images are missing.
    """
    measured = {(row["corruption"], row["severity"]): float(row["accuracy"]) for row in rows}
    found = {name for name, _ in measured}
    names = [name for name in CORRUPTIONS if name in found]
    needed = [(UNCHANGED, 0), *((name, severity) for name in names for severity in SEVERITIES)]
    if not names or set(needed) != set(measured):
        wrong = sorted(set(needed) ^ set(measured))
        raise UsageError(
            f"robustness rows: {wrong or 'no corruption'} missing or not known; give the rows of"
            " measure_robustness"
        )
    table: dict[str, list[float]] = {name: [] for name in [UNCHANGED, *names]}
    for name, severity in needed:
        table[name].append(measured[name, severity])
    return table


def mean_corrupted_accuracy(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean accuracy over all corruptions and severities, the unchanged left out."""
    return float(np.mean([row["accuracy"] for row in rows if row["corruption"] != UNCHANGED]))


def _noise(
    images: NDArray[np.uint8], deviation: float, random: np.random.Generator
) -> NDArray[np.floating]:
    """Add Gaussian noise to each pixel."""
    return images + deviation * random.standard_normal(images.shape, dtype=np.float32)


def _blur(
    images: NDArray[np.uint8], deviation: float, random: np.random.Generator
) -> NDArray[np.floating]:
    """Blur with a Gaussian, as out of focus."""
    floats = images.astype(np.float32)
    return ndimage.gaussian_filter(floats, (0, deviation, deviation), mode="constant")


def _shift(
    images: NDArray[np.uint8], pixels: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Move each image by whole pixels along one axis, this way or that; black comes in."""
    size, by = images.shape[1:], int(pixels)
    padded = np.pad(images, ((0, 0), (by, by), (by, by)))
    way = random.integers(0, 4, len(images))
    # Corners, within the padded image, of the four windows: left, right, up, down.
    corners = [(by, 2 * by), (by, 0), (2 * by, by), (0, by)]
    windows = [padded[:, y : y + size[0], x : x + size[1]] for y, x in corners]
    return np.choose(way[:, None, None], windows)


def _rotation(
    images: NDArray[np.uint8], degrees: float, random: np.random.Generator
) -> NDArray[np.floating]:
    """Turn each image about its middle, clockwise or counter-clockwise."""
    clockwise = random.random(len(images)) < 0.5
    changed = images.astype(np.float32)
    for chosen, angle in ((clockwise, -degrees), (~clockwise, degrees)):
        changed[chosen] = ndimage.rotate(
            changed[chosen], angle, axes=(2, 1), reshape=False, order=1
        )
    return changed


def _thinner(
    images: NDArray[np.uint8], pixels: float, random: np.random.Generator
) -> NDArray[np.floating]:
    return _move_edges(images, pixels / 2, ndimage.grey_erosion)


def _thicker(
    images: NDArray[np.uint8], pixels: float, random: np.random.Generator
) -> NDArray[np.floating]:
    return _move_edges(images, pixels / 2, ndimage.grey_dilation)


def _move_edges(
    images: NDArray[np.uint8], pixels: float, step: Callable[..., NDArray[Any]]
) -> NDArray[np.floating]:
    """Move each edge of the strokes by erosion or dilation, a pixel a step.

    A cross and a square in turn make the neighbourhood an octagon, which is nearly round. A
    fraction of a pixel blends two steps: the edge of a stroke is the ink's share of each pixel.
    """
    whole, fraction = divmod(pixels, 1)
    for number in range(int(whole)):
        images = step(images, footprint=_NEIGHBOURS[number % 2], mode="constant")
    beyond = step(images, footprint=_NEIGHBOURS[int(whole) % 2], mode="constant")
    return (1 - fraction) * images + fraction * beyond


_NEIGHBOURS = (
    ndimage.generate_binary_structure(2, 1)[None],  # the four beside a pixel
    ndimage.generate_binary_structure(2, 2)[None],  # all eight
)


def _occlusion(
    images: NDArray[np.uint8], pixels: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Wipe out a square whose centre lies anywhere in the middle half of height and width."""
    hidden = np.ones(len(images), dtype=bool)[:, None, None]
    for axis, size in ((1, images.shape[1]), (2, images.shape[2])):
        centre = size / 4 + random.random(len(images)) * size / 2
        start = np.rint(centre - pixels / 2)[:, None]
        places = np.arange(size)
        inside = (places >= start) & (places < start + pixels)
        hidden = hidden & np.expand_dims(inside, 3 - axis)
    return np.where(hidden, np.uint8(0), images)


def _contrast(
    images: NDArray[np.uint8], kept: float, random: np.random.Generator
) -> NDArray[np.floating]:
    """Draw all pixels towards the image's mean, so that ink fades and paper darkens."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + kept / 100 * (images - mean)


#: All corruptions by name, in the order of tables and pictures.
CORRUPTIONS = {
    "noise": Corruption(_noise, (15, 30, 45, 60, 75), "σ {} of 255"),
    "blur": Corruption(_blur, (0.5, 0.75, 1, 1.25, 1.5), "σ {} px"),
    "shift": Corruption(_shift, (1, 2, 3, 4, 5), "{} px"),
    "rotation": Corruption(_rotation, (8, 16, 24, 32, 40), "{}°"),
    "thinner stroke": Corruption(_thinner, (0.4, 0.7, 1, 1.3, 1.6), "by {} px"),
    "thicker stroke": Corruption(_thicker, (0.8, 1.6, 2.4, 3.2, 4), "by {} px"),
    "occlusion": Corruption(_occlusion, (2, 4, 6, 8, 10), "{} px square"),
    "contrast": Corruption(_contrast, (85, 70, 55, 40, 25), "{} % kept"),
}


def _check_images(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    images = np.asarray(images)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise UsageError(
            f"images of shape {images.shape}, {images.dtype}: must be (n, height, width), uint8"
        )
    return images


def _check_severity(severity: int) -> int:
    if severity not in SEVERITIES:
        raise UsageError(f"severity {severity}: choose one of 1 to 5")
    return int(severity)
