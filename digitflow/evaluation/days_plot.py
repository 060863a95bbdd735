"""What came in day by day: how many rows, and which share of them is not simply right."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from digitflow.evaluation.drawing import (
    BLUE,
    GREY,
    INK,
    PALE,
    SOFT,
    VERMILION,
    dress_axes,
    new_figure,
)

_COLOURS = {"uncertain": "#6fb0da", "rejected": GREY, "blank": PALE, "error": VERMILION}
_MOST_NAMES = 15  # days that can be named below a panel


def days_figure(days: Mapping[str, Mapping[str, int]], title: str) -> Figure:
    """Draw the rows of each day, and the shares of those that are not `ok`.

    Parameters
    ----------
    days : mapping of str to mapping of str to int
        For each day, in order, its rows by status; at least one day with a row.
    title : str
        What the days are of.
    """
    figure = new_figure(10, 4.6)
    rows, shares = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.2))
    places = np.arange(len(days))
    totals = np.array([sum(statuses.values()) for statuses in days.values()])
    rows.bar(places, totals, 0.7, color=BLUE)
    rows.set_ylabel("rows", fontsize=10, color=SOFT)
    rows.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    rows.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    below = np.zeros(len(days))
    for status, colour in _COLOURS.items():
        counts = np.array([statuses.get(status, 0) for statuses in days.values()])
        share = counts / np.maximum(totals, 1)
        shares.bar(places, share, 0.7, bottom=below, color=colour, label=status)
        below += share
    shares.set_ylabel("not ok", fontsize=10, color=SOFT)
    shares.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    shares.set_ylim(0, max(0.01, 1.08 * below.max()))
    every = -(-len(days) // _MOST_NAMES)
    names = list(days)[::every]
    shares.set_xticks(places[::every], names, rotation=30, ha="right", parse_math=False)
    for axes in (rows, shares):
        dress_axes(axes)
    figure.legend(loc="outside lower center", ncols=4, fontsize=10, frameon=False)
    figure.suptitle(title, fontsize=13, color=INK, parse_math=False)
    return figure
