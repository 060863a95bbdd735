"""`digitflow score`: a folder of images into a Parquet table or dataset; the flow does the same."""

import argparse
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitflow.errors import ImageError

if TYPE_CHECKING:
    from digitflow.runs.recording import Run
    from digitflow.scoring.summary import ScoreSummary


def add_score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    score = commands.add_parser("score", help="score a folder of images into a Parquet table")
    add_score_arguments(score)
    score.add_argument(
        "--record", action="store_true", help="leave a record of the run in reports/"
    )
    score.set_defaults(run=_run)


def add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `digitflow score` and `flows/score_folder.py` have in common."""
    # As text: a path would lose the slash at the end of an output, which makes it a dataset.
    parser.add_argument("images", help="the folder, or s3://bucket/folder; with sub-folders")
    parser.add_argument(
        "output",
        help="the Parquet file to write, or s3://bucket/out.parquet; or a folder, with a slash at "
        "its end, for a dataset that takes up what is new as new parts",
    )
    parser.add_argument("--model", help="name, name@version or a bundle's folder (default: mnist)")
    parser.add_argument("--workers", type=int, help="processes (default: one for each CPU)")
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="let a Dask cluster score: its scheduler, as tcp://host:8786; its workers must see "
        "the images under the same path",
    )
    parser.add_argument(
        "--multi", action="store_true", help="several digits in a picture; a row for each"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="score everything anew, whatever is known already"
    )
    parser.add_argument(
        "--keep-removed", action="store_true", help="keep the rows of files that are gone"
    )
    parser.add_argument(
        "--partition-by",
        choices=["day"],
        help="keep the parts of a dataset in folders by the day on which their files came in: that "
        "of a dated folder (2026-01-05/), or of the run that first had them, UTC",
    )
    add_max_error_rate(parser)
    parser.add_argument(
        "--summary", metavar="FILE", help="write the summary as JSON; - prints it instead of words"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time went")


def add_max_error_rate(parser: argparse.ArgumentParser) -> None:
    """Add the option of every command that scores a folder."""
    parser.add_argument(
        "--max-error-rate",
        type=share,
        metavar="SHARE",
        help="end with 3 only if a larger share of the files cannot be read, 0 to 1 (default: 0)",
    )


def share(text: str) -> float:
    """Read a share, 0 to 1, of the command line."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1")


#: What a scoring run is told, but for the places and what becomes of its summary.
_SCORING = (
    *("model", "workers", "dask", "multi", "fresh", "keep_removed", "partition_by", "profile"),
)


def _run(options: argparse.Namespace) -> int:
    from digitflow.scoring.folder import new_run_id, score_folder
    from digitflow.scoring.summary import check_summary_file

    check_summary_file(options.summary, options.images, options.output)
    told = {name: getattr(options, name) for name in _SCORING}
    run_id = new_run_id()
    with _recording(options, run_id) as run:
        began = time.time()
        summary = score_folder(options.images, options.output, run_id=run_id, **told)
        if run:
            note_scoring(run, summary, options.images, began)
        tell_summary(summary, options.summary, options.max_error_rate)
    return score_exit_code(summary, options.max_error_rate)


def _recording(
    options: argparse.Namespace, run_id: str
) -> "contextlib.AbstractContextManager[Run | None]":
    """Record the run if that is asked for: a command tried out in some folder leaves nothing."""
    if not options.record:
        return contextlib.nullcontext()
    given = {name: value for name, value in vars(options).items() if name not in ("run", "record")}
    return recording_scoring(given, run_id)


def recording_scoring(
    given: Mapping[str, Any], run_id: str
) -> "contextlib.AbstractContextManager[Run]":
    """Record a scoring run under the name that its rows have for it.

    Raises
    ------
    UsageError
        If a place holds credentials, which a record is not to keep.
    """
    from digitflow import settings
    from digitflow.runs.recording import recording
    from digitflow.scoring.stores import refuse_secrets

    for place in ("images", "output"):
        refuse_secrets(given[place], "the record of a run keeps what it is given")
    return recording(settings.reports_folder().resolve() / run_id, "score", given)


def note_scoring(run: "Run", summary: "ScoreSummary", images: str, began: float) -> None:
    """Keep what a scoring run did and wrote.

    Parameters
    ----------
    run : Run
    summary : ScoreSummary
    images : str
        What was scored.
    began : float
        When it began, in seconds since the epoch. Of a dataset only the parts written since are
        outputs of the run; to read all others again would take as long as the run.
    """
    counted = (
        *("n_files", "n_rows", "n_scored", "n_kept", "n_resumed", "n_removed", "unchanged"),
        *("statuses", "reasons", "labels", "images_per_second", "error_rate"),
    )
    run.facts["stages"] |= summary.profile or {"score": round(summary.seconds, 3)}
    run.note(
        outcome=f"{summary.n_scored:,} of {summary.n_files:,} files scored"
        + (f", {summary.n_unreadable:,} unreadable" if summary.n_unreadable else ""),
        data={"images": images, "n_files": summary.n_files},
        metrics={name: getattr(summary, name) for name in counted},
        model={"model": f"{summary.model}@{summary.version}", "model_id": summary.model_id},
    )
    run.add_output(*_written(summary, began))


def _written(summary: "ScoreSummary", began: float) -> list[Path]:
    """Return the local files that a run wrote; a table that was right as it was is none of them."""
    output = summary.output
    if not isinstance(output, Path) or summary.unchanged:
        return []
    if summary.n_parts is None:
        return [output]
    return [part for part in sorted(output.rglob("*.parquet")) if part.stat().st_mtime >= began]


def tell_summary(
    summary: "ScoreSummary",
    file: str | None,
    max_error_rate: float | None,
    say: Callable[[str], None] = print,
) -> None:
    """Write and print what a scoring run did; an error if too many images could not be read."""
    from digitflow.scoring.summary import CONSOLE, check_error_rate, write_summary

    if file not in (None, CONSOLE):
        write_summary(summary, file)
    say(summary.as_json() if file == CONSOLE else summary.in_words())
    check_error_rate(summary, max_error_rate)


def score_exit_code(summary: "ScoreSummary", max_error_rate: float | None) -> int:
    """Return the exit code of a scoring run that is done, and has not failed by its error rate."""
    return ImageError.exit_code if summary.error_rate and max_error_rate is None else 0
