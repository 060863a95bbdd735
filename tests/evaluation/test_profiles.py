"""Profiles in counts, and how far two are apart."""

import numpy as np
import pytest
from matplotlib.text import Text

from digitflow.evaluation.drift_plot import drift_figure
from digitflow.evaluation.profiles import (
    DRIFTED,
    SCALES,
    SHIFTED,
    add_profiles,
    compare_profiles,
    count_numbers,
    find_profile_problem,
    profile_readings,
    worst_verdict,
)


def status(ok: float, uncertain: float = 0, **more: float) -> dict[str, dict[str, float]]:
    return {"status": {"ok": ok, "uncertain": uncertain, **more}}


def test_a_number_counts_in_parts_at_the_positions_nearest_to_it() -> None:
    assert count_numbers(np.array([16]), SCALES["width"]) == {"8": 0.125, "16": 0.75, "32": 0.125}
    halfway = count_numbers(np.array([16 * 2**0.5]), SCALES["width"])
    assert halfway == pytest.approx(
        {"16": 0.5, "32": 0.5} | dict.fromkeys({*halfway} - {"16", "32"}, 0)
    )


@pytest.mark.parametrize("start", [16, 19, 22.63, 25])
def test_a_change_of_size_counts_the_same_wherever_it_lies(start: float) -> None:
    before, now = (
        {"width": count_numbers(np.array([size]), SCALES["width"])} for size in (start, 1.1 * start)
    )
    (column,) = compare_profiles(now, before)
    assert column.distance == pytest.approx(0.12, abs=0.03)


@pytest.mark.parametrize("column", SCALES)
def test_whatever_comes_is_counted_once(column: str) -> None:
    values = np.array([1e-9, 0.5, 0.999, 1, 3, 1e9, np.nan, np.inf])
    counts = count_numbers(values, SCALES[column])
    assert sum(counts.values()) == pytest.approx(6)
    assert find_profile_problem({column: counts}) is None
    assert count_numbers(np.array([]), SCALES[column]) == {}


def test_the_typical_value_is_that_of_the_numbers() -> None:
    sizes = np.array([10.0, 20.0, 45.0, 200.0])
    profile = {"width": count_numbers(sizes, SCALES["width"])}
    (column,) = compare_profiles(profile, profile)
    typical = np.exp(np.log(sizes).mean())
    assert column.change == f"typically {typical:.3g} px before, {typical:.3g} px now"


def test_profiles_add_up() -> None:
    total = add_profiles([status(3, 1), status(2), {"label": {"7": 1}}])
    assert total == {"status": {"ok": 5, "uncertain": 1}, "label": {"7": 1}}


@pytest.mark.parametrize(
    ("before", "now", "distance"),
    [
        (status(1), status(5), 0),
        (status(1), status(0, 9), 1),
        # By hand: H(0.03) - (H(0.01) + H(0.05)) / 2 in bits is 0.0108.
        (status(99, 1), status(95, 5), 0.1041),
    ],
)
def test_the_distance_is_that_of_jensen_and_shannon(before, now, distance: float) -> None:
    (column,) = compare_profiles(now, before)
    assert column.distance == pytest.approx(distance, abs=2e-4)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (status(995_000, 5_000), "stable"),  # significant, and of no importance
        (status(950_000, 50_000), "shifted"),
        (status(850_000, 150_000), "drifted"),
        (status(17, 3), "unclear"),
    ],
)
def test_the_verdict_heeds_size_and_chance(now, verdict: str) -> None:
    (column,) = compare_profiles(now, status(99_000, 1_000))
    assert column.verdict == verdict


def test_chance_hardly_ever_alarms() -> None:
    generator = np.random.default_rng(0)
    shares = [0.9, 0.04, 0.03, 0.02, 0.01]
    alarms = 0
    for _ in range(2000):
        before, now = generator.multinomial(3000, shares), generator.multinomial(100, shares)
        named = [dict(zip("abcde", each.tolist(), strict=True)) for each in (now, before)]
        (column,) = compare_profiles({"label": named[0]}, {"label": named[1]})
        alarms += column.verdict in ("shifted", "drifted")
    assert alarms <= 4


def test_columns_are_compared_where_both_know_them() -> None:
    table = {**status(5), "label": {"10": 3, "9": 1, "x": 1}, "width": {}}
    columns = compare_profiles(table, {"label": {"9": 1}, "width": {"8": 1}})
    assert [column.column for column in columns] == ["label"]
    assert columns[0].cells == ("9", "10", "x")
    assert columns[0].change == "9: 100.0\N{NO-BREAK SPACE}% before, 20.0\N{NO-BREAK SPACE}% now"


def test_the_gravest_verdict_counts() -> None:
    assert worst_verdict(["stable", "shifted", "unclear"]) == "shifted"
    assert 0 < SHIFTED < DRIFTED < 1


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        (None, "no object of columns"),
        ({}, "no object of columns"),
        ({"size": {}}, "unknown column 'size'"),
        ({"label": [1]}, "label is no object"),
        ({"label": {"7": "1"}}, "label has a count"),
        ({"label": {"7": -1}}, "label has a count"),
        ({"label": {"7": float("nan")}}, "label has a count"),
        ({"label": {"7": True}}, "label has a count"),
        ({"width": {"17": 1}}, "width has a number"),
    ],
)
def test_what_is_no_profile_is_told(profile, problem: str) -> None:
    assert problem in (find_profile_problem(profile) or "")


def test_readings_of_images_become_a_profile() -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, 4:24, 10:20] = 255
    images[1, 4:24, 4:24] = 255  # the third is empty
    probabilities = np.array([[0.9, 0.1], [0.0, 1.0], [0.5, 0.5]])
    profile = profile_readings(
        images, probabilities, np.array(["ok", "ok", "rejected"]), ["a", "b"]
    )
    assert profile["status"] == {"ok": 2, "rejected": 1}
    assert profile["label"] == {"a": 2, "b": 1}
    parts = {"0.3536": 0.12, "0.5": 0.75, "0.7071": 0.25, "1": 0.75, "1.414": 0.12}
    assert profile["shape"] == parts
    # 200 and 400 of 784 pixels; the third has nothing to count.
    assert sum(profile["ink"].values()) == pytest.approx(2, abs=0.05)
    assert {"0.25", "0.5"} <= {*profile["ink"]}
    assert sum(profile["confidence"].values()) == pytest.approx(3, abs=0.05)
    assert find_profile_problem(profile) is None


def test_every_column_has_its_panel() -> None:
    before = {**status(90, 10), "label": {str(n): 1 for n in range(47)}, "confidence": {"0.9": 9}}
    now = {**status(10, 90), "label": {"$x^2$" * 9: 1, "0": 46}, "confidence": {"0.9": 8}}
    figure = drift_figure(compare_profiles(now, before), "drifted: a against b")
    said = [text.get_text() for text in figure.findobj(Text)]
    assert "drifted: a against b" in said
    assert any(text.startswith("status: drifted, 0.") for text in said)
    assert any(text.startswith("confidence (%): stable, 0.000") for text in said)
    figure.canvas.draw()
