"""A whole folder of images, scored into one table."""

import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from digitflow.files import as_output_error
from digitflow.scoring.assembling import assembled
from digitflow.scoring.cluster import score_on_cluster
from digitflow.scoring.growing import count_rows, grow, remove_parts
from digitflow.scoring.known import SCORED, Comparison, Source, tells_its_files
from digitflow.scoring.plan import Shard, plan_shards
from digitflow.scoring.publishing import publishing
from digitflow.scoring.request import Request, check_request, identity_in, up_to_date
from digitflow.scoring.scored import is_whole
from digitflow.scoring.shard import ShardOptions, ShardSummary
from digitflow.scoring.stopwatch import Stopwatch, make_stopwatch, total_profile
from digitflow.scoring.summary import ScoreSummary
from digitflow.scoring.table import RowCounts, write_table
from digitflow.scoring.workers import Job, score_shards
from digitflow.scoring.working import Begun, begin, working_folder


@publishing
def score_folder(
    images: Path | str,
    output: Path | str,
    *,
    model: str | None = None,
    workers: int | None = None,
    dask: str | None = None,
    multi: bool = False,
    fresh: bool = False,
    keep_removed: bool = False,
    partition_by: str | None = None,
    days: str | None = None,
    run_id: str | None = None,
    progress: bool | None = None,
    profile: bool = False,
) -> ScoreSummary:
    """Score every file of a folder into a Parquet table, at least one row for each.

    Or into a dataset, a folder of such tables that takes up new rows as new parts, and in which
    only those parts are written again whose files changed (`docs/scoring.md`).

    The table appears whole, at the end; until then, and whenever something fails, what was at
    `output` stays as it is. What a run has finished when it is killed, the next one takes up.

    Where `output` is a table of the same folder, model and options, a file's rows stay unless its
    size or time of change differ, it could not be read, or it was changed within two seconds of
    its scoring: the table is always what scoring everything anew would give.

    Parameters
    ----------
    images : Path or str
        The folder, or the URI of one in a store (``s3://bucket/scans``). Sub-folders are included,
        names that begin with a dot are not, links are not followed.
    output : Path or str
        The Parquet file, or the URI of one in a store. An earlier scored table is replaced;
        anything else is refused. Text that ends in a slash is the folder of a dataset, and so is a
        folder that is one already. A `Path` cannot end in a slash: for a new dataset, give text.
    model : str, optional
        A model's name, `name@version`, or a bundle's folder. Default: `settings.DEFAULT_MODEL`.
    workers : int, optional
        Processes. Default: as many as there are CPUs for this process. Small folders are scored
        in this process alone.
    dask : str, optional
        The scheduler of a Dask cluster that scores in place of local processes, for example
        ``"tcp://10.0.0.1:8786"``. Its workers must see the images under the same path.
    multi : bool
        Look for several digits in each picture, and give each its row: `segment` counts them in
        reading order. Default: each picture shows one.
    fresh : bool
        Score everything anew, whatever is known.
    keep_removed : bool
        Keep the rows of files that are gone. Default: they go with their files.
    partition_by : {"day"}, optional
        Keep the parts of a dataset in folders by the day on which their files came in: that of
        the dated folder (``images/2026-01-05/``) which they lie in, or the day (UTC) of the run
        that first had them. Default: in one folder.
    days : str, optional
        Score only the dated folders of these days, as ``"2026-01-01..2026-01-31"``; all other rows
        stay as they are. Default: all files.
    run_id : str, optional
        What the rows scored now call this run. Default: the time and a few random digits.
    progress : bool, optional
        Whether to show a progress bar on standard error. Default: where that is a terminal.
    profile : bool
        Measure where the time goes; the summary tells it.

    Returns
    -------
    ScoreSummary
        Counts, speed, and which model was used.

    Raises
    ------
    UsageError
        If `images` is missing, is not a folder, cannot be listed or holds no file, `workers` is
        less than 1, `dask` is no address, both are given or Dask is not installed, rows that are
        to be kept or a dataset are of another folder or of other classes, or a single table is to
        be partitioned.
    OutputError
        If `output` is a file but not a scored table, a folder with other things than the parts of
        a dataset, is damaged, or cannot be written, or another run is writing it.
    UnknownModelError
        If there is no such model.
    BundleError
        If the model is damaged, or was changed during the run.
    DigitflowError
        If a worker process dies, or the cluster cannot do the work.

    Examples
    --------
    >>> from digitflow import score_folder
    >>> summary = score_folder("images", "out.parquet")  # doctest: +SKIP
    >>> summary.statuses  # doctest: +SKIP
    {'ok': 9870, 'uncertain': 130}
    """
    started, began = time.perf_counter(), datetime.now(UTC)
    stopwatch = make_stopwatch(profile)
    request = check_request(
        images,
        output,
        model,
        workers,
        dask=dask,
        multi=multi,
        keep_removed=keep_removed,
        partition_by=partition_by,
        days=days,
    )
    run_id = run_id or new_run_id()
    options = ShardOptions(
        request.bundle.folder.resolve(), request.bundle.model_id, run_id, multi, profile
    )
    with working_folder(request.output, fresh) as work, as_output_error(request.output):
        is_part = partial(is_whole, n_classes=len(request.bundle.class_names))
        begun = begin(work, request.identity, fresh, is_part)
        request = up_to_date(request)
        comparison, unreadable = _comparison(request, begun, work)
        stopwatch.lap("plan")
        shards = plan_shards(request.folder, comparison.unknown(request.found))
        job = Job(options, begun.parts, request.workers)
        score = partial(score_on_cluster, dask) if dask else score_shards
        planned = stopwatch.taking("plan", shards)
        with closing(_with_progress(partial(score, job), planned, progress)) as finished:
            done = sorted(finished, key=lambda summary: summary.number)
        stopwatch.skip()
        facts = request.facts
        facts["run"]["run_id"] = run_id
        scored = _parts_of(done)
        counts, n_parts, n_written = _save(
            request, comparison, scored, unreadable, work, facts, began
        )
        n_unreadable = _n_unreadable(comparison, counts, done)
        stopwatch.lap("assemble")
    seconds = time.perf_counter() - started
    spent = _profile(done, stopwatch, seconds) if profile else {}
    summary = _summary(request, run_id, comparison, counts, n_unreadable, seconds, spent)
    return replace(summary, n_parts=n_parts, n_parts_written=n_written)


def new_run_id() -> str:
    """Return a name for a run: the time, UTC, and a few random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _comparison(request: Request, begun: Begun, work: Path) -> tuple[Comparison, list[Path]]:
    """Set the files of the folder beside the rows of the earlier table and of interrupted runs.

    Of a dataset, parts that do not tell their files are not compared, but returned.
    """
    tables: list[Source] = []
    unreadable: list[Source] = []
    model_id = request.bundle.model_id
    for file, facts in request.earlier.items():
        as_now = identity_in(facts) == request.identity
        table = Source([file], model_id if as_now and not begun.fresh else None)
        if table.trusted or request.keep_removed or request.days:
            tables.append(table)
        elif request.dataset:  # new rows take the place of the old ones, in the same part
            (tables if tells_its_files(table) else unreadable).append(table)
    left = [Source(each, model_id) for each in begun.left]
    comparison = Comparison(tables, left, request.keep_removed, work, request.days)
    return comparison, [table.files[0] for table in unreadable]


def _save(
    request: Request,
    comparison: Comparison,
    scored: Source,
    unreadable: list[Path],
    work: Path,
    facts: dict[str, Any],
    began: datetime,
) -> tuple[RowCounts, int | None, int | None]:
    """Write the rows where they belong.

    Returns which there are then; of a dataset also how many parts, and how many were written.
    """
    unchanged, dataset = comparison.nothing_changed(), request.dataset
    if dataset is None:
        if unchanged:
            return count_rows(comparison.table_files), None, None
        rows = assembled(comparison, scored)
        return write_table(rows, request.output, work / "table.parquet", facts), None, None
    # First of all, as what they hold unseen is about to be added.
    remove_parts(dataset, unreadable)
    n_written = 0 if unchanged else grow(dataset, comparison, scored, work, facts, began)
    parts = dataset.parts()
    return count_rows(parts), len(parts), n_written


def _parts_of(done: Sequence[ShardSummary]) -> Source:
    """Return the rows of the shards that were scored."""
    n_files = sum(each.n_files for each in done)
    counts = [each.n_files for each in done]
    return Source([each.part for each in done], kept=bytearray(b"\1" * n_files), counts=counts)


def _n_unreadable(comparison: Comparison, counts: RowCounts, done: Sequence[ShardSummary]) -> int:
    """Return how many of the files seen could not be read; all that failed before were tried."""
    if comparison.n_unseen:  # what is in the table may be theirs
        counts = count_rows(each.part for each in done)
    return counts.statuses["error"]


def _profile(
    done: Sequence[ShardSummary], stopwatch: Stopwatch, seconds: float
) -> dict[str, float]:
    """Return the seconds of all processes by stage."""
    of_shards = ((each.process, each.seconds) for each in done)
    return total_profile(of_shards, stopwatch.seconds, seconds)


def _with_progress(
    score: Callable[[Iterator[Shard]], Generator[ShardSummary]],
    shards: Iterator[Shard],
    progress: bool | None,
) -> Generator[ShardSummary]:
    """Score all shards and show how far it is, if that is wanted."""
    shown = sys.stderr.isatty() if progress is None else progress
    if not shown:
        yield from score(shards)
        return
    from tqdm import tqdm

    with tqdm(desc="scoring", unit=" images", unit_scale=True) as bar:

        def counted() -> Iterator[Shard]:
            planned = 0
            for shard in shards:
                planned += len(shard.files)
                yield shard
            bar.total = planned

        for summary in score(counted()):
            bar.update(summary.n_files)
            yield summary


def _summary(
    request: Request,
    run_id: str,
    comparison: Comparison,
    counts: RowCounts,
    n_unreadable: int,
    seconds: float,
    profile: dict[str, float],
) -> ScoreSummary:
    origins, bundle = comparison.origins, request.bundle
    n_scored, n_kept = origins.count(SCORED), comparison.n_kept
    return ScoreSummary(
        output=request.output,
        run_id=run_id,
        model=bundle.name,
        version=bundle.version,
        model_id=bundle.model_id,
        n_files=len(origins),
        n_rows=counts.n_rows,
        n_scored=n_scored,
        n_kept=n_kept,
        n_resumed=len(origins) - n_scored - n_kept,
        n_removed=comparison.n_removed,
        n_unseen=comparison.n_unseen,
        n_unreadable=n_unreadable,
        unchanged=comparison.nothing_changed(),
        statuses=dict(sorted(counts.statuses.items())),
        reasons=dict(sorted(counts.reasons.items())),
        labels=dict(sorted(counts.labels.items())),
        seconds=seconds,
        profile=profile,
    )
