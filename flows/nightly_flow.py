"""The nightly job: score what came in, by day, look for drift, and tell.

python flows/nightly_flow.py inbox/ scored/
python flows/nightly_flow.py inbox/ scored/ --backfill 2026-01-01..2026-01-31
"""

import argparse
import base64
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from orchestration import HOOKS, check_text, run_script, say  # sets Prefect's defaults: comes first
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from pydantic import Field

from digitflow import settings
from digitflow.commands.drift import FAIL_ON, drift_picture
from digitflow.commands.score import add_max_error_rate, note_scoring, score_exit_code
from digitflow.errors import DigitflowError, DriftedError, OutputError, UsageError
from digitflow.runs.recording import Run, recording
from digitflow.scoring.days import parse_days
from digitflow.scoring.drift import Drift, check_reference
from digitflow.scoring.folder import new_run_id, score_folder
from digitflow.scoring.nights import Day, latest_days, measure_latest
from digitflow.scoring.request import check_request
from digitflow.scoring.stores import is_uri, refuse_secrets
from digitflow.scoring.summary import ScoreSummary, check_error_rate

_RETRY_SECONDS = 300
_MOST_RETRIES = 10
_RECORDED = "Prefect records what its flows are given"


def may_pass(task: "Task[..., object]", run: TaskRun, state: State[object]) -> bool:
    """Tell whether what failed may do better later: a full disk, a killed worker, another run."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, DigitflowError):
        return True
    return isinstance(error, OutputError) or error.exit_code == 1


@task(retry_delay_seconds=_RETRY_SECONDS, retry_condition_fn=may_pass)
def score(inbox: str, output: str, backfill: str | None, options: dict[str, Any]) -> ScoreSummary:
    """Score what is new; one task for all of it, which spreads the work over processes itself."""
    return score_folder(inbox, output, partition_by="day", days=backfill, **options)


@task
def look_back(output: str, backfill: str | None) -> list[Day]:
    """Count the rows of the last days."""
    return latest_days(Path(output), parse_days(backfill) if backfill else None)


@task
def check_drift(days: list[Day], against: list[str]) -> Drift | str:
    """Compare the last day with those before; or say why it cannot be."""
    try:
        return measure_latest(days, against)
    except UsageError as error:
        if against:
            raise
        return str(error)


@task
def publish(summary: ScoreSummary, days: list[Day], drift: Drift | str) -> None:
    """Show totals, error reasons, days and drift in Prefect, with pictures."""
    from digitflow.evaluation.days_plot import days_figure
    from digitflow.evaluation.encoding import png_bytes

    counts = {day.name: day.counts.statuses for day in days}
    parts = [
        f"# {summary.output}",
        f"```\n{summary.in_words()}\n```",
        _as_table("reason", summary.reasons),
        _as_picture("days", png_bytes(days_figure(counts, "Rows by day"))),
        f"## Drift: {_verdict(days, drift)}",
    ]
    if isinstance(drift, Drift):
        parts += [f"```\n{drift.in_words()}\n```", _as_picture("drift", drift_picture(drift))]
    title = str(summary.output)
    create_markdown_artifact("\n\n".join(parts), key="nightly-summary", description=title)
    create_table_artifact([day.as_row() for day in days], key="nightly-days", description=title)


@flow(name="nightly", **HOOKS)
def nightly(
    inbox: str = "inbox",
    output: str = "scored/",
    backfill: str | None = None,
    model: str | None = None,
    multi: bool = False,
    workers: Annotated[int, Field(ge=1)] | None = None,
    keep_removed: bool = True,
    against: Sequence[str] = (),
    fail_on: Literal["drifted", "shifted", "never"] = "drifted",
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None,
    retries: Annotated[int, Field(ge=0, le=_MOST_RETRIES)] = 0,
) -> ScoreSummary:
    """Score an inbox into a dataset kept by day, compare the last day with those before, and tell.

    What was scored before is not scored again, and what a killed run has finished is taken up: to
    run it again does no harm at any time.

    Args:
        inbox: Folder of images, with dated folders (2026-01-05/) or without; or s3://bucket/inbox.
        output: Folder of the dataset, which is kept by day; on a local disk.
        backfill: Score only the dated folders of these days, as 2026-01-01..2026-01-31; all other
            rows stay.
        model: Name, name@version or a bundle's folder. Empty: mnist.
        multi: Several digits in a picture; a row for each.
        workers: Processes. Empty: one for each CPU.
        keep_removed: Keep the rows of files that left the inbox, which may be emptied then.
        against: What the last day is compared with: tables, what `digitflow drift --json` printed
            of one, or a bundle's folder. Empty: the 28 days before it; where there are none, the
            model's validation images.
        fail_on: From which verdict on the run fails; its table is complete all the same.
        max_error_rate: Share of files that may be unreadable, 0 to 1. Above it the run fails; its
            table is complete all the same. Empty: it never fails by that.
        retries: How often to score again, five minutes apart, after what may pass: a full disk, a
            killed worker, another run on the same dataset.
    """
    _check_places(inbox, output)
    check_reference(against)
    output = f"{output.rstrip('/')}/"
    run_id = new_run_id()
    options: dict[str, Any] = {"model": model, "multi": multi, "workers": workers}
    options["keep_removed"] = keep_removed
    given = {"inbox": inbox, "output": output, "backfill": backfill, **options, "retries": retries}
    given |= {"against": [*against], "fail_on": fail_on, "max_error_rate": max_error_rate}
    with recording(settings.reports_folder().resolve() / run_id, "nightly", given) as run:
        began = time.time()
        scoring = score.with_options(retries=retries)
        summary = scoring(inbox, output, backfill, options | {"run_id": run_id})
        note_scoring(run, summary, inbox, began)
        run.write()  # what was scored is known, however the rest ends
        days, drift = _watch(run, output, backfill, against)
        publish(summary, days, drift)
        say(summary.in_words())
        say(f"drift    {_verdict(days, drift)}")
        check_error_rate(summary, max_error_rate)
        if isinstance(drift, Drift) and drift.verdict in FAIL_ON[fail_on]:
            raise DriftedError(
                f"{_verdict(days, drift)}; the dataset is complete; look at the images: digitflow "
                f"review {days[-1].folder} --out sheet.html"
            )
    return summary


def _watch(
    run: Run, output: str, backfill: str | None, against: Sequence[str]
) -> tuple[list[Day], Drift | str]:
    """Return the last days, and how the last of them compares with those before."""
    days = look_back(output, backfill)
    with run.stage("drift"):
        drift = check_drift(days, list(against))
    run.facts["metrics"]["drift"] = _verdict(days, drift)
    told = (
        f"{days[-1].name} is {drift.verdict}" if isinstance(drift, Drift) else "drift not checked"
    )
    run.note(outcome=f"{run.facts['outcome']}; {told}")
    return days, drift


def _check_places(inbox: str, output: str) -> None:
    for place in (inbox, output):
        refuse_secrets(place, _RECORDED)
    if is_uri(output):
        raise UsageError(f"{output}: a dataset is a local folder; name one, as scored/")


def _verdict(days: Sequence[Day], drift: Drift | str) -> str:
    """Return what is known of the last day, in one line."""
    if isinstance(drift, str):
        return f"not checked ({drift})"
    alike = [column.column for column in drift.columns if column.verdict == drift.verdict]
    where = f" in {', '.join(alike)}" if drift.verdict != "stable" else ""
    return f"{days[-1].name} is {drift.verdict}{where}, against {drift.reference.name}"


def _as_table(heading: str, counts: dict[str, int]) -> str:
    if not counts:
        return ""
    rows = [f"| {name} | {count:,} |" for name, count in counts.items()]
    return "\n".join([f"| {heading} | rows |", "|---|---:|", *rows])


def _as_picture(title: str, png: bytes) -> str:
    # A local path would show nothing in the page.
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(
        description="Score an inbox into a dataset kept by day, compare the last day with those "
        "before, and tell; as a Prefect flow. What was scored before is not scored again.",
        epilog="DIGITFLOW_ON_FAILURE names a command or a webhook that is told of a failure "
        "(docs/nightly.md). Exit codes: 0 done; 1 Prefect's server is not there; 2 wrong usage; 3 "
        "done, but some images could not be read (each has its row; with --max-error-rate: too "
        "many); 4 damaged model; 6 output cannot be written; 7 done, but the last day has drifted; "
        "130 interrupted; 143 terminated.",
    )
    parser.add_argument("inbox", help="the folder of images, or s3://bucket/inbox")
    parser.add_argument("output", help="the folder of the dataset, as scored/")
    parser.add_argument(
        "--backfill",
        metavar="DAYS",
        help="score only the dated folders of these days, as 2026-01-01..2026-01-31",
    )
    parser.add_argument("--model", help="name, name@version or a bundle's folder (default: mnist)")
    parser.add_argument("--workers", type=int, help="processes (default: one for each CPU)")
    parser.add_argument(
        "--multi", action="store_true", help="several digits in a picture; a row for each"
    )
    parser.add_argument(
        "--drop-removed",
        dest="keep_removed",
        action="store_false",
        help="drop the rows of files that left the inbox (default: they stay, and the inbox may be "
        "emptied)",
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="table",
        help="what the last day is compared with, as digitflow drift takes it (default: the 28 "
        "days before; where there are none, the model's validation images)",
    )
    parser.add_argument(
        "--fail-on",
        choices=FAIL_ON,
        default="drifted",
        help="end with exit code 7 from this verdict on (default: drifted)",
    )
    add_max_error_rate(parser)
    parser.add_argument(
        "--retries",
        type=int,
        choices=range(_MOST_RETRIES + 1),
        default=0,
        metavar="N",
        help="score again so often, five minutes apart, after what may pass, as a full disk; at "
        f"most {_MOST_RETRIES}",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Run the flow as a script."""
    options = parse_arguments()

    def checked_run() -> ScoreSummary:
        # Before Prefect's server is started: what cannot work is said at once.
        check_text(vars(options), "rename it")
        _check_places(options.inbox, options.output)
        check_reference(options.against)
        check_request(
            options.inbox,
            f"{options.output.rstrip('/')}/",
            options.model,
            options.workers,
            multi=options.multi,
            keep_removed=options.keep_removed,
            partition_by="day",
            days=options.backfill,
        )
        return nightly(**vars(options))

    summary = run_script(checked_run)
    sys.exit(score_exit_code(summary, options.max_error_rate))


if __name__ == "__main__":
    main()
