"""Pictures of the digits themselves, each with what it is, what was read and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError
from digitflow.evaluation.drawing import (
    BLUE,
    DPI,
    GREY,
    INK,
    VERMILION,
    new_figure,
    nothing_to_show,
    short,
)
from digitflow.evaluation.metrics import percent
from digitflow.evaluation.predictions import check_predictions, predictions_of

# One unit is one pixel at DPI, so that each pixel of a digit becomes a square of whole pixels.
TILE, GAP, TEXT_HEIGHT, MARGIN, TITLE_HEIGHT, COLUMNS = 112, 10, 66, 18, 46, 10

#: Rows of `augmentation_figure` at most.
MOST_ROWS = 8

#: Letters of a class name that fit under a digit.
LONGEST_NAME = 4


def sample_predictions_figure(
    images: NDArray,
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    count: int = 40,
) -> Figure:
    """Draw some digits of every class, right or wrong as they come, each with what was read.

    The choice is the same on every call: classes in turn, each class's digits evenly spaced.

    Parameters
    ----------
    images : ndarray of shape (n, height, width) or (n, height, width, 1)
        Bright ink on black, 0 to 255, or floats from 0 to 1.
    labels : array-like of shape (n,), integer
    probabilities : array-like of shape (n, k), floating
    class_names : sequence of k distinct str
    count : int
        How many digits at most.

    Raises
    ------
    UsageError
        If the arrays do not fit each other.
    """
    tiles = _tiles(images, labels, probabilities, class_names)
    chosen = _evenly_over_classes(tiles.labels, len(class_names), count)
    wrong = int((~tiles.right[chosen]).sum())
    title = f"{len(chosen)} of {len(tiles.labels):,} samples, chosen evenly over the classes"
    return _draw_tiles(tiles, chosen, f"{title}: {wrong or 'none'} misread")


def misclassified_figure(
    images: NDArray,
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    count: int = 40,
) -> Figure:
    """Draw the mistakes, the worst first: those made with the highest confidence.

    Parameters are those of `sample_predictions_figure`. Where there is no mistake, the picture
    says so.

    Raises
    ------
    UsageError
        If the arrays do not fit each other.
    """
    tiles = _tiles(images, labels, probabilities, class_names)
    wrong = np.flatnonzero(~tiles.right)
    if len(wrong) == 0:
        return nothing_to_show(
            f"\N{CHECK MARK}  No mistakes: all {len(tiles.labels):,} samples were read right"
        )
    worst = wrong[np.argsort(-tiles.confidence[wrong], kind="stable")][:count]
    title = f"{len(wrong):,} of {len(tiles.labels):,} misread"
    shown = "surest first" if len(worst) == len(wrong) else f"the {len(worst)} surest"
    return _draw_tiles(tiles, worst, f"{title}: {shown}")


def augmentation_figure(originals: NDArray[np.uint8], augmented: ArrayLike) -> Figure:
    """Draw digits as they are, at the left, and what augmentation makes of each, beside them.

    Parameters
    ----------
    originals : ndarray of shape (n, height, width), uint8
        Bright ink on black. Up to eight are drawn.
    augmented : array-like of shape (n, m, height, width), uint8
        Versions of each. Up to nine are drawn.

    Raises
    ------
    UsageError
        If the arrays do not fit each other.
    """
    originals, augmented = np.asarray(originals), np.asarray(augmented)
    expected = (*originals.shape[:1], *augmented.shape[1:2], *originals.shape[1:])
    if originals.ndim != 3 or augmented.shape != expected or 0 in expected:
        raise UsageError(
            f"augmented images of shape {augmented.shape} for originals of shape"
            f" {originals.shape}: must be (n, m, height, width) for (n, height, width)"
        )
    rows, versions = originals[:MOST_ROWS], augmented[:MOST_ROWS, : COLUMNS - 1]
    # A wider gap parts the originals from what was made of them.
    step, first = TILE + GAP, MARGIN + TILE + 2 * GAP
    width = first + versions.shape[1] * step - GAP + MARGIN
    height = TITLE_HEIGHT + len(rows) * step - GAP + MARGIN
    figure, axes = tile_canvas(max(width, 6 * TILE), height)
    for left, text in ((MARGIN, "original"), (first, "as the network sees it in training")):
        axes.text(left, TITLE_HEIGHT / 2, text, fontsize=13, color=INK, va="center")
    for row, (original, images) in enumerate(zip(rows, versions, strict=True)):
        top = TITLE_HEIGHT + row * step
        draw_digit(axes, original, MARGIN, top, TILE, BLUE, 2.4)
        for column, image in enumerate(images):
            draw_digit(axes, image, first + column * step, top, TILE)
    return figure


def draw_digit(
    axes: Axes,
    image: NDArray,
    left: float,
    top: float,
    side: float,
    colour: str = GREY,
    linewidth: float = 0.6,
) -> None:
    """Draw one digit dark on white, in a frame."""
    brightest = 255 if np.issubdtype(image.dtype, np.integer) or image.max() > 1 else 1
    axes.imshow(
        image,
        extent=(left, left + side, top + side, top),
        cmap="gray_r",
        vmin=0,
        vmax=brightest,
        interpolation="nearest",
    )
    frame = Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=linewidth)
    axes.add_patch(frame)


@dataclass(frozen=True)
class _Tiles:
    """Digits with what was read."""

    images: NDArray  # (n, height, width), bright ink on black
    labels: NDArray[np.intp]  # (n,), index of the true class
    predicted: NDArray[np.intp]  # (n,), index of the predicted class
    confidence: NDArray[np.floating]  # (n,), probability of the predicted class
    class_names: Sequence[str]

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.predicted == self.labels


def _tiles(
    images: NDArray, labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]
) -> _Tiles:
    labels, probabilities = check_predictions(labels, probabilities, class_names)
    images = np.asarray(images)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim != 3 or len(images) != len(labels):
        raise UsageError(
            f"images of shape {images.shape}: must be (n, height, width) with n = {len(labels)}"
        )
    return _Tiles(images, labels, *predictions_of(probabilities), class_names)


def _evenly_over_classes(labels: NDArray[np.intp], k: int, count: int) -> NDArray[np.intp]:
    """Return up to `count` indices: one of each class in turn, then a second of each, and so on."""
    each = -(-count // k)
    rounds = np.full((each, k), -1)
    for index in range(k):
        of_class = np.flatnonzero(labels == index)
        places = np.linspace(0, len(of_class) - 1, min(each, len(of_class))).astype(np.intp)
        rounds[: len(places), index] = of_class[places]
    return rounds[rounds >= 0][:count]


def _draw_tiles(tiles: _Tiles, chosen: NDArray[np.intp], title: str) -> Figure:
    rows = -(-len(chosen) // COLUMNS)
    pitch_x, pitch_y = TILE + GAP, TILE + TEXT_HEIGHT + GAP
    width = 2 * MARGIN + COLUMNS * pitch_x - GAP
    height = TITLE_HEIGHT + rows * pitch_y + MARGIN - GAP
    figure, axes = tile_canvas(width, height)
    axes.text(MARGIN, TITLE_HEIGHT / 2, title, fontsize=13, color=INK, va="center")
    for place, index in enumerate(chosen):
        row, column = divmod(place, COLUMNS)
        _draw_tile(axes, tiles, index, MARGIN + column * pitch_x, TITLE_HEIGHT + row * pitch_y)
    return figure


def tile_canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of so many pixels, and axes over all of it with one unit per pixel."""
    figure = new_figure(width / DPI, height / DPI)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_autoscale_on(False)
    axes.set_axis_off()
    return figure, axes


def _draw_tile(axes: Axes, tiles: _Tiles, index: int, left: float, top: float) -> None:
    """Draw one digit, dark on white, with its text; a mistake gets a thick frame and a cross."""
    right = tiles.predicted[index] == tiles.labels[index]
    frame = (GREY, 0.6) if right else (VERMILION, 2.4)
    draw_digit(axes, tiles.images[index], left, top, TILE, *frame)
    for number, (text, strong) in enumerate(_tile_text(tiles, index)):
        axes.text(
            left + 2,
            top + TILE + 14 + 20 * number,
            text,
            fontsize=10,
            color=VERMILION if strong else INK,
            fontweight="bold" if strong else "normal",
            va="center",
            parse_math=False,
        )


def _tile_text(tiles: _Tiles, index: int) -> list[tuple[str, bool]]:
    """Return the lines under a digit, and whether each has to stand out."""
    true, predicted = tiles.labels[index], tiles.predicted[index]
    wrong = bool(true != predicted)
    cross = "\N{BALLOT X} " if wrong else ""
    return [
        (f"true {short(tiles.class_names[true], LONGEST_NAME)}", False),
        (f"{cross}read {short(tiles.class_names[predicted], LONGEST_NAME)}", wrong),
        (percent(tiles.confidence[index], 1), wrong),
    ]
