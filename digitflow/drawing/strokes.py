"""Strokes as a form teaches them, written by many hands and inked with many pens.

A form is a tuple of strokes. A stroke is a list of points "x,y" from its start to its end, in
hundredths of the sign's height, y downward; at a point with "!" it turns sharply.
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from PIL import Image, ImageDraw

from digitflow.images.placing import DIGIT_SIDE, SIDE, place

Form = tuple[str, ...]
Lines = list[np.ndarray]  # each float64 (points, 2): x and y, y downward

_FINENESS = 5  # drawn at so many times the size
_NOTCH = 4  # px of the canvas that a turn may leave open, at a line's rim
_STEP = 5  # between the points that are drawn, in hundredths of the digit's height

_WIDTHS = 1.2, 5.0  # px of the 20-px box: a hairline, a marker
_SLANTS = -20, 5, 30  # least, likeliest, most, degrees; rightward


def draw_form(form: Form, n: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one form n times, by another hand and with another pen each time.

    Parameters
    ----------
    form : tuple of str
        Its strokes.
    n : int
        How many.
    generator : numpy.random.Generator
        Draws all that differs.

    Returns
    -------
    ndarray of shape (n, 28, 28), uint8
    """
    images = np.empty((n, SIDE, SIDE), np.uint8)
    for i, lines in enumerate(write_form(form, n, generator)):
        images[i] = place(ink_lines(lines, narrowed(draw_pen(generator), lines)))
    return images


def write_form(form: Form, n: int, generator: np.random.Generator) -> list[Lines]:
    """Write one form n times, by another hand each time.

    Parameters
    ----------
    form : tuple of str
        Its strokes.
    n : int
        How many.
    generator : numpy.random.Generator
        Draws all that differs.

    Returns
    -------
    list of n lists of ndarray of shape (points, 2), float64
        The strokes' lines: x and y, in hundredths of the sign's height.
    """
    lines = _written([_parse(stroke) for stroke in form], n, generator)
    return [[line[i] for line in lines] for i in range(n)]


@dataclass(frozen=True)
class _Stroke:
    """A stroke as it is taught."""

    points: np.ndarray  # float64 (points, 2): x and y
    corners: np.ndarray  # bool (points,)

    @cached_property
    def chords(self) -> np.ndarray:
        """How far it is from each point to the next, float64 (points - 1,)."""
        return np.hypot(*np.diff(self.points, axis=0).T)

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """How a line's points follow from the stroke's, two float64 (line's points, points).

        The first is Catmull and Rom's spline, but for the corners; the second goes straight from
        point to point.
        """
        chords, points = self.chords, np.eye(len(self.points))
        smooth, straight = [points[:1]], [points[:1]]
        for i, chord in enumerate(chords):
            start, end = points[i], points[i + 1]
            leaving = arriving = end - start
            if i > 0 and not self.corners[i]:
                leaving = (end - points[i - 1]) * chord / (chords[i - 1] + chord)
            if i + 1 < len(chords) and not self.corners[i + 1]:
                arriving = (points[i + 2] - start) * chord / (chord + chords[i + 1])
            steps = max(1, round(chord / _STEP))
            t = np.arange(1, steps + 1)[:, np.newaxis] / steps
            smooth.append(
                start * (1 + 2 * t) * (1 - t) ** 2
                + end * t**2 * (3 - 2 * t)
                + leaving * t * (1 - t) ** 2
                - arriving * t**2 * (1 - t)
            )
            straight.append(start * (1 - t) + end * t)
        return np.concatenate(smooth), np.concatenate(straight)


@cache
def _parse(stroke: str) -> _Stroke:
    """Read "12,20 34,0! 34,100"."""
    tokens = stroke.split()
    points = [[float(number) for number in token.rstrip("!").split(",")] for token in tokens]
    return _Stroke(np.array(points), np.array([token.endswith("!") for token in tokens]))


def _written(strokes: list[_Stroke], n: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Return the strokes' lines as n hands write them, each float64 (n, points, 2)."""
    unsteadiness = generator.uniform(1, 4.5, (n, 1, 1))
    # Most write curves; a mouse leaves some of them angular.
    angularity = generator.uniform(-2, 1, (n, 1, 1)).clip(0)
    lines = []
    for stroke in strokes:
        points = stroke.points + unsteadiness * generator.uniform(-1, 1, (n, *stroke.points.shape))
        smooth, straight = stroke.weights
        line = (1 - angularity) * (smooth @ points) + angularity * (straight @ points)
        line = _with_other_ends(line, stroke.chords.sum(), generator)
        lines.append(line + generator.uniform(-2.5, 2.5, (n, 1, 2)))
    together = _sheared(_wobbled(np.concatenate(lines, axis=1), generator), generator)
    return np.split(together, np.cumsum([line.shape[1] for line in lines])[:-1], axis=1)


def _with_other_ends(line: np.ndarray, length: float, generator: np.random.Generator) -> np.ndarray:
    """Let lines (n, points, 2) start and end too early or too late."""
    n, count, _ = line.shape
    cut = generator.uniform(-5, 5, (2, n, 1)) / length
    at = (cut[0] + (1 - cut[0] - cut[1]) * np.linspace(0, 1, count)) * (count - 1)
    before = np.clip(at.astype(int), 0, count - 2)[..., np.newaxis]
    share = at[..., np.newaxis] - before  # below 0 or above 1 beyond the ends
    start, end = (np.take_along_axis(line, before + i, axis=1) for i in (0, 1))
    return start + share * (end - start)


def _wobbled(points: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Bend the plane on which points (n, points, 2) lie, by three long waves."""
    n = len(points)
    for _ in range(3):
        angle, phase = generator.uniform(0, 2 * np.pi, (2, n, 1))
        length = generator.uniform(80, 250, (n, 1))
        along = points[..., 0] * np.cos(angle) + points[..., 1] * np.sin(angle)
        wave = length * np.sin(2 * np.pi * along / length + phase)
        points = points + wave[..., np.newaxis] * generator.uniform(-0.03, 0.03, (n, 1, 2))
    return points


def _sheared(points: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Make points (n, points, 2) wider or narrower, slant them and turn them a little."""
    n = len(points)
    width = np.exp(generator.uniform(-0.3, 0.3, n))
    slant = np.tan(np.radians(generator.triangular(*_SLANTS, n)))
    turn = np.radians(generator.uniform(-6, 6, n))
    x, y = points[..., 0].T, points[..., 1].T
    x = x * width - y * slant
    turned = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    return np.stack(turned, axis=-1).transpose(1, 0, 2)


@dataclass(frozen=True)
class Pen:
    """What strokes are drawn with."""

    width: float  # px of the 20-px box
    square: bool = False
    easing: float = 0.0  # share of its width that it loses where it is pressed least
    phase: float = 0.0  # where along the line that is, radians


def draw_pen(generator: np.random.Generator) -> Pen:
    """Draw a pen by chance, from a hairline to a marker."""
    return Pen(
        width=_WIDTHS[0] * (_WIDTHS[1] / _WIDTHS[0]) ** generator.random(),
        square=bool(generator.random() < 0.2),
        easing=max(0.0, generator.uniform(-0.4, 0.4)),
        phase=2 * np.pi * generator.random(),
    )


def narrowed(pen: Pen, lines: Lines, covered: float = 1.1) -> Pen:
    """Return a pen no wider than leaves lines apart.

    Parameters
    ----------
    pen : Pen
    lines : list of ndarray of shape (points, 2), float64
    covered : float
        Their length times the pen's width at most, as a share of the area in which they lie.

    Returns
    -------
    Pen
    """
    points = np.concatenate(lines)
    steps = np.diff(points, axis=0)
    steps[np.cumsum([len(line) for line in lines[:-1]], dtype=int) - 1] = 0  # the pen is lifted
    length = np.hypot(steps[:, 0], steps[:, 1]).sum()
    side = np.ptp(points, axis=0).max()
    deviations = points - points.mean(axis=0)
    (xx, xy), (_, yy) = deviations.T @ deviations
    # Of the box, were they an upright ellipse; no larger if they slant.
    area = 8 * np.sqrt(max(xx * yy - xy * xy, 0)) / len(points)
    share = max(covered * area, side**2 / 3) / (length * side)  # of the side without the pen
    return replace(pen, width=min(pen.width, float(share * DIGIT_SIDE / (1 + share))))


def ink_lines(lines: Lines, pen: Pen) -> np.ndarray:
    """Draw lines so large that, with the pen, they fill the box of a digit.

    Parameters
    ----------
    lines : list of ndarray of shape (points, 2), float64
        x and y, to any scale; two points or more.
    pen : Pen

    Returns
    -------
    ndarray of shape (rows, columns), float32
        1 where ink is, cut to it; the longest side has about 100 px.
    """
    points = np.concatenate(lines)
    corner, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = _FINENESS * (DIGIT_SIDE - pen.width) / extent.max()
    margin = pen.width * _FINENESS / 2 + 1
    columns, rows = np.ceil(extent * scale + 2 * margin + 1).astype(int).tolist()
    canvas = Image.new("L", (columns, rows))
    _ink(canvas, (points - corner) * scale + margin, [len(line) for line in lines], pen)
    return np.asarray(canvas.crop(canvas.getbbox()), np.float32)


def _ink(canvas: Image.Image, path: np.ndarray, lengths: list[int], pen: Pen) -> None:
    """Draw lines with these numbers of points, float64 (points, 2), px of the canvas."""
    last = np.cumsum(lengths) - 1
    ends = last.repeat(lengths)
    shares = 1 - (ends - np.arange(len(path))) / (np.repeat(lengths, lengths) - 1)
    pressed = 1 + np.sin(pen.phase + 2 * np.pi * shares)
    widths = np.rint(_FINENESS * pen.width * (1 - pen.easing / 2 * pressed)).astype(int)
    first = np.append(0, last[:-1] + 1)
    # Drawn at once is what has one width.
    begins = np.zeros(len(path), bool)
    begins[1:-1] = widths[1:-1] != widths[2:]
    begins[first] = True
    begins[last] = False
    # Where a round line goes nearly straight on, it needs no rounding.
    stamped = np.full(len(path), pen.square)
    stamped[1:-1] |= _turns(path) * widths[1:-1] > _NOTCH
    stamped[first] = stamped[last] = True

    draw = ImageDraw.Draw(canvas)
    starts = np.flatnonzero(begins)
    stops = np.minimum(ends[starts], np.append(starts[1:], len(path)))
    flat = path.ravel().tolist()
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        draw.line(flat[2 * start : 2 * stop + 2], fill=1, width=int(widths[stop]))
    stamp = draw.rectangle if pen.square else draw.ellipse
    for (x, y), half in zip(path[stamped].tolist(), (widths[stamped] / 2).tolist(), strict=True):
        stamp([x - half, y - half, x + half, y + half], fill=1)


def _turns(path: np.ndarray) -> np.ndarray:
    """Return by how much a path turns between its ends, radians, float64 (points - 2,)."""
    dx, dy = np.diff(path, axis=0).T
    turn = np.diff(np.arctan2(dy, dx))
    return np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
