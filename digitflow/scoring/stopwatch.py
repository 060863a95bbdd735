"""Where the time of a run goes: seconds by stage, measured only when asked for."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

_Item = TypeVar("_Item")

#: What a run does, in order. The last is what the others leave of the time that its processes had:
#: their start, and waiting for work and for each other.
STAGES = (
    *("plan", "load", "read", "decode", "normalise", "infer", "rows", "write", "assemble"),
    "start and wait",
)


class Stopwatch:
    """Count the seconds of one thread by stage: each lap counts for the stage that it ends.

    Attributes
    ----------
    seconds : dict of str to float
        By stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Count what passed since the last lap for a stage."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._since
        self._since = now

    def skip(self) -> None:
        """Count what passed since the last lap for none."""
        self._since = time.perf_counter()

    def taking(self, stage: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """Count what it takes to get each item for a stage, and what lies between for none."""
        self.skip()
        for item in items:
            self.lap(stage)
            yield item
            self.skip()


class _IdleStopwatch(Stopwatch):
    def lap(self, stage: str) -> None:
        """Do nothing: a call is all that a stage costs."""


def make_stopwatch(measures: bool) -> Stopwatch:
    """Return a stopwatch, or one that measures nothing."""
    return Stopwatch() if measures else _IdleStopwatch()


def total_profile(
    shards: Iterable[tuple[int, Mapping[str, float]]], own: Mapping[str, float], wall: float
) -> dict[str, float]:
    """Return the seconds that the processes of a run had, by stage.

    Parameters
    ----------
    shards : iterable of (int, mapping)
        Of each, the process that scored it and what it took there, seconds by stage.
    own : mapping of str to float
        What this process, which leads the run, measured beside its shards.
    wall : float
        Seconds from the start of the run to its end.

    Returns
    -------
    dict of str to float
        In the order of `STAGES`.
    """
    seconds = dict.fromkeys(STAGES, 0.0)
    processes = set()
    for process, of_shard in shards:
        processes.add(process)
        for stage, spent in of_shard.items():
            seconds[stage] += spent
    for stage, spent in own.items():
        seconds[stage] += spent
    # Where others score, this process does next to nothing.
    n_processes = max(1, len(processes - {os.getpid()}))
    seconds[STAGES[-1]] = max(0.0, n_processes * wall - sum(seconds.values()))
    return seconds


def profile_in_words(seconds: Mapping[str, float], n_files: int) -> str:
    """Return where the time went as a table for a person.

    Parameters
    ----------
    seconds : mapping of str to float
        By stage, as from `total_profile`.
    n_files : int
    """
    total = sum(seconds.values())
    lines = [f"{'stage':<14} {'seconds':>8} {'µs/image':>9} {'share':>7}"]
    for stage, spent in [*seconds.items(), ("all", total)]:
        per_image, share = 1e6 * spent / n_files, spent / total
        lines.append(f"{stage:<14} {spent:>8.2f} {per_image:>9.1f} {share:>7.1%}")
    return "\n".join(lines)
