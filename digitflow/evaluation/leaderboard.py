"""Several recipes side by side, best first: a table for programs and a picture for people."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from digitflow import files
from digitflow.errors import UsageError
from digitflow.evaluation.drawing import BLUE, GREY, INK, SOFT, dress_axes, new_figure, short
from digitflow.evaluation.encoding import csv_bytes, png_bytes
from digitflow.evaluation.metrics import percent

#: Names of the files that `write_leaderboard` writes.
LEADERBOARD_CSV, LEADERBOARD_PICTURE = "leaderboard.csv", "leaderboard.png"

#: Rows of the picture at most; the table has all.
MOST_ROWS = 20

#: Characters of a row's name that are drawn.
LONGEST_TEXT = 44

_LINE, _LINES = 52, 2  # characters in a line of parameters, and lines, that are drawn


class Entry(NamedTuple):
    """One row of a leaderboard."""

    name: str
    parameters: Mapping[str, Any] | int | str  # hyper-parameters, or the number of weights
    mean: float  # score from 0 to 1, higher is better; over folds or seeds
    deviation: float | None  # sample standard deviation of the score; None for a single run
    seconds: float  # of one fit


def write_leaderboard(
    folder: str | Path, rows: Sequence[Entry | tuple], *, score_name: str = "accuracy"
) -> list[Entry]:
    """Write `leaderboard.csv` and `leaderboard.png`; the same rows give the same bytes.

    Parameters
    ----------
    folder : path
        Made where it does not exist. An earlier leaderboard in it is replaced.
    rows : sequence of Entry
        In any order; plain tuples of the same five values will do.
    score_name : str
        What the score is, for example ``"accuracy"``.

    Returns
    -------
    list of Entry
        Best first; where two are equal, in the order of their names.

    Raises
    ------
    UsageError
        If there are no rows, or a score is not a share from 0 to 1.
    OutputError
        If the folder cannot be written to.
    """
    entries = rank(rows)
    picture = png_bytes(leaderboard_figure(entries, score_name))
    files.write_bytes(Path(folder) / LEADERBOARD_CSV, csv_bytes(_table(entries, score_name)))
    files.write_bytes(Path(folder) / LEADERBOARD_PICTURE, picture)
    return entries


def rank(rows: Sequence[Entry | tuple]) -> list[Entry]:
    """Return the rows best first.

    Raises
    ------
    UsageError
        If there are no rows, or a score is not a share from 0 to 1.
    """
    entries = [Entry(*row) for row in rows]
    if not entries:
        raise UsageError("no rows for the leaderboard: give at least one")
    for entry in entries:
        if not 0 <= entry.mean <= 1 or not 0 <= (entry.deviation or 0) <= 1:
            raise UsageError(
                f"{entry.name}: score {entry.mean} ± {entry.deviation} is not a share from 0 to 1"
            )
    return sorted(entries, key=lambda entry: (-entry.mean, entry.name))


def leaderboard_figure(entries: Sequence[Entry], score_name: str = "accuracy") -> Figure:
    """Draw a bar for each row, the first one in colour, with ± one standard deviation.

    The axis starts where the rows begin to differ, which the axis label says.

    Parameters
    ----------
    entries : sequence of Entry
        Best first, as `rank` returns them. The first 20 are drawn.
    score_name : str
    """
    shown = entries[:MOST_ROWS]
    figure = new_figure(10.4, 1.5 + 0.68 * len(shown))
    axes = figure.add_subplot()
    dress_axes(axes, "x")
    start, end = _score_range(shown)
    places = np.arange(len(shown))
    colours = [BLUE] + [GREY] * (len(shown) - 1)
    axes.barh(places, [entry.mean - start for entry in shown], 0.62, left=start, color=colours)
    for place, entry in enumerate(shown):
        _draw_texts(axes, place, entry)
        if entry.deviation:
            reach = [
                [entry.deviation],
                [min(entry.deviation, 1 - entry.mean)],
            ]  # no score is above 1
            axes.errorbar(entry.mean, place, xerr=reach, color=INK, elinewidth=1.6, capsize=4)
    axes.set(xlim=(start, end), ylim=(len(shown) - 0.45, -0.55))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.6g} %"))
    from_zero = "" if start == 0 else f" (the axis starts at {100 * start:g} %)"
    axes.set_xlabel(f"{score_name}{from_zero}", fontsize=10.5, parse_math=False)
    axes.set_title(_title(entries), fontsize=13, color=INK, loc="left", pad=10)
    return figure


def _title(entries: Sequence[Entry]) -> str:
    shown = min(len(entries), MOST_ROWS)
    of_all = f" of {len(entries):,}" if shown < len(entries) else ""
    count = f"{shown}{of_all} candidate{'s' if len(entries) > 1 else ''}"
    spread = any(entry.deviation is not None for entry in entries[:MOST_ROWS])
    return f"{count}, best first" + ("; mean ± standard deviation" if spread else "")


def _score_range(shown: Sequence[Entry]) -> tuple[float, float]:
    """Return where the axis starts and ends: 0 or a round number below all, and above all."""
    low = min(entry.mean - (entry.deviation or 0) for entry in shown)
    high = max(entry.mean + (entry.deviation or 0) for entry in shown)
    if high == low:
        return 0.0, max(1.08 * high, 0.01)
    spread = max(high - low, 1e-3)
    step = 10.0 ** np.floor(np.log10(spread))
    start = max(0.0, round(step * np.floor((low - 0.3 * spread) / step), 10))
    # A start a little above 0 would hide a part of each bar for nothing.
    start = 0.0 if start < 0.3 * high else float(start)
    return start, min(high + 0.04 * (high - start), max(1.0, high))


def _draw_texts(axes: Axes, place: float, entry: Entry) -> None:
    """Write name and parameters at the left of a bar, score and seconds at the right."""
    score = percent(entry.mean)
    if entry.deviation is not None:
        score += f" ± {100 * entry.deviation:.2f}"
    seconds = f"{entry.seconds:,.3g} s" if entry.seconds < 10 else f"{entry.seconds:,.0f} s"
    parameters = textwrap.wrap(
        _in_words(entry.parameters), _LINE, max_lines=_LINES, placeholder=" …"
    )
    for x, first, others, ha in (
        (0, short(entry.name, LONGEST_TEXT), parameters, "right"),
        (1, score, [seconds], "left"),
    ):
        lines = [(first, 12, 11, INK)]
        lines += [(text, -1 - 11 * number, 9, SOFT) for number, text in enumerate(others)]
        for text, up, size, colour in lines:
            axes.annotate(
                text,
                (x, place),
                xycoords=("axes fraction", "data"),
                xytext=(-8 if ha == "right" else 8, up),
                textcoords="offset points",
                fontsize=size,
                color=colour,
                ha=ha,
                va="center",
                parse_math=False,
                annotation_clip=False,
            )


def _in_words(parameters: Mapping[str, Any] | int | str) -> str:
    if isinstance(parameters, Mapping):
        return ", ".join(f"{name}={value}" for name, value in parameters.items())
    return f"{parameters:,} parameters" if isinstance(parameters, int) else str(parameters)


def _table(entries: Sequence[Entry], score_name: str) -> list[dict[str, Any]]:
    return [
        {
            "rank": number,
            "name": entry.name,
            score_name: entry.mean,
            "standard deviation": entry.deviation,
            "seconds": entry.seconds,
            "parameters": json.dumps(dict(entry.parameters), default=str, ensure_ascii=False)
            if isinstance(entry.parameters, Mapping)
            else entry.parameters,
        }
        for number, entry in enumerate(entries, start=1)
    ]
