"""The shards of a run, scored by the workers of a Dask cluster.

Beside `workers`, which scores them on this machine. Dask takes the shards of a worker that is lost
to others. Whatever a cluster may do, a run ends: each wait has its limit, told in `docs`.
"""

import operator
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from itertools import chain, islice
from os import fsdecode
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from digitflow.errors import BundleError, DigitflowError, UsageError
from digitflow.files import replacing
from digitflow.models.bundle import open_bundle
from digitflow.scoring import remote
from digitflow.scoring.plan import Shard
from digitflow.scoring.remote import RemotePart, Task
from digitflow.scoring.scheduler import connected, silenced
from digitflow.scoring.shard import ShardSummary
from digitflow.scoring.stopwatch import make_stopwatch
from digitflow.scoring.workers import Job

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed

#: What workers run.
_FUNCTION = f"{remote.__name__}:{remote.score_remotely.__name__}"

#: Shards at the cluster for each of its threads: enough to keep it busy, few enough to hold.
_AHEAD = 4

#: Shards at a cluster that has no workers yet: some have theirs started when there is work.
_AHEAD_OF_WORKERS = 8

#: Shards put aside because their workers ended, at most: with so many, the workers are at fault.
_MOST_DEADLY = 32

#: Seconds to wait for workers where there are none, or for a scheduler that does not answer.
_PATIENCE_SECONDS = 60

#: How often the run looks whether the cluster still lives.
_LOOK_SECONDS = 1.0
_POLL_SECONDS = 0.1


def check_cluster(address: str, workers: int | None) -> None:
    """Check what can be known of `--dask` before a run begins.

    Raises
    ------
    UsageError
        If it is no address, Dask is not installed, or `workers` is given too.
    """
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("tcp", "tls") and bool(parts.hostname and parts.port)
    except ValueError:
        is_address = False
    if not is_address:
        raise UsageError(f"dask is {address!r}; give the scheduler's address, as tcp://host:8786")
    if workers is not None:
        raise UsageError(
            f"workers is {workers} beside dask: a cluster has as many workers as were started; "
            "give one of the two"
        )
    if not find_spec("distributed"):
        raise UsageError('Dask is not installed; pip install "digitflow[dask]", or leave out dask')


def score_on_cluster(address: str, job: Job, shards: Iterator[Shard]) -> Generator[ShardSummary]:
    """Score shards on a Dask cluster.

    Parameters
    ----------
    address : str
        The scheduler, for example ``"tcp://10.0.0.1:8786"``.
    job : Job
        The model, the run, and where the parts go; they are written by this process.
    shards : iterator of Shard
        Consumed as workers become free.

    Yields
    ------
    ShardSummary
        One for each shard, in no particular order.

    Raises
    ------
    DigitflowError
        If the cluster is out of reach, has no workers or lacks digitflow, if its workers do not
        see the images, or end whenever they score a shard.
    BundleError
        If the model was changed, or does not run on a worker.
    OutputError
        If a part cannot be written.
    """
    some = list(islice(shards, 1))
    if not some:
        return  # what needs no cluster shall not fail for want of one
    with silenced(), connected(address) as client:
        run = _Run(address, client, job)
        yield from run.scored(chain(some, shards))
        doubtful, run.deadly = run.deadly, []
        # Each was in workers that ended, but others were with it. Alone, it answers for itself.
        for shard in doubtful:
            yield from run.scored(iter([shard]))
        if run.deadly:
            raise run.deadly_shards()


class _Run:
    """A run on a cluster: what is sent there, what comes back, and whether the cluster lives."""

    def __init__(self, address: str, client: "Client", job: Job):
        self.address, self.client, self.job = address, client, job
        # As a task's result, Dask takes the model to each worker once, and can make it again.
        self.model: Future = client.submit(dict, _checked_model(job), pure=False)
        self.deadly: list[Shard] = []  # those whose workers ended, each time
        self.threads: dict[tuple[str, int], int] = {}  # those that scored, numbered
        self.ahead = _AHEAD_OF_WORKERS
        self.looked_at = self.had_workers_at = self.heard_at = time.monotonic()

    def scored(self, shards: Iterator[Shard]) -> Iterator[ShardSummary]:
        """Score shards; those that seem to end their workers are put aside."""
        from distributed import KilledWorker, as_completed

        finished = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        running: dict[Future, Shard] = {}
        while True:
            for shard in islice(shards, max(0, self.ahead - len(running))):
                future = self._send(shard)
                running[future] = shard
                finished.add(future)
            if not running:
                return
            for future, result in self._wait(finished, running):
                shard = running.pop(future)
                if isinstance(result, RemotePart):
                    yield self._keep(shard, result)
                elif isinstance(result, DigitflowError):
                    raise result
                elif future.status == "error" and isinstance(result[1], KilledWorker):
                    self.deadly.append(shard)
                    if len(self.deadly) > _MOST_DEADLY:
                        raise self.deadly_shards()
                elif future.status == "error":
                    raise self._not_run(result[1])
                else:
                    raise self._lost()

    def deadly_shards(self) -> DigitflowError:
        """Return the error for shards that were put aside."""
        found = self.deadly
        more = f" and {len(found) - 1} more shards" if len(found) > 1 else ""
        return DigitflowError(
            f"{self.address}: workers end, each time, when they score {_in_words(found[0])}{more}; "
            "give the workers more memory, or take out the file that does it: scored by halves, "
            "without dask, they tell which it is"
        )

    def _send(self, shard: Shard) -> "Future":
        # Named, and looked up where it runs: a scheduler needs no digitflow, and a worker without
        # it says so. Given as it is, the function would end a worker that cannot import it.
        function = (resolve_name, _FUNCTION)
        packed = Task(shard, self.job.options, time.time_ns() // 1000).packed()
        key = f"{remote.score_remotely.__name__}-{uuid4()}"
        graph = {key: (operator.call, function, remote.VERSION, self.model, packed)}
        return self.client.get(graph, key, sync=False)

    def _keep(self, shard: Shard, part: RemotePart) -> ShardSummary:
        """Write a part, just as a local run does."""
        if not part.sees_images and shard.is_in_sight():
            raise _out_of_sight(shard, part.worker)
        stopwatch = make_stopwatch(self.job.options.profile)
        file = self.job.part_of(shard)
        with replacing(file, make_folder=False) as temporary:
            temporary.write_bytes(part.content)
        stopwatch.lap("write")
        seconds = dict(part.seconds)
        for stage, spent in stopwatch.seconds.items():
            seconds[stage] += spent
        # Numbers of processes repeat on other machines; these are none of them.
        number = self.threads.setdefault((part.worker, part.thread), -1 - len(self.threads))
        return ShardSummary(shard.number, file, len(shard.files), number, seconds)

    def _wait(
        self, finished: "as_completed", running: "dict[Future, Shard]"
    ) -> "list[tuple[Future, Any]]":
        """Return what has come back, at least one, as long as the cluster lives."""
        while not finished.has_ready():
            if time.monotonic() - self.looked_at > _LOOK_SECONDS:
                self._look(running)
                self.looked_at = time.monotonic()
            with finished.thread_condition:
                finished.thread_condition.wait(_POLL_SECONDS)
        self.heard_at = time.monotonic()
        return finished.next_batch(block=False)

    def _look(self, running: "dict[Future, Shard]") -> None:
        """See how many workers there are; an error if there were none for too long."""
        n_threads = sum(self._ask(lambda: self.client.scheduler.ncores_running()).values())
        self.ahead = max(_AHEAD_OF_WORKERS, _AHEAD * n_threads)
        now = time.monotonic()
        if n_threads:
            self.had_workers_at = now
        elif now - self.had_workers_at > _PATIENCE_SECONDS:
            raise self._without_workers(running)
        if now - self.heard_at > _PATIENCE_SECONDS:
            self.heard_at = now
            keys = [future.key for future in running]
            states = self._ask(lambda: self.client.scheduler.get_task_status(keys=keys))
            if {"memory", "erred"} & {*states.values()}:
                raise DigitflowError(
                    f"{self.address}: results do not come back from the cluster; "
                    "see the scheduler's log, and run again"
                )

    def _without_workers(self, running: "dict[Future, Shard]") -> DigitflowError:
        """Return the error for want of workers, with what they had in hand when they ended."""
        deaths: Counter[object] = Counter()
        for _, event in self._ask(lambda: self.client.get_events("all")):
            if event.get("action") == "remove-worker" and not event["expected"]:
                deaths.update(event["processing-tasks"])
        most = max(deaths[future.key] for future in running)
        none = f"{self.address}: no worker has taken work for {_PATIENCE_SECONDS} s"
        if not most:
            return DigitflowError(f"{none}; start some: dask worker {self.address}")
        found = [
            _in_words(shard) for future, shard in running.items() if deaths[future.key] == most
        ]
        return DigitflowError(
            f"{none}, and the last ended while they had {' and '.join(found[:3])}; start others, "
            "with more memory, or take out the file that ends them"
        )

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask the scheduler; an error if it does not answer."""
        if self.client.status != "running":
            raise self._lost()

        async def asked() -> Any:
            return await question()

        try:
            return self.client.sync(asked, callback_timeout=_PATIENCE_SECONDS)
        except TimeoutError as error:
            raise DigitflowError(
                f"{self.address}: the scheduler has not answered for {_PATIENCE_SECONDS} s; "
                "see how it is, and run again"
            ) from error
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> DigitflowError:
        return DigitflowError(
            f"{self.address}: the connection to the scheduler was lost, or the cluster was "
            "restarted; see how it is, and run again"
        )

    def _not_run(self, error: BaseException) -> DigitflowError:
        """Return the error for a task that Dask could not run: where digitflow is missing."""
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        versions = self._ask(lambda: self.client.run(remote.installed_version, on_error="return"))
        for worker, version in versions.items():
            if version != remote.VERSION:
                return DigitflowError(
                    f"{worker}: this worker has no digitflow that can be used ({what}); install "
                    f"{remote.VERSION} there"
                )
        return DigitflowError(f"{self.address}: a worker failed ({what}); see its log")


def _checked_model(job: Job) -> dict[str, bytes]:
    """Return the files that workers need of the run's model."""
    bundle = open_bundle(job.options.model_folder)
    if bundle.model_id != job.options.model_id:
        raise BundleError(f"{bundle.folder}: the model was changed during the run; run it again")
    return remote.model_content(bundle)


def _out_of_sight(shard: Shard, worker: str) -> DigitflowError:
    """Return the error for a worker that sees nothing of what this machine sees."""
    if not isinstance(shard.folder, bytes):
        return DigitflowError(
            f"{worker}: this worker does not see {shard.folder} as it is here "
            f"({_in_words(shard)}); give it credentials, and the same endpoint, in its environment"
        )
    return DigitflowError(
        f"{worker}: this worker does not see {fsdecode(shard.folder)} as it is here "
        f"(none of {_in_words(shard)}); mount the folder there under the same path"
    )


def _in_words(shard: Shard) -> str:
    """Tell which files a shard has, in one line whatever their names hold."""
    first, last = (ascii(fsdecode(shard.files[place].path)) for place in (0, -1))
    n_files = len(shard.files)
    return f"{n_files:,} files, {first} to {last}" if n_files > 1 else f"the file {first}"
