"""How a table differs from its reference: a panel for each column, bars for before and now.

Shares are drawn on a scale of square roots, on which rare cells can be seen too.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, PercentFormatter

from digitflow.evaluation.drawing import (
    BLUE,
    GREY,
    INK,
    SOFT,
    VERMILION,
    dress_axes,
    new_figure,
    short,
)
from digitflow.evaluation.profiles import SCALES, ColumnShift

_PER_ROW = 3  # panels
_MOST_NAMES = 16  # cells that can be named below a panel
_MARKED_SHARES = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1)
_ALARMING = ("shifted", "drifted")


def drift_figure(columns: Sequence[ColumnShift], title: str) -> Figure:
    """Draw the share of each cell in the reference and now.

    Parameters
    ----------
    columns : sequence of ColumnShift
        At least one. Those that have shifted or drifted are drawn in another colour.
    title : str
        The verdict, in words.
    """
    n_rows = -(-len(columns) // _PER_ROW)
    figure = new_figure(12, 2.7 * n_rows + 0.9)
    panels = figure.subplots(n_rows, _PER_ROW, squeeze=False).ravel()
    for axes, column in zip(panels, columns, strict=False):
        _draw_column(axes, column)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    colours = {"before": GREY, "now": BLUE, "now, shifted or drifted": VERMILION}
    keys = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=3, fontsize=10, frameon=False)
    figure.suptitle(title, fontsize=14, color=INK, parse_math=False)
    return figure


def _draw_column(axes: Axes, column: ColumnShift) -> None:
    places = np.arange(len(column.cells))
    colour = VERMILION if column.verdict in _ALARMING else BLUE
    axes.bar(places - 0.2, column.before, 0.4, color=GREY)
    axes.bar(places + 0.2, column.now, 0.4, color=colour)
    dress_axes(axes)
    axes.set_title(
        f"{_heading(column)}: {column.verdict}, {column.distance:.3f}",
        fontsize=11,
        color=colour if column.verdict in _ALARMING else INK,
        loc="left",
    )
    axes.set_xlabel(column.change, fontsize=9, color=SOFT, parse_math=False)
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.yaxis.set_major_locator(FixedLocator(_MARKED_SHARES))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_ylim(0, 1.08 * max(*column.before, *column.now))
    every = -(-len(places) // _MOST_NAMES)
    names = [_name(column, cell) for cell in column.cells]
    axes.set_xticks(places[::every], names[::every], parse_math=False)
    axes.tick_params(axis="x", labelsize=8.5)


def _heading(column: ColumnShift) -> str:
    scale = SCALES.get(column.column)
    name = column.column.replace("_", " ")
    return f"{name} ({scale.unit.strip()})" if scale is not None and scale.unit else name


def _name(column: ColumnShift, cell: str) -> str:
    scale = SCALES.get(column.column)
    if scale is None:
        return short(cell, 14)
    if scale.unit == "%":
        percentage = 100 * float(cell)
        return f"{percentage:.4g}" if percentage > 90 else f"{percentage:.2g}"
    return cell if float(cell) >= 8 else f"{float(cell):.2g}"
