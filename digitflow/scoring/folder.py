"""A whole folder of images, scored into one table."""

import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digitflow.errors import OutputError
from digitflow.models.bundle import Bundle
from digitflow.scoring.plan import Shard
from digitflow.scoring.request import check_request, why_not_written
from digitflow.scoring.shard import ShardOptions, ShardSummary
from digitflow.scoring.stopwatch import make_stopwatch, profile_in_words, total_profile
from digitflow.scoring.table import assemble
from digitflow.scoring.workers import Job, score_shards
from digitflow.scoring.working import working_folder


@dataclass(frozen=True)
class ScoreSummary:
    """What a run did."""

    output: Path  # the scored table
    run_id: str
    model: str  # name
    version: str
    model_id: str
    n_files: int
    n_rows: int
    statuses: dict[str, int]  # rows by status
    reasons: dict[str, int]  # rows that are not `ok`, by reason
    labels: dict[str, int]  # rows that were read, by label
    seconds: float  # from the call to the finished table
    profile: dict[str, float]  # seconds of all processes by stage; empty unless asked for

    @property
    def images_per_second(self) -> float:
        """How many files were accounted for in a second."""
        return self.n_files / self.seconds

    def in_words(self) -> str:
        """Return the summary as lines for a person."""
        lines = [
            ("files", f"{self.n_files:,}, {self.n_rows:,} rows"),
            ("status", _counts(self.statuses)),
            ("reasons", _counts(self.reasons)),
            ("digits", _counts(self.labels)),
            ("speed", f"{self.images_per_second:,.0f} images/s, {self.seconds:.1f} s in all"),
            ("model", f"{self.model}@{self.version} ({self.model_id[:12]})"),
            # Its name need not be valid text, which a strict console would refuse.
            ("table", os.fsencode(self.output).decode(errors="backslashreplace")),
        ]
        told = [f"{what:<8} {said}" for what, said in lines if said]
        if self.profile:
            told += ["", profile_in_words(self.profile, self.n_files)]
        return "\n".join(told)


def score_folder(
    images: Path | str,
    output: Path | str,
    *,
    model: str | None = None,
    workers: int | None = None,
    multi: bool = False,
    run_id: str | None = None,
    progress: bool | None = None,
    profile: bool = False,
) -> ScoreSummary:
    """Score every file of a folder into a Parquet table, at least one row for each.

    The table appears whole, at the end; until then, and whenever something fails, what was at
    `output` stays as it is.

    Parameters
    ----------
    images : Path or str
        The folder. Sub-folders are included, names that begin with a dot are not, links are not
        followed.
    output : Path or str
        The Parquet file. An earlier scored table is replaced; anything else is refused.
    model : str, optional
        A model's name, `name@version`, or a bundle's folder. Default: `settings.DEFAULT_MODEL`.
    workers : int, optional
        Processes. Default: as many as there are CPUs for this process. Small folders are scored
        in this process alone.
    multi : bool
        Look for several digits in each picture, and give each its row: `segment` counts them in
        reading order. Default: each picture shows one.
    run_id : str, optional
        What the table calls this run. Default: the time and a few random digits.
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
        If `images` is missing, is not a folder, cannot be listed or holds no file, or `workers`
        is less than 1.
    OutputError
        If `output` is a folder, is a file but not a scored table, or cannot be written, or
        another run is writing it.
    UnknownModelError
        If there is no such model.
    BundleError
        If the model is damaged.

    Examples
    --------
    >>> from digitflow import score_folder
    >>> summary = score_folder("images", "out.parquet")  # doctest: +SKIP
    >>> summary.statuses  # doctest: +SKIP
    {'ok': 9870, 'uncertain': 130}
    """
    started = time.perf_counter()
    stopwatch = make_stopwatch(profile)
    request = check_request(images, output, model, workers)
    stopwatch.lap("plan")
    bundle, output = request.bundle, request.output
    run_id = run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    options = ShardOptions(bundle.folder.resolve(), bundle.model_id, run_id, multi, profile)
    shards = stopwatch.taking("plan", request.shards)
    with working_folder(output) as work:
        # No other run's parts lie there, not even those that an orphaned worker still writes.
        job = Job(options, work / secrets.token_hex(4), request.workers)
        with closing(_with_progress(job, shards, progress)) as finished:
            done = sorted(finished, key=lambda summary: summary.number)
        stopwatch.skip()
        try:
            facts = _facts_of(bundle, run_id, request.images, multi)
            assemble([each.part for each in done], output, len(bundle.class_names), facts)
        except OSError as error:
            raise OutputError(why_not_written(output, error)) from error
        stopwatch.lap("assemble")
    seconds = time.perf_counter() - started
    shards_spent = ((each.process, each.seconds) for each in done)
    spent = total_profile(shards_spent, stopwatch.seconds, seconds) if profile else {}
    return _summary_of(done, output, bundle, run_id, seconds, spent)


def _with_progress(
    job: Job, shards: Iterator[Shard], progress: bool | None
) -> Generator[ShardSummary]:
    """Score all shards and show how far it is, if that is wanted."""
    shown = sys.stderr.isatty() if progress is None else progress
    if not shown:
        yield from score_shards(job, shards)
        return
    from tqdm import tqdm

    with tqdm(desc="scoring", unit=" images", unit_scale=True) as bar:

        def counted() -> Iterator[Shard]:
            planned = 0
            for shard in shards:
                planned += len(shard.files)
                yield shard
            bar.total = planned

        for summary in score_shards(job, counted()):
            bar.update(summary.n_files)
            yield summary


def _facts_of(bundle: Bundle, run_id: str, images: Path, multi: bool) -> dict[str, Any]:
    """Return what the table's metadata says of its model and run."""
    return {
        "model": {
            "name": bundle.name,
            "version": bundle.version,
            "model_id": bundle.model_id,
            "class_names": bundle.class_names,
            "uncertain_below": bundle.uncertain_below,
        },
        "run": {"run_id": run_id, "folder": os.fspath(images), "multi": multi},
    }


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _summary_of(
    done: Sequence[ShardSummary],
    output: Path,
    bundle: Bundle,
    run_id: str,
    seconds: float,
    profile: dict[str, float],
) -> ScoreSummary:
    return ScoreSummary(
        output=output,
        run_id=run_id,
        model=bundle.name,
        version=bundle.version,
        model_id=bundle.model_id,
        n_files=sum(each.n_files for each in done),
        n_rows=sum(each.n_rows for each in done),
        statuses=_total(each.statuses for each in done),
        reasons=_total(each.reasons for each in done),
        labels=_total(each.labels for each in done),
        seconds=seconds,
        profile=profile,
    )


def _total(counters: Iterable[Counter[str]]) -> dict[str, int]:
    """Add counters up and sort them by name."""
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return dict(sorted(total.items()))
