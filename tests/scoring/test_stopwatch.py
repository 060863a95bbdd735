"""Where the time goes, and that nothing is measured unless asked for."""

import os
from types import SimpleNamespace

import pytest

from digitflow.scoring import stopwatch as module
from digitflow.scoring.stopwatch import STAGES, make_stopwatch, profile_in_words, total_profile


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return a clock that stands at `now`, seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_each_lap_counts_for_the_stage_that_it_ends(clock: SimpleNamespace) -> None:
    stopwatch = make_stopwatch(True)
    for stage, passed in [("read", 1.0), ("decode", 2.0), ("read", 4.0)]:
        clock.now += passed
        stopwatch.lap(stage)
    clock.now += 8
    stopwatch.skip()
    clock.now += 16
    stopwatch.lap("decode")
    assert stopwatch.seconds == {"read": 5.0, "decode": 18.0}


def test_only_the_making_of_items_is_counted(clock: SimpleNamespace) -> None:
    def slow(n: int):
        for item in range(n):
            clock.now += 1
            yield item

    stopwatch = make_stopwatch(True)
    clock.now += 50
    taken = []
    for item in stopwatch.taking("plan", slow(3)):
        clock.now += 10
        taken.append(item)
    assert taken == [0, 1, 2]
    assert stopwatch.seconds == {"plan": 3.0}


def test_an_idle_stopwatch_measures_nothing(clock: SimpleNamespace) -> None:
    stopwatch = make_stopwatch(False)
    clock.now += 1
    stopwatch.lap("read")
    assert list(stopwatch.taking("plan", "ab")) == ["a", "b"]
    assert stopwatch.seconds == {}


def test_the_rest_of_what_all_processes_had_is_start_and_wait() -> None:
    here = os.getpid()
    alone = total_profile([(here, {"read": 3.0}), (here, {"read": 1.0})], {"plan": 1.0}, 10.0)
    assert tuple(alone) == STAGES
    assert (alone["plan"], alone["read"], alone["start and wait"]) == (1.0, 4.0, 5.0)
    several = [(here, {"read": 1.0}), (-1, {"read": 6.0}), (-2, {"infer": 7.0})]
    assert total_profile(several, {"plan": 2.0}, 10.0)["start and wait"] == 4.0


def test_a_profile_is_told_by_stage_for_each_image_and_as_a_share() -> None:
    lines = profile_in_words({"read": 3.0, "infer": 1.0}, 100_000).splitlines()
    assert [line.split() for line in lines] == [
        ["stage", "seconds", "µs/image", "share"],
        ["read", "3.00", "30.0", "75.0%"],
        ["infer", "1.00", "10.0", "25.0%"],
        ["all", "4.00", "40.0", "100.0%"],
    ]
