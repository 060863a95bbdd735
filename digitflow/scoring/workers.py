"""The shards of a run, scored in this process or in several.

Whoever runs the shards, the caller sees one thing: finished shards, in the order they finish.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import current_process
from pathlib import Path

from digitflow.errors import DigitflowError
from digitflow.scoring.plan import Shard
from digitflow.scoring.shard import ShardOptions, ShardSummary, score_shard
from digitflow.settings import ONE_THREAD
from digitflow.signals import signals_held

#: Shards that this process scores alone, ten thousand small images: to start others for them costs
#: more than it saves.
_ALONE_SHARDS = 9

#: Seconds after which they are started all the same, because these images are slow ones.
_ALONE_SECONDS = 2.0

#: Shards planned ahead for each worker: enough to know early how many files there are.
_AHEAD = 32

#: How often a worker looks whether the run still lives.
_WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """What it takes to score any shard of a run."""

    options: ShardOptions
    folder: Path  # where the parts go
    workers: int  # processes, at most

    def score(self, shard: Shard) -> ShardSummary:
        """Score one shard into its part."""
        return score_shard(shard, self.options, self.part_of(shard))

    def part_of(self, shard: Shard) -> Path:
        """Return the file for a shard's rows."""
        return self.folder / f"part-{shard.number:08d}.parquet"


def score_shards(job: Job, shards: Iterator[Shard]) -> Generator[ShardSummary]:
    """Score shards, here where they are few and in several processes where they are many.

    Parameters
    ----------
    job : Job
        The model, the run, and how many processes.
    shards : iterator of Shard
        Consumed as workers become free.

    Yields
    ------
    ShardSummary
        One for each shard, in no particular order.

    Raises
    ------
    DigitflowError
        If a worker process dies, and whatever `score_shard` raises.
    """
    if job.workers == 1 or current_process().daemon:  # which may start no others
        yield from map(job.score, shards)
        return
    few = list(islice(shards, _ALONE_SHARDS + 1))
    started = time.perf_counter()
    while 0 < len(few) <= _ALONE_SHARDS:
        if len(few) > 1 and time.perf_counter() - started > _ALONE_SECONDS:
            break
        yield job.score(few.pop(0))
    if few:
        yield from _scored_in_processes(job, chain(few, shards))


def _scored_in_processes(job: Job, shards: Iterator[Shard]) -> Generator[ShardSummary]:
    # Imported here because most runs are small and need none of it.
    from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

    with _tracker_silent():  # it starts with the executor
        executor = ProcessPoolExecutor(
            job.workers, initializer=_end_with, initargs=(os.getpid(),), env=ONE_THREAD
        )
    running: set[Future[ShardSummary]] = set()
    try:
        with signals_held():  # the workers start with the first shard
            running.update(executor.submit(job.score, shard) for shard in islice(shards, 1))
        while running:
            more = islice(shards, _AHEAD * job.workers - len(running))
            running.update(executor.submit(job.score, shard) for shard in more)
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise DigitflowError(
            "a worker process ended before its time, perhaps for want of memory; "
            f"run again with fewer workers than {job.workers}"
        ) from error
    finally:
        if running:
            # Broken off. Where shards wait, loky's own way to kill its workers ends in a traceback
            # on the console; finding them dead, it is silent.
            for process in list(executor._processes):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        executor.shutdown()


@contextmanager
def _tracker_silent() -> Iterator[None]:
    """Silence what loky starts meanwhile, a process that cleans up behind the others.

    When a run is broken off it reports, now and then, locks that are long gone.
    """
    before = sys.warnoptions[:]
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    try:
        yield
    finally:
        sys.warnoptions[:] = before


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, killed perhaps.

    It would wait for work for minutes otherwise, and finish in silence what it had begun.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
