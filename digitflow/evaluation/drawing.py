"""What all figures share: how one is made, its colours, how a class is named in it.

No figure goes through pyplot, so that nothing global is touched and nothing has to be closed.
Text never passes through matplotlib's mathematics (`parse_math=False`): a class may be named "$".
"""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Pixels per inch at which the figures are laid out and should be saved.
DPI = 120

# Blue and vermilion of Okabe & Ito's palette, which colour-blind readers tell apart; the second
# darkened until text in it reads well on white (contrast 5.5).
BLUE, VERMILION = "#0072b2", "#b84a00"
INK, GREY, PALE = "#1f2328", "#b5bcc4", "#e6e9ec"


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
