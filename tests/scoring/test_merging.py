"""Sorted streams as one, however many there are."""

import heapq
from pathlib import Path

import pytest

from digitflow.scoring import merging
from digitflow.scoring.merging import merged


@pytest.mark.parametrize("at_once", [2, 3, 100])
def test_many_streams_are_merged_with_few_open_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(merging, "AT_ONCE", at_once)
    monkeypatch.setattr(merging, "_BLOCK", 4)
    n_open = n_most = 0

    def stream(number: int):
        nonlocal n_open, n_most
        n_open += 1
        n_most = max(n_most, n_open)
        for place in range(number, 50, 7):
            yield b"%03d" % place, number, 2**40 + place, -1
        n_open -= 1

    expected = [*heapq.merge(*(stream(number) for number in range(11)))]
    n_most = 0
    assert [*merged([stream(number) for number in range(11)], tmp_path)] == expected
    assert n_most == min(at_once, 11)
    assert list(tmp_path.iterdir()) == []


def test_no_stream_gives_nothing() -> None:
    assert list(merged([])) == []
    assert list(merged([iter([])])) == []
