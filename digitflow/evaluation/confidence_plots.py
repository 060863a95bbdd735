"""What a confidence is worth, in two pictures: how true it is, and what refusing the unsure gains.

Each function returns a `matplotlib.figure.Figure` and saves nothing.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike

from digitflow.evaluation.calibration import CALIBRATION_BINS, ReliabilityBins, reliability_bins
from digitflow.evaluation.drawing import BLUE, GREY, INK, SOFT, VERMILION, dress_axes, new_figure
from digitflow.evaluation.metrics import percent, wilson_interval
from digitflow.evaluation.predictions import check_predictions, predictions_of
from digitflow.evaluation.selection import RiskCoverage, risk_coverage

#: Coverages whose risk is written into the picture, as far as they are in sight.
MARKED_COVERAGES = (0.8, 0.9, 0.95, 0.98, 0.99, 1.0)

#: Bins with fewer samples are drawn pale.
FEW_SAMPLES = 10

_REMARK: dict[str, Any] = {"fontsize": 10, "color": SOFT, "va": "center"}
_AS_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def reliability_figure(labels: ArrayLike, probabilities: ArrayLike) -> Figure:
    """Draw the share that is right over the confidence, and below how many samples there are.

    Each point is a bin of `reliability_bins` with the 95 % Wilson interval of its share. Where the
    interval misses the diagonal, the point is a square in another colour; where a bin has few
    samples, it is pale.

    Parameters
    ----------
    labels : array-like of shape (n,), integer
    probabilities : array-like of shape (n, k), floating

    Raises
    ------
    UsageError
        If the arrays do not fit each other.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    predicted, confidence = predictions_of(probabilities)
    bins = reliability_bins(predicted == labels, confidence)
    figure = new_figure(8.4, 7.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    _draw_diagonal(upper)
    _draw_bins(upper, bins)
    upper.set(xlim=(0, 1.005), ylim=(-0.03, 1.03))
    upper.set_ylabel("share that is right", fontsize=10.5)
    upper.yaxis.set_major_formatter(_AS_PERCENT)
    upper.legend(fontsize=10, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    _draw_counts(lower, bins)
    for axes in (upper, lower):
        axes.set_xticks(np.linspace(0, 1, 11))
    return figure


def _draw_diagonal(axes: Axes) -> None:
    """Draw where the points should lie, and say what it means to lie elsewhere."""
    dress_axes(axes, "both")
    axes.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1.2, label="confidence taken at its word")
    axes.text(0.02, 0.93, "above the line: right more\noften than it claims", **_REMARK)
    axes.text(0.98, 0.07, "below the line: right less\noften than it claims", ha="right", **_REMARK)


def _draw_bins(axes: Axes, bins: ReliabilityBins) -> None:
    filled = np.flatnonzero(bins.count)
    x, y = bins.confidence[filled], bins.accuracy[filled]
    intervals = [wilson_interval(int(bins.correct[i]), int(bins.count[i])) for i in filled]
    low, high = np.array(intervals).T
    is_off = (x < low) | (x > high)
    is_few = bins.count[filled] < FEW_SAMPLES
    for chosen, colour, mark, name in (
        (~is_off & ~is_few, BLUE, "o", "samples of like confidence, 95 % interval"),
        (is_off & ~is_few, VERMILION, "s", "further off than chance explains"),
        (is_few, GREY, "d", f"fewer than {FEW_SAMPLES} samples, which tell little"),
    ):
        if chosen.any():
            axes.errorbar(
                x[chosen],
                y[chosen],
                # Rounding may put the share itself a hair outside.
                np.maximum([(y - low)[chosen], (high - y)[chosen]], 0),
                fmt=mark,
                color=colour,
                markersize=7,
                elinewidth=1.6,
                capsize=4,
                label=name,
            )


def _draw_counts(axes: Axes, bins: ReliabilityBins) -> None:
    """Draw the number of samples in each bin, on a logarithmic scale, with the numbers."""
    dress_axes(axes)
    width = 1 / CALIBRATION_BINS
    centres = (np.arange(CALIBRATION_BINS) + 0.5) * width
    # A single sample has to be seen too, hence a foot below 1.
    foot = 0.5
    axes.bar(centres, np.maximum(bins.count - foot, 0), 0.9 * width, bottom=foot, color=GREY)
    for x, count in zip(centres, bins.count, strict=True):
        if count:
            axes.annotate(
                f"{count:,}",
                (x, count),
                xytext=(0, 2),
                textcoords="offset points",
                fontsize=9,
                color=INK,
                ha="center",
            )
    axes.set_yscale("log")
    axes.set_ylim(foot, 6 * max(bins.count.max(), 10))
    axes.yaxis.set_major_locator(LogLocator(numticks=4))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_ylabel("samples", fontsize=10.5)
    axes.set_xlabel("confidence", fontsize=10.5)
    axes.xaxis.set_major_formatter(_AS_PERCENT)


def risk_coverage_figure(labels: ArrayLike, probabilities: ArrayLike) -> Figure:
    """Draw the share of mistakes among the accepted over the share that is accepted.

    Beside the curve are the two ends of what an order by confidence can do: refusing at random,
    and refusing every mistake before anything right.

    Parameters
    ----------
    labels : array-like of shape (n,), integer
    probabilities : array-like of shape (n, k), floating

    Raises
    ------
    UsageError
        If the arrays do not fit each other.
    """
    curve = risk_coverage(labels, probabilities)
    error_rate = float(curve.risk[-1])
    figure = new_figure(8.4, 4.9)
    axes = figure.add_subplot()
    dress_axes(axes, "both")
    lowest = _lowest_coverage(error_rate)
    coverage = np.linspace(lowest, 1, 400)
    ideal = np.maximum(1 - (1 - error_rate) / np.maximum(coverage, 1e-9), 0)
    axes.axhline(error_rate, color=SOFT, linestyle="--", linewidth=1.2, label="refusing at random")
    axes.step(
        np.append(0, curve.coverage),
        np.append(curve.risk[0], curve.risk),
        color=BLUE,
        linewidth=2,
        where="pre",
        label="refusing the least sure first",
    )
    axes.plot(
        coverage,
        ideal,
        color=SOFT,
        linestyle=":",
        linewidth=1.6,
        label="ideal: refusing mistakes first",
    )
    axes.set_xlim(lowest, 1 + 0.006 * (1 - lowest))
    axes.set_ylim(0, 1.15 * max(error_rate, 1e-3))
    _mark_coverages(axes, curve, lowest)
    axes.xaxis.set_major_formatter(_AS_PERCENT)
    axes.yaxis.set_major_formatter(_AS_PERCENT)
    axes.set_xlabel("coverage: share of the samples accepted, the surest first", fontsize=10.5)
    axes.set_ylabel("risk: mistakes among the accepted", fontsize=10.5)
    axes.legend(fontsize=10, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


def _lowest_coverage(error_rate: float) -> float:
    """Return where the coverage axis starts: the better the model, the nearer to 100 %."""
    return max(0.0, 1 - max(0.1, np.ceil(80 * error_rate) / 10))


def _mark_coverages(axes: Axes, curve: RiskCoverage, lowest: float) -> None:
    """Put a dot and the risk at some round coverages, no nearer to each other than their text."""
    span, taken = 1 - lowest, np.inf
    for coverage in reversed(MARKED_COVERAGES):
        if coverage < lowest or taken - coverage < 0.09 * span:
            continue
        taken, risk = coverage, curve.risk_at(coverage)
        axes.plot([coverage], [risk], "o", color=BLUE, markersize=7, clip_on=False, zorder=3)
        axes.annotate(
            percent(risk),
            (coverage, risk),
            xytext=(-5 if coverage > lowest else 5, 7),
            textcoords="offset points",
            fontsize=10.5,
            color=BLUE,
            fontweight="bold",
            ha="right" if coverage > lowest else "left",
        )
