"""What many readings look like together, in counts, and how far two such profiles are apart.

Counts add up: the profile of a month is the sum of its nights, and a small part of a manifest.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitflow.evaluation.metrics import percent

#: Rows by column and cell. A cell is a word, or a number of the column's scale; a row counts in
#: parts at the numbers nearest to its own.
Profile = Mapping[str, Mapping[str, float]]

#: From this Jensen-Shannon distance on, a column has shifted, or drifted.
SHIFTED, DRIFTED = 0.1, 0.2

#: The verdicts, the mildest first. `unclear` is a distance that chance alone may give.
VERDICTS = ("stable", "unclear", "shifted", "drifted")

# How rarely chance alone may lead to more than `unclear`: once in so many columns where rows are
# many, and, as simulated, at most ten times as often where they are few and cells are rare.
_ONE_IN = 10_000

#: The columns whose values are words.
WORDS = ("status", "label", "polarity")

_SMALLEST_DOUBT = 1e-9
_FAINTEST = 1e-9
_LONGEST_WORD = 40  # characters of it that people are shown


@dataclass(frozen=True)
class Scale:
    """Evenly spaced positions at which the numbers of a column are counted."""

    position: Callable[[NDArray], NDArray]  # of values
    value: Callable[[float], float]  # at a position
    first: int  # position; what lies beyond the ends counts there
    last: int  # position
    unit: str = ""

    def cells(self) -> list[str]:
        """Return what the positions are called in a profile, from the first to the last."""
        return [f"{self.value(at):.4g}" for at in range(self.first, self.last + 1)]

    def in_words(self, value: float) -> str:
        """Return a value for people."""
        return percent(value) if self.unit == "%" else f"{value:.3g}{self.unit}"


_OCTAVES = Scale(lambda px: np.log2(np.maximum(px, 1)), lambda at: 2.0**at, 0, 16, " px")

#: The columns whose values are numbers: sizes by powers of two, the shape of a digit's box (width
#: to height) and its ink by their roots, confidence by half powers of ten of the doubt that it
#: leaves.
SCALES: Mapping[str, Scale] = {
    "confidence": Scale(
        lambda share: -2 * np.log10(np.maximum(1 - share, _SMALLEST_DOUBT)),
        lambda at: 1 - 10 ** (-at / 2),
        0,
        8,
        "%",
    ),
    "shape": Scale(lambda ratio: 2 * np.log2(ratio), lambda at: 2 ** (at / 2), -6, 6),
    "ink": Scale(
        lambda share: 2 * np.log2(np.maximum(share, _FAINTEST)),
        lambda at: 2 ** (at / 2),
        -12,
        0,
        "%",
    ),
    "width": _OCTAVES,
    "height": _OCTAVES,
    "image_width": _OCTAVES,
    "image_height": _OCTAVES,
}

#: In the order in which people are told of them.
COLUMNS = (*WORDS, *SCALES)


@dataclass(frozen=True)
class ColumnShift:
    """How far a column of two profiles is apart."""

    column: str
    distance: float  # Jensen-Shannon, 0 the same .. 1 nothing in common
    by_chance: float  # what chance alone hardly exceeds, 0..1
    verdict: str  # one of `VERDICTS`
    change: str  # the greatest, in words
    cells: tuple[str, ...]  # in order
    before: tuple[float, ...]  # the share of each cell in the reference
    now: tuple[float, ...]  # the share of each cell


def count_numbers(values: NDArray, scale: Scale) -> dict[str, float]:
    """Count numbers on a scale, each in parts at the three positions nearest to it.

    The parts are those of a "triangular-shaped cloud" (Hockney and Eastwood 1988): ¾ - t² at the
    nearest position, t away, and ½(½ ± t)² beside it. So a number that moves a little moves the
    counts a little, and as much wherever it lies; in bins, an image a pixel wider may be all or
    nothing. The mean position stays that of the numbers.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Those that are not finite are left out.
    scale : Scale

    Returns
    -------
    dict of str to float
        Only positions that have any.
    """
    values = np.asarray(values, np.float64)
    places = scale.position(values[np.isfinite(values)]).clip(scale.first, scale.last) - scale.first
    nearest = np.rint(places).astype(np.int64)
    t = places - nearest
    cells = scale.cells()
    counts = np.zeros(len(cells))
    for step, part in ((-1, (0.5 - t) ** 2 / 2), (0, 0.75 - t**2), (1, (0.5 + t) ** 2 / 2)):
        counts += np.bincount((nearest + step).clip(0, len(cells) - 1), part, len(cells))
    return {cell: count for cell, count in zip(cells, counts.tolist(), strict=True) if count}


def profile_readings(
    images: NDArray, probabilities: NDArray, statuses: NDArray, class_names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the profile of images in MNIST's form, and of what was read in them.

    Of their sizes only the shape is left to count: the form has one size for all.

    Parameters
    ----------
    images : ndarray of shape (n, 28, 28), uint8
        Bright ink on black.
    probabilities : ndarray of shape (n, n_classes), float
        Calibrated.
    statuses : ndarray of shape (n,), str
    class_names : sequence of str

    Returns
    -------
    dict
        With the columns `status`, `label`, `confidence`, `shape` and `ink`, as a manifest can
        hold it.
    """
    best = np.bincount(probabilities.argmax(axis=1), minlength=len(class_names)).tolist()
    width, height = (_extent(images.max(axis=axis) > 0) for axis in (1, 2))
    written = height > 0
    profile: Profile = {
        "status": Counter(statuses.tolist()),
        "label": {name: n for name, n in zip(class_names, best, strict=True) if n},
        "confidence": count_numbers(probabilities.max(axis=1), SCALES["confidence"]),
        "shape": count_numbers(width[written] / height[written], SCALES["shape"]),
        "ink": count_numbers(share_of_ink(images)[written], SCALES["ink"]),
    }
    return {
        column: {cell: round(count, 2) for cell, count in counts.items()}
        for column, counts in profile.items()
    }


def share_of_ink(images: NDArray) -> NDArray:
    """Return how much of each image is ink, grey counting in part.

    Parameters
    ----------
    images : ndarray of shape (n, side, side), uint8
        In MNIST's form: bright ink on black, scaled to one size.

    Returns
    -------
    ndarray of shape (n,), float64
        0 (none) to 1 (all). In this form it tells how thick and dark the strokes are.
    """
    return images.mean(axis=(1, 2)) / 255


def add_profiles(profiles: Sequence[Profile]) -> dict[str, dict[str, float]]:
    """Return the profile of all rows together."""
    total: dict[str, dict[str, float]] = {}
    for profile in profiles:
        for column, counts in profile.items():
            so_far = total.setdefault(column, {})
            for cell, count in counts.items():
                so_far[cell] = so_far.get(cell, 0) + count
    return total


def find_profile_problem(profile: Any) -> str | None:
    """Return why a value read from JSON is no profile, or None."""
    if not isinstance(profile, dict) or not profile:
        return "is no object of columns"
    for column, counts in profile.items():
        if column not in COLUMNS:
            return f"has an unknown column {column!r:.40}"
        if not isinstance(counts, dict):
            return f"{column} is no object of counts"
        if not all(_is_count(count) for count in counts.values()):
            return f"{column} has a count that is not a number from 0 on"
        if column in SCALES and not {*counts} <= {*SCALES[column].cells()}:
            return f"{column} has a number that is none of its scale"
    return None


def compare_profiles(table: Profile, reference: Profile) -> list[ColumnShift]:
    """Compare the columns that both profiles have.

    The Jensen-Shannon distance, the root of the divergence in bits (Lin 1991; Endres and Schindelin
    2003), is a metric, needs no rule for empty cells, and heeds rare cells more than the population
    stability index: 1 % of a status that becomes 5 % is 0.10. For small shifts it is
    √(PSI / 5.5), so that `SHIFTED` and `DRIFTED` are a PSI of 0.06 and 0.22; PSI's own usual levels
    of 0.1 and 0.25 are distances of 0.13 and 0.21.

    It is a size of effect, which a million rows do not enlarge. Of few rows chance alone gives
    some: 8 ln 2 · n·m/(n + m) times its square is then about chi-squared, with one degree less than
    there are cells (as for the PSI: Yurdakul and Naranjo 2020). What lies within the quantile of 1
    in 10,000 is `unclear`. Rows that depend on each other, as the digits of one page, differ more.

    Parameters
    ----------
    table, reference : Profile

    Returns
    -------
    list of ColumnShift
        In the order of `COLUMNS`.
    """
    return [
        _compare_column(column, table[column], reference[column])
        for column in COLUMNS
        if any(table.get(column, {}).values()) and any(reference.get(column, {}).values())
    ]


def worst_verdict(verdicts: Sequence[str]) -> str:
    """Return the gravest of some verdicts."""
    return max(verdicts, key=VERDICTS.index)


def _extent(used: NDArray) -> NDArray:
    """Return how far it is from the first to past the last true in each row, (n, side) -> (n,)."""
    reach = used.shape[1] - used.argmax(axis=1) - used[:, ::-1].argmax(axis=1)
    return np.where(used.any(axis=1), reach, 0)


def _compare_column(
    column: str, table: Mapping[str, float], reference: Mapping[str, float]
) -> ColumnShift:
    cells = sorted({*table, *reference}, key=float if column in SCALES else _word_order)
    counts = np.array([[side.get(cell, 0) for cell in cells] for side in (reference, table)])
    rows = counts.sum(axis=1)
    before, now = counts / rows[:, np.newaxis]
    distance = _jensen_shannon_distance(before, now)
    by_chance = _distance_by_chance(len(cells), *rows.tolist())
    return ColumnShift(
        column=column,
        distance=distance,
        by_chance=by_chance,
        verdict=_verdict(distance, by_chance),
        change=_change_in_words(column, cells, before, now),
        cells=tuple(cells),
        before=tuple(before.tolist()),
        now=tuple(now.tolist()),
    )


def _jensen_shannon_distance(p: NDArray, q: NDArray) -> float:
    middle = (p + q) / 2
    divergence = 0.0
    for side in (p, q):
        some = side > 0
        divergence += float((side[some] * np.log2(side[some] / middle[some])).sum()) / 2
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def _distance_by_chance(n_cells: int, n: float, m: float) -> float:
    """Return the distance that chance hardly exceeds between n and m rows of one kind."""
    freedom = n_cells - 1
    if freedom == 0:
        return 0.0
    # The quantile of chi-squared after Wilson and Hilferty (1931).
    z = NormalDist().inv_cdf(1 - 1 / _ONE_IN)
    quantile = freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3
    return min(math.sqrt(quantile * (1 / n + 1 / m) / (8 * math.log(2))), 1.0)


def _verdict(distance: float, by_chance: float) -> str:
    if distance < SHIFTED:
        return "stable"
    if distance <= by_chance:
        return "unclear"
    return "drifted" if distance >= DRIFTED else "shifted"


def _change_in_words(column: str, cells: Sequence[str], before: NDArray, now: NDArray) -> str:
    if column not in SCALES:
        most = int(np.abs(now - before).argmax())
        name = repr(cells[most])[1:-1][:_LONGEST_WORD]
        return f"{name}: {percent(before[most], 1)} before, {percent(now[most], 1)} now"
    scale = SCALES[column]
    positions = scale.position(np.array(cells, np.float64))
    typical = (scale.in_words(scale.value(float(positions @ side))) for side in (before, now))
    return "typically {} before, {} now".format(*typical)


def _word_order(word: str) -> tuple[bool, int, str]:
    """Return a key that sorts numbers by value, before words."""
    number = int(word) if word.isdecimal() and len(word) < _LONGEST_WORD else -1
    return (number < 0, number, word)


def _is_count(value: object) -> bool:
    # Written so that NaN fails.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18
