"""What all figures share: how one is made, its colours, how a class is named in it.

No figure goes through pyplot, so that nothing global is touched and nothing has to be closed.
Text never passes through matplotlib's mathematics (`parse_math=False`): a class may be named "$".
"""

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

#: Pixels per inch at which the figures are laid out and should be saved.
DPI = 120

# Blue and vermilion of Okabe & Ito's palette, which colour-blind readers tell apart; the second
# darkened until text in it reads well on white (contrast 5.5).
BLUE, VERMILION = "#0072b2", "#b84a00"
INK, SOFT, GREY, PALE = "#1f2328", "#59636e", "#b5bcc4", "#e6e9ec"

# A share of hits or of mistakes, from none to all.
RIGHT_COLOURS = LinearSegmentedColormap.from_list("right", ["#f2f7fb", "#6fb0da"])
WRONG_COLOURS = LinearSegmentedColormap.from_list(
    "wrong", ["#ffffff", "#fdd9b0", "#f08a3c", "#8c2d04"]
)

#: Exponent of the scale for shares of mistakes: it lets one in a thousand be seen.
WRONG_POWER = 0.3


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, with a canvas that can measure text."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def nothing_to_show(text: str) -> Figure:
    figure = new_figure(7.2, 1.6)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=14, color=INK, parse_math=False)
    return figure


def short(name: str, limit: int = 12) -> str:
    """Return the name on one line, cut where it is too long to draw."""
    name = " ".join(str(name).split())
    return name if len(name) <= limit else name[: limit - 1] + "…"


def dress_axes(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    """Give axes the look of all of them: pale grid lines across an axis or both, no box."""
    axes.grid(axis=grid, color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9.5)
