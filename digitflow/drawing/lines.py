"""Lines that are no writing: scribbles, zigzags, spirals, signatures, grids, frames, cracks.

Each function draws one, to a scale of its own.
"""

import numpy as np

from digitflow.drawing.strokes import Lines

_STEPS = 5  # from one point of a smooth curve to the next


def scribble(generator: np.random.Generator) -> Lines:
    """One to eight smooth strokes that lead nowhere."""
    strokes = int(generator.integers(1, 9))
    least = max(4, 20 // strokes)
    points = generator.random((strokes, generator.integers(least, least + 5), 2))
    return list(_smooth(points * (np.exp(generator.uniform(-0.3, 0.6)), 1.0)))


def sticks(generator: np.random.Generator) -> Lines:
    """Ten to eighteen straight strokes across each other."""
    count = int(generator.integers(10, 19))
    spread = generator.uniform(0.3, np.pi)
    angles = generator.uniform(0, np.pi) + generator.uniform(-spread, spread, count)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    halves = directions * generator.uniform(0.15, 0.6, (count, 1))
    centres = generator.random((count, 2))
    return list(np.stack([centres - halves, centres + halves], axis=1))


def zigzag(generator: np.random.Generator) -> Lines:
    """To and fro, eight to twenty-four times, with sharp or round turns."""
    turns = int(generator.integers(8, 25))
    along = np.linspace(0, 1, turns) + generator.uniform(-0.5, 0.5, turns) / turns
    across = np.arange(turns) % 2 * generator.uniform(0.7, 1, turns)
    points = np.stack([along * generator.uniform(0.6, 2), across], axis=1)
    line = _smooth(points) if generator.random() < 0.5 else points
    return _turned([line], generator.uniform(0, 2 * np.pi))


def hatching(generator: np.random.Generator) -> Lines:
    """Four to twelve parallel strokes, in one direction or across in two."""
    layers = 1 + int(generator.random() < 0.5)
    turn = generator.uniform(0, np.pi)
    lines: Lines = []
    for layer in range(layers):
        count = int(generator.integers(4, 13))
        x = np.linspace(0, 1, count) + generator.uniform(-0.3, 0.3, count) / count
        ends = generator.uniform(-0.1, 0.1, (2, count)) + np.array([[0], [1]])
        lean = generator.uniform(-0.03, 0.03, count)
        strokes = np.stack([np.stack([x - lean, x + lean]), ends], axis=-1).transpose(1, 0, 2)
        lines += _turned(list(strokes - 0.5), turn + layer * generator.uniform(0.5, 2.6))
    return lines


def coil(generator: np.random.Generator) -> Lines:
    """Four to ten loops one beside the other, as in a child's waves or a telephone's cord."""
    loops = generator.uniform(4, 10)
    t = np.linspace(0, 2 * np.pi * loops, int(14 * loops))
    drift = generator.uniform(4, 16) * np.linspace(0, 1, t.size)
    radius = 1 + generator.uniform(0, 0.3) * np.sin(t * generator.uniform(0.05, 0.6))
    y = generator.uniform(0.8, 2) * radius * np.sin(t)
    line = np.stack([drift + radius * np.cos(t), y], axis=1)
    return _turned([line], generator.choice([0, np.pi]) + generator.uniform(-0.4, 0.4))


def spiral(generator: np.random.Generator) -> Lines:
    """Three to seven turns around a point."""
    turns = generator.uniform(3, 7)
    share = np.linspace(0.02, 1, int(16 * turns))
    angle = share * turns * 2 * np.pi * generator.choice([-1, 1])
    radius = share ** generator.uniform(0.8, 1.3) * (1 + generator.uniform(-0.04, 0.04, share.size))
    line = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return _turned([line * (1, np.exp(generator.uniform(-0.4, 0.4)))], generator.uniform(0, 6))


def curl(generator: np.random.Generator) -> Lines:
    """Lissajous' figures and rosettes, which keep coming back through the middle."""
    waves, other = generator.permutation([3, 4, 5, 7])[:2].tolist()
    t = np.linspace(0, 2 * np.pi, 120)
    if generator.random() < 0.5:
        # With no phase, or with twice the middle one, it would go back on its own line.
        phase = generator.uniform(0.25, 0.75) * np.pi / (2 * other)
        return [np.stack([np.sin(waves * t + phase), np.sin(other * t)], axis=1)]
    turn = generator.uniform(0, np.pi)
    radius = np.cos(waves * t) + generator.uniform(-0.2, 0.2)
    return [np.stack([radius * np.cos(t + turn), radius * np.sin(t + turn)], axis=1)]


def doodle(generator: np.random.Generator) -> Lines:
    """A long line that sways at every scale, with bays, loops and knots where it will."""
    t = np.linspace(0, 1, 320)
    line, reach = np.zeros((t.size, 2)), 0.0
    # A short one could be a 2 or a 6: those are three to four times as long as they are high.
    while reach < 4.5:
        rates = np.sort(generator.uniform(0.3, 18, (10, 1, 2)), axis=0)
        phases = generator.uniform(0, 2 * np.pi, rates.shape)
        heights = rates ** -generator.uniform(0.8, 1.7) * generator.uniform(0.3, 1, rates.shape)
        waves = heights * np.sin(2 * np.pi * rates * t[:, None] + phases)
        line = waves.sum(axis=0)
        line = (line - line.min(axis=0)) / np.ptp(line, axis=0).max()
        reach = float(np.hypot(*np.diff(line, axis=0).T).sum())
    return [line]


def signature(generator: np.random.Generator) -> Lines:
    """A wide line of loops and peaks that grow small, sometimes underlined."""
    count = int(generator.integers(12, 32))
    x = np.cumsum(generator.uniform(-0.6, 1, count))
    fading = np.linspace(1, generator.uniform(0.2, 1), count)
    y = (np.arange(count) % 2 - 0.5) * generator.uniform(0.3, 2.4, count) * fading
    lines = [_smooth(np.stack([x, y + 0.05 * x], axis=1))]
    if generator.random() < 0.5:
        under = np.stack([np.linspace(x.min(), x.max(), 4), generator.uniform(1.4, 2, 4)], axis=1)
        lines.append(_smooth(under))
    return lines


def grid(generator: np.random.Generator) -> Lines:
    """Lines down and across, as in tables and noughts and crosses."""
    across, down = generator.permutation([generator.integers(2, 7), generator.integers(1, 6)])
    if across + down < 4:
        across = down = 2
    lines: Lines = []
    reach = generator.uniform(0, 0.35)
    for count, axis in ((across, 0), (down, 1)):
        places = np.linspace(0, 1, count + 2)[1:-1] + generator.uniform(-0.08, 0.08, count)
        for place in places.tolist():
            ends = np.array([0, 1]) + generator.uniform(-reach, reach / 2, 2)
            lean = generator.uniform(-0.03, 0.03)
            line = np.stack([ends, [place - lean, place + lean]], axis=1)
            lines.append(line if axis == 0 else line[:, ::-1])
    box = np.exp(generator.uniform(-0.2, 0.6)), 1.0
    most = 0.15 if generator.random() < 0.7 else np.pi / 2  # mostly upright
    return _turned([line * box for line in lines], generator.uniform(-most, most))


def frame(generator: np.random.Generator) -> Lines:
    """A sharp box, square or wide, with something within."""
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], float)
    lines = [corners]
    match int(generator.integers(5)):
        case 0:
            lines += [np.array([(0, 0), (1, 1)]), np.array([(1, 0), (0, 1)])]
        case 1:
            inset = generator.uniform(0.25, 0.35)
            lines += [inset + (1 - 2 * inset) * corners]
            if generator.random() < 0.5:
                lines += [np.array([(0, 0), (inset, inset)]), np.array([(1, 1), (1 - inset,) * 2])]
        case 2:
            rows = np.linspace(0, 1, int(generator.integers(4, 7)))[1:-1]
            lines += [np.array([(0.15, y), (generator.uniform(0.5, 0.85), y)]) for y in rows]
        case 3:
            lines += [_smooth(generator.uniform(0.15, 0.85, (9, 2)))]
        case _:
            cut = generator.uniform(0.3, 0.7, 2)
            lines += [np.array([(cut[0], 0), (cut[0], 1)]), np.array([(0, cut[1]), (1, cut[1])])]
    box = np.exp(generator.uniform(0.05, 0.7)), 1.0
    return _turned([line * box for line in lines], generator.uniform(-0.3, 0.3))


def star(generator: np.random.Generator) -> Lines:
    """Rays from a point, or a line to and fro between the points of a circle."""
    count = int(generator.integers(5, 12))
    angles = np.arange(count) / count * 2 * np.pi + generator.uniform(-0.1, 0.1, count)
    rim = np.stack([np.cos(angles), np.sin(angles)], axis=1) * generator.uniform(0.8, 1, (count, 1))
    turn = generator.uniform(0, np.pi)
    if generator.random() < 0.5:
        inner = generator.choice([0.0, 0.25])
        return _turned([np.stack([inner * point, point]) for point in rim], turn)
    # Fewer points further, it would go around the middle as a 0 does.
    order = np.arange(count + 1) * ((count - 1) // 2) % count
    return _turned([rim[order], np.roll(rim, 1, axis=0)[order]], turn)


def crack(generator: np.random.Generator) -> Lines:
    """A line that wanders and branches, as cracks, twigs and rivers do."""
    lines: Lines = []
    starts = [(np.zeros(2), generator.uniform(0, 2 * np.pi), 1.0)]
    for start, heading, length in starts:  # which grow with each branch
        headings = heading + np.cumsum(generator.uniform(-0.5, 0.5, 6))
        steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * length / 6
        line = np.concatenate([[start], start + np.cumsum(steps, axis=0)])
        lines.append(line)
        if len(starts) < 7:
            for at, side in ((2, -1), (4, 1)):
                turn = side * generator.uniform(0.6, 1.3)
                starts.append((line[at], headings[at] + turn, length * generator.uniform(0.6, 0.9)))
    return lines


def plot(generator: np.random.Generator) -> Lines:
    """Two axes with bars or a curve."""
    width = generator.uniform(1, 1.8)
    lines = [np.array([(0, 0), (0, 1), (width, 1)])]
    if generator.random() < 0.5:
        x = np.linspace(0, width, int(generator.integers(5, 9)))
        y = generator.uniform(0, 0.85, x.size)
        curve = np.stack([x, y], axis=1)
        return [*lines, _smooth(curve) if generator.random() < 0.5 else curve]
    edges = np.linspace(0.1, width, int(generator.integers(4, 7)))
    for left, right in zip(edges, edges[1:] - 0.08, strict=False):
        top = generator.uniform(0.05, 0.7)
        lines.append(np.array([(left, 1), (left, top), (right, top), (right, 1)]))
    return lines


def _turned(lines: Lines, angle: float) -> Lines:
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([(cos, sin), (-sin, cos)])
    return [line @ turn for line in lines]


def _smooth(points: np.ndarray) -> np.ndarray:
    """Return Catmull and Rom's spline through points (..., n, 2)."""
    before = 2 * points[..., :1, :] - points[..., 1:2, :]
    after = 2 * points[..., -1:, :] - points[..., -2:-1, :]
    around = np.concatenate([before, points, after], axis=-2)
    windows = np.stack([around[..., i : i + points.shape[-2] - 1, :] for i in range(4)], axis=-2)
    curve = (_SPLINE @ windows).reshape(*points.shape[:-2], -1, 2)
    return np.concatenate([points[..., :1, :], curve], axis=-2)


def _spline_weights() -> np.ndarray:
    t = np.arange(1, _STEPS + 1) / _STEPS
    powers = np.stack([np.ones(_STEPS), t, t**2, t**3], axis=1)
    rows = [(0, 2, 0, 0), (-1, 0, 1, 0), (2, -5, 4, -1), (-1, 3, -3, 1)]
    return powers @ np.array(rows) / 2


_SPLINE = _spline_weights()
