"""The shards of a run, scored in this process or in several.

Whoever runs the shards, the caller sees one thing: finished shards, in the order they finish.
"""

import os
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from digitflow.errors import DigitflowError
from digitflow.scoring.plan import Shard
from digitflow.scoring.shard import ShardOptions, ShardSummary, score_shard

#: Shards that this process scores alone, since to start others for them costs more than it saves.
_ALONE_SHARDS = 8

#: Seconds after which they are started all the same, because these images are slow ones.
_ALONE_SECONDS = 1.0

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
        part = self.folder / f"part-{shard.number:08d}.parquet"
        return score_shard(shard, self.options, part)


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
    if job.workers == 1:
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
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import BrokenProcessPool

    # One thread a process for every numerical library: more of them only get in each other's way.
    with parallel_config(backend="loky", n_jobs=job.workers, inner_max_num_threads=1):
        parallel = Parallel(
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=_AHEAD * job.workers,
            initializer=_end_with,
            initargs=(os.getpid(),),
        )
    try:
        yield from parallel(delayed(job.score)(shard) for shard in shards)
    except BrokenProcessPool as error:
        raise DigitflowError(
            "a worker process ended before its time, perhaps for want of memory; "
            f"run again with fewer workers than {job.workers}"
        ) from error


def _end_with(parent: int) -> None:
    """End this worker when the process that started it is gone, killed perhaps.

    It would wait for work for minutes otherwise, and finish in silence what it had begun.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
