"""The robustness picture: a digit under each corruption and severity, and how many are read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from digitflow.evaluation.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    UNCHANGED,
    accuracy_by_corruption,
)
from digitflow.evaluation.digit_grids import draw_digit, tile_canvas
from digitflow.evaluation.drawing import INK, SOFT, WRONG_COLOURS, WRONG_POWER
from digitflow.evaluation.metrics import percent

# One unit is one pixel; a digit of 28 pixels gets three for each of its own.
DIGIT, CELL_WIDTH, CELL_HEIGHT, NAMES, TITLE, HEADER, MARGIN = 84, 206, 96, 148, 50, 40, 14

_COLOUR_SCALE = PowerNorm(gamma=WRONG_POWER, vmin=0, vmax=1)


def robustness_figure(rows: Sequence[Mapping[str, Any]], example: NDArray[np.uint8]) -> Figure:
    """Draw a table of accuracies: corruptions down, severities across, a digit in each cell.

    The darker the orange, the more is misread.

    Parameters
    ----------
    rows : sequence of mapping
        As `digitflow.evaluation.corruptions.measure_robustness` returns it.
    example : ndarray of shape (height, width), uint8
        The digit to show the corruptions on, bright ink on black.

    Raises
    ------
    UsageError
        If the rows are not those of `measure_robustness`.
    """
    accuracies = accuracy_by_corruption(rows)
    (clean,) = accuracies.pop(UNCHANGED)
    width = MARGIN + NAMES + len(SEVERITIES) * CELL_WIDTH + MARGIN
    height = TITLE + HEADER + len(accuracies) * CELL_HEIGHT + MARGIN
    figure, axes = tile_canvas(width, height)
    as_they_are = (
        f"{percent(clean, 1)} of these {rows[0]['n']:,} samples are read right as they are"
    )
    axes.text(MARGIN, TITLE / 2, f"{as_they_are}; corrupted:", fontsize=13, color=INK, va="center")
    for column, severity in enumerate(SEVERITIES):
        text = f"severity {severity}" + {1: ", slight", 5: ", severe"}.get(severity, "")
        x = MARGIN + NAMES + column * CELL_WIDTH + 8
        axes.text(x, TITLE + HEADER / 2, text, fontsize=10.5, color=SOFT, va="center")
    for number, (name, values) in enumerate(accuracies.items()):
        top = TITLE + HEADER + number * CELL_HEIGHT
        axes.text(MARGIN, top + CELL_HEIGHT / 2, name, fontsize=12, color=INK, va="center")
        for column, severity in enumerate(SEVERITIES):
            left = MARGIN + NAMES + column * CELL_WIDTH
            digit = CORRUPTIONS[name](example[None], severity)[0]
            strength = CORRUPTIONS[name].describe(severity)
            _draw_cell(axes, left, top, digit, values[column], strength)
    return figure


def _draw_cell(
    axes: Axes, left: float, top: float, digit: NDArray, accuracy: float, strength: str
) -> None:
    wrong = 1 - accuracy
    box = (left + 1, top + 1), CELL_WIDTH - 2, CELL_HEIGHT - 2
    background = WRONG_COLOURS(_COLOUR_SCALE(wrong))
    axes.add_patch(Rectangle(*box, facecolor=background, linewidth=0, zorder=-1))
    edge = (CELL_HEIGHT - DIGIT) / 2
    draw_digit(axes, digit, left + edge, top + edge, DIGIT)
    colour = "white" if wrong > 0.5 else INK
    x = left + DIGIT + 2 * edge + 4
    axes.text(x, top + 36, percent(accuracy, 1), fontsize=12.5, color=colour, va="center")
    axes.text(x, top + 64, strength, fontsize=9, color=colour, va="center")
