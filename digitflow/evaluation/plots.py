"""Numbers into pictures: each function returns a `matplotlib.figure.Figure` and saves nothing."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError
from digitflow.evaluation.confidence_plots import reliability_figure, risk_coverage_figure
from digitflow.evaluation.digit_grids import (
    augmentation_figure,
    misclassified_figure,
    sample_predictions_figure,
)
from digitflow.evaluation.drawing import (
    BLUE,
    INK,
    PALE,
    RIGHT_COLOURS,
    VERMILION,
    WRONG_COLOURS,
    WRONG_POWER,
    dress_axes,
    new_figure,
    nothing_to_show,
    short,
)
from digitflow.evaluation.metrics import percent
from digitflow.evaluation.robustness_plot import robustness_figure

__all__ = [
    "augmentation_figure",
    "confusion_matrix_figure",
    "confusion_pair_figure",
    "misclassified_figure",
    "reliability_figure",
    "risk_coverage_figure",
    "robustness_figure",
    "sample_predictions_figure",
    "training_history_figure",
]

#: Above this many classes the cells of a confusion matrix hold the count alone.
MOST_CLASSES_WITH_SHARES = 12


def confusion_matrix_figure(matrix: ArrayLike, class_names: Sequence[str], title: str) -> Figure:
    """Draw counts and row shares: hits in blue, mistakes in orange.

    The orange follows the share of the row on a power scale, so that one mistake in a thousand is
    seen. Cells without any are blank. Above 12 classes the percentages are left to the colours,
    and counts that would not fit are left out.

    Parameters
    ----------
    matrix : array-like of shape (k, k), integer
        Rows are the true class.
    class_names : sequence of k str
    title : str

    Raises
    ------
    UsageError
        If the matrix is not square or the names are not as many as its rows.
    """
    k = len(class_names)
    cell = _cell_inches(k)
    figure = new_figure(max(7.2, cell * k + 2.2), cell * k + 1.7)
    _draw_matrix(figure.add_subplot(), matrix, class_names, title)
    return figure


def confusion_pair_figure(
    matrices: Sequence[ArrayLike], class_names: Sequence[str], titles: Sequence[str]
) -> Figure:
    """Draw two confusion matrices of the same classes side by side, each as it is drawn alone.

    Parameters
    ----------
    matrices : sequence of two array-like of shape (k, k), integer
        Rows are the true class.
    class_names : sequence of k str
    titles : sequence of two str

    Raises
    ------
    UsageError
        If a matrix is not square or the names are not as many as its rows.
    """
    k = len(class_names)
    cell = _cell_inches(k)
    figure = new_figure(2 * max(7.2, cell * k + 2.2), cell * k + 1.7)
    for axes, matrix, title in zip(figure.subplots(1, 2), matrices, titles, strict=True):
        _draw_matrix(axes, matrix, class_names, title)
    return figure


def _draw_matrix(axes: Axes, matrix: ArrayLike, class_names: Sequence[str], title: str) -> None:
    counts, k = np.asarray(matrix), len(class_names)
    if counts.shape != (k, k):
        raise UsageError(
            f"confusion matrix of shape {counts.shape}: must be {k} × {k} for {k} class names"
        )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = _cell_inches(k)
    _colour_cells(axes, shares)
    _annotate_cells(axes, counts, shares, cell)
    _label_classes(axes, class_names, cell)
    axes.set_title(title, fontsize=13, pad=12, parse_math=False)


def _cell_inches(k: int) -> float:
    """Return the side of a cell: room for two lines of text, later for one, then for little."""
    if k <= MOST_CLASSES_WITH_SHARES:
        return max(0.72, 4.0 / k)
    return 0.4 if k <= 30 else 0.29


def _colour_cells(axes: Axes, shares: NDArray[np.floating]) -> None:
    is_hit = np.eye(len(shares), dtype=bool)
    common = {"ax": axes, "square": True, "linewidths": 1, "linecolor": PALE}
    seaborn.heatmap(shares, mask=~is_hit, cmap=RIGHT_COLOURS, vmin=0, vmax=1, cbar=False, **common)
    seaborn.heatmap(
        shares,
        mask=is_hit,
        cmap=WRONG_COLOURS,
        norm=PowerNorm(gamma=WRONG_POWER, vmin=0, vmax=1),
        cbar_kws={"ticks": [0, 0.001, 0.01, 0.1, 0.3, 1], "shrink": 0.6, "aspect": 30, "pad": 0.02},
        **common,
    )
    bar = axes.figure.axes[-1]
    bar.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    bar.tick_params(labelsize=9)
    bar.set_ylabel("misread, share of the true class", fontsize=9.5)


def _annotate_cells(
    axes: Axes, counts: NDArray[np.integer], shares: NDArray[np.floating], cell: float
) -> None:
    """Write the counts, large, and the shares under them, small, where there is room."""
    with_shares = len(counts) <= MOST_CLASSES_WITH_SHARES
    # A digit of 9 points is 0.08 inch wide.
    most_digits = int(0.92 * cell / 0.08)
    for row, column in np.argwhere(counts):
        count, share = counts[row, column], shares[row, column]
        on_dark = row != column and share > 0.5
        write = partial(
            axes.annotate,
            xy=(column + 0.5, row + 0.5),
            textcoords="offset points",
            ha="center",
            va="center",
            color="white" if on_dark else INK,
        )
        if with_shares:
            write(f"{count}", xytext=(0, 5), fontsize=12.5)
            small = percent(share, 1).replace("\N{NO-BREAK SPACE}", "\N{THIN SPACE}")
            write(small, xytext=(0, -11), fontsize=9)
        elif len(str(count)) <= most_digits:
            write(f"{count}", xytext=(0, -0.5), fontsize=9)


def _label_classes(axes: Axes, class_names: Sequence[str], cell: float) -> None:
    names = [short(name) for name in class_names]
    # A letter of 11 points is about 0.11 inch wide.
    steep = 90 if max(map(len, names)) * 0.11 > cell else 0
    centres = np.arange(len(names)) + 0.5
    size = 11 if len(names) <= 30 else 9
    axes.set_xticks(centres, names, fontsize=size, rotation=steep, parse_math=False)
    axes.set_yticks(centres, names, fontsize=size, rotation=0, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class", fontsize=11, labelpad=8)
    axes.set_ylabel("true class", fontsize=11, labelpad=8)


def training_history_figure(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draw loss and accuracy by epoch, training and validation, and the learning rate if given.

    The accuracy axis is stretched towards 100 %, as 99 and 99.9 % differ more than 50 and 51 %.

    Parameters
    ----------
    history : mapping of str to sequence of float
        As Keras names them: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``,
        ``learning_rate``; one value per epoch. What is missing is not drawn.
    """
    panels = [
        ("Loss", "loss", "val_loss"),
        ("Accuracy", "accuracy", "val_accuracy"),
        ("Learning rate", "learning_rate", ""),
    ]
    curves = {name: list(values) for name, values in history.items()}
    panels = [panel for panel in panels if curves.get(panel[1]) or curves.get(panel[2])]
    if not panels:
        return nothing_to_show("No training history was recorded")
    figure = new_figure(1.2 + 3.3 * len(panels), 4.5)
    for axes, (name, training, validation) in zip(
        np.ravel(figure.subplots(1, len(panels))), panels, strict=True
    ):
        _dress_curves(axes, name)
        _draw_curve(axes, curves.get(training, []), "training", BLUE, "o-")
        _draw_curve(axes, curves.get(validation, []), "validation", VERMILION, "s--")
        if validation:
            # Outside, as its marks could be taken for data where there is one epoch.
            axes.legend(fontsize=10, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        SCALES[name](axes)
    return figure


#: Where the stretched accuracy axis has its labels, the rounder ones first.
ACCURACY_TICKS = (
    *(0, 0.5, 0.9, 0.99, 0.999, 1, 0.8, 0.95, 0.98, 0.995, 0.998, 0.9995),
    *(0.2, 0.4, 0.6, 0.7, 0.85, 0.97, 0.993, 0.997, 0.1, 0.3, 0.93, 0.96, 0.985, 0.994, 0.996),
)

#: Added to the share of errors, so that an accuracy of 1 has a place on the axis.
ACCURACY_OFFSET = 3e-4


def _dress_curves(axes: Axes, name: str) -> None:
    axes.set_title(name, fontsize=13, color=INK)
    axes.set_xlabel("epoch", fontsize=10.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    dress_axes(axes)


def _draw_curve(axes: Axes, values: Sequence[float], name: str, colour: str, style: str) -> None:
    """Draw one curve; the legend says its last value."""
    if not values:
        return
    last = values[-1]
    label = f"{name}: {percent(last)}" if axes.get_title() == "Accuracy" else f"{name}: {last:.4f}"
    epochs = np.arange(1, len(values) + 1)
    size = 5.5 if len(values) <= 20 else 3
    axes.plot(epochs, values, style, color=colour, label=label, markersize=size, linewidth=1.6)
    axes.set_xlim(0.5, max(len(values) + 0.5, axes.get_xlim()[1]))


def _finite_values(axes: Axes) -> NDArray[np.float64]:
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    return values[np.isfinite(values)]


def _scale_loss(axes: Axes) -> None:
    values = _finite_values(axes)
    if len(values) and values.min() > 0 and values.max() / values.min() > 10:
        axes.set_yscale("log")


def _scale_accuracy(axes: Axes) -> None:
    values = _finite_values(axes)
    if len(values) == 0:
        return
    low, high = float(_stretch(values.min())), float(_stretch(values.max()))
    margin = max(0.08 * (high - low), 0.15)
    low = max(low - margin, float(_stretch(0)))
    high = min(high + margin, float(_stretch(1)) + 0.05)
    axes.set_yscale("function", functions=(_stretch, _shrink))
    axes.set_ylim(float(_shrink(low)), float(_shrink(high)))
    axes.yaxis.set_major_locator(FixedLocator(_ticks_with_room(low, high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))


def _scale_learning_rate(axes: Axes) -> None:
    axes.set_ylim(bottom=0)


SCALES = {
    "Loss": _scale_loss,
    "Accuracy": _scale_accuracy,
    "Learning rate": _scale_learning_rate,
}


def _stretch(accuracy: ArrayLike) -> NDArray[np.float64]:
    """Return the place of an accuracy on the axis: minus the logarithm of the share of errors."""
    errors = 1 + ACCURACY_OFFSET - np.asarray(accuracy, dtype=np.float64)
    return -np.log10(np.maximum(errors, ACCURACY_OFFSET / 2))


def _shrink(place: ArrayLike) -> NDArray[np.float64]:
    return 1 + ACCURACY_OFFSET - 10.0 ** -np.asarray(place, dtype=np.float64)


def _ticks_with_room(low: float, high: float) -> list[float]:
    """Return the ticks between two places that are no nearer to each other than their labels."""
    ticks: list[float] = []
    places: list[float] = []
    for tick in ACCURACY_TICKS:
        place = float(_stretch(tick))
        nearest = min((abs(place - other) for other in places), default=math.inf)
        if low <= place <= high and nearest > 0.06 * (high - low):
            ticks.append(tick)
            places.append(place)
    return sorted(ticks)
