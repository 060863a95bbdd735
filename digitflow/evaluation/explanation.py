"""Why pictures were read as they were: the stages on the way, and what an answer rests on."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from digitflow.evaluation.drawing import BLUE, GREY, INK, VERMILION, new_figure, short
from digitflow.evaluation.metrics import percent

#: What each stage is called in the picture.
_STAGES = {
    "picture": "the picture",
    "sheet": "the sheet of paper",
    "ink": "the ink",
    "written": "without lines and frames",
    "digit": "the digit",
    "seen": "what the model sees",
}

# Odds that change by a factor of e for each unit: below that, a place hardly matters.
_LEAST_DEPENDENCE = 1.0

_HEAT = LinearSegmentedColormap.from_list("heat", [(*to_rgb(VERMILION), 0), (*to_rgb("gold"), 0.9)])

_PANEL = 2.3  # inches

_PAIRS = 4  # digits in a row, each with its map


def explanation_figure(
    stages: Mapping[str, np.ndarray],
    dependence: np.ndarray | None,
    probabilities: Mapping[str, float],
    title: str,
) -> Figure:
    """Draw how a picture was read.

    Parameters
    ----------
    stages : mapping of str to ndarray of shape (rows, columns), uint8
        From `normalise(..., explain=True)`, the last of them `seen`.
    dependence : ndarray of shape (28, 28) or None
        From `dependence_map`; None where nothing was read.
    probabilities : mapping of str to float
        Of every class, the most probable first; empty where nothing was read.
    title : str
        What was read, in words.
    """
    n_panels = len(stages) + 2 * (dependence is not None)
    figure = new_figure(_PANEL * n_panels, _PANEL + 0.9)
    panels = iter(figure.subplots(1, n_panels, squeeze=False)[0])
    for name, picture in stages.items():
        _draw_picture(next(panels), picture, _STAGES[name])
    if dependence is not None:
        _draw_dependence(next(panels), stages["seen"], dependence, "what the answer rests on")
        _draw_probabilities(next(panels), probabilities)
    figure.suptitle(title, fontsize=14, color=INK, parse_math=False)
    return figure


def dependence_figure(
    images: np.ndarray, dependence: np.ndarray, captions: Sequence[str]
) -> Figure:
    """Draw digits, each beside what its answer rests on.

    Parameters
    ----------
    images : ndarray of shape (n, rows, columns), uint8
        At least one.
    dependence : ndarray of shape (n, rows, columns)
        Of each, from `dependence_map`.
    captions : sequence of n str
        What is said of each.
    """
    n_rows = -(-len(images) // _PAIRS)
    figure = new_figure(_PANEL * _PAIRS, n_rows * (_PANEL / 2 + 0.35))
    panels = figure.subplots(n_rows, 2 * _PAIRS, squeeze=False).ravel()
    for axes in panels[2 * len(images) :]:
        axes.set_axis_off()
    for place, (image, found, caption) in enumerate(zip(images, dependence, captions, strict=True)):
        _draw_picture(panels[2 * place], image, caption)
        _draw_dependence(panels[2 * place + 1], image, found, "")
    return figure


def _draw_dependence(axes: Axes, image: np.ndarray, dependence: np.ndarray, caption: str) -> None:
    _draw_picture(axes, image // 2, caption)
    strongest = max(float(dependence.max()), _LEAST_DEPENDENCE)
    axes.imshow(dependence, cmap=_HEAT, vmin=0, vmax=strongest, interpolation="bicubic")


def _draw_picture(axes: Axes, picture: np.ndarray, caption: str) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(GREY)
    axes.set_xlabel(caption, fontsize=10.5, color=INK)


def _draw_probabilities(axes: Axes, probabilities: Mapping[str, float]) -> None:
    """Draw the five most probable classes as bars."""
    best = list(probabilities.items())[:5][::-1]
    shares = [share for _, share in best]
    colours = [GREY] * (len(best) - 1) + [BLUE]
    axes.barh(range(len(best)), shares, color=colours)
    axes.set_yticks(range(len(best)), [short(name) for name, _ in best], parse_math=False)
    for place, share in enumerate(shares):
        inside = share > 0.6
        axes.text(
            share + (-0.03 if inside else 0.03),
            place,
            percent(share),
            ha="right" if inside else "left",
            va="center",
            fontsize=9.5,
            color="white" if inside else INK,
        )
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xlabel("probabilities", fontsize=10.5, color=INK)
