"""What is written and is no digit: letters, signs, words, numbers, digits struck out.

Each function writes n of them, as lines in hundredths of a letter's height.
"""

from collections.abc import Iterator

import numpy as np

from digitflow.drawing.digit_forms import FORMS
from digitflow.drawing.letter_forms import CAPITALS, SIGNS, SMALL_LETTERS
from digitflow.drawing.lines import hatching, scribble, zigzag
from digitflow.drawing.strokes import Form, Lines, write_form

_DIGITS = [form for forms in FORMS.values() for form in forms.values()]
_LETTERS = [*CAPITALS.values(), *SMALL_LETTERS.values()]
_BETWEEN_DIGITS = [SIGNS[name] for name in ("plus", "minus", "equals", "divided by", "cross")]

_NARROW = 35  # hundredths of the height: a digit that its neighbour may take for a part of itself
_LEAST_STRIKE = 80  # hundredths of the height, so that what is struck out is no bar


def write_any(forms: list[Form], n: int, generator: np.random.Generator) -> list[Lines]:
    """Write n of these forms, in no order."""
    counts = np.bincount(generator.integers(len(forms), size=n), minlength=len(forms))
    written = [
        lines
        for form, count in zip(forms, counts.tolist(), strict=True)
        if count
        for lines in write_form(form, count, generator)
    ]
    return [written[i] for i in generator.permutation(n)]


def write_words(n: int, generator: np.random.Generator) -> Iterator[Lines]:
    """Write one or two lines of two to four letters."""
    rows = generator.integers(1, 3, n)
    lengths = generator.integers(2, 5, rows.sum())
    letters = iter(write_any(_LETTERS, int(lengths.sum()), generator))
    words = iter([[next(letters) for _ in range(length)] for length in lengths])
    for count in rows:
        lines: Lines = []
        for row in range(count):
            below = (0, row * generator.uniform(110, 160))
            lines += [line + below for line in _in_a_row(next(words), generator)]
        yield lines


def write_numbers(n: int, generator: np.random.Generator) -> Iterator[Lines]:
    """Write two to four digits in a row, or two with a sign between."""
    counts = generator.integers(2, 5, n)
    digits = iter(write_any(_DIGITS, int(counts.sum()), generator))
    signs = iter(write_any(_BETWEEN_DIGITS, n, generator))
    for count in counts:
        number = [next(digits) for _ in range(count)]
        sign = next(signs)
        if count == 2 and generator.random() < 0.5:
            number.insert(1, [line * 0.7 + (0, 25) for line in sign])
        yield _in_a_row(number, generator)


def write_struck_out(n: int, generator: np.random.Generator) -> Iterator[Lines]:
    """Write a digit or a letter each, and go over it twice, so that it cannot be read."""
    for lines in write_any(_DIGITS + _LETTERS, n, generator):
        strikes = [lines]
        for kind in generator.integers(3, size=2):
            strike = (zigzag, hatching, scribble)[kind](generator)
            strikes.append(_over(lines, strike, generator))
        yield [line for strike in strikes for line in strike]


def _over(written: Lines, strike: Lines, generator: np.random.Generator) -> Lines:
    """Return a strike, brought to where something is written."""
    below, above = _box(written), _box(strike)
    size = np.maximum(below[1] - below[0], _LEAST_STRIKE) * generator.uniform(1, 1.3, 2)
    scale = size / (above[1] - above[0])
    shift = below.mean(axis=0) + generator.uniform(-8, 8, 2) - above.mean(axis=0) * scale
    return [line * scale + shift for line in strike]


def _box(lines: Lines) -> np.ndarray:
    """Return the first and the last x and y, float64 (2, 2)."""
    points = np.concatenate(lines)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _in_a_row(signs: list[Lines], generator: np.random.Generator) -> Lines:
    """Put what was written side by side."""
    row: Lines = []
    right, narrow = 0.0, False
    for lines in signs:
        x = np.concatenate(lines)[:, 0]
        was_narrow, narrow = narrow, np.ptp(x) < _NARROW
        gap = generator.uniform(22, 45) if narrow or was_narrow else generator.uniform(-6, 25)
        shift = right + gap - x.min(), generator.uniform(-8, 8)
        row += [line + shift for line in lines]
        right += gap + np.ptp(x)
    return row
