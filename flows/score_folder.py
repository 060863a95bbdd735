"""Score a folder of images into a Parquet table, as a Prefect flow.

python flows/score_folder.py images/ out.parquet
"""

import argparse
import sys
import time
from typing import Annotated, Any, Literal

from orchestration import HOOKS, check_text, run_script, say  # sets Prefect's defaults: comes first
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from digitflow.commands.score import (
    add_score_arguments,
    note_scoring,
    recording_scoring,
    score_exit_code,
    tell_summary,
)
from digitflow.scoring.folder import new_run_id, score_folder
from digitflow.scoring.publishing import outlined
from digitflow.scoring.request import check_request
from digitflow.scoring.stores import refuse_secrets
from digitflow.scoring.summary import ScoreSummary, check_summary_file

_RECORDED = "Prefect records what its flows are given"


@task
def score(images: str, output: str, **options: Any) -> ScoreSummary:
    """Score the folder; one task for all of it, which spreads the work over processes itself."""
    return score_folder(images, output, **options)


@task
def publish(summary: ScoreSummary) -> None:
    """Show the summary in Prefect as a Markdown artifact."""
    create_markdown_artifact(
        key="scoring-summary",
        description=str(summary.output),
        markdown=f"```\n{summary.in_words()}\n```",
    )


@flow(name="score-folder", **HOOKS)
def score_images(
    images: str,
    output: str,
    model: str | None = None,
    workers: Annotated[int, Field(ge=1)] | None = None,
    dask: str | None = None,
    multi: bool = False,
    fresh: bool = False,
    keep_removed: bool = False,
    partition_by: Literal["day"] | None = None,
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None,
    summary: str | None = None,
    profile: bool = False,
) -> ScoreSummary:
    """Score every image of a folder into a Parquet table, at least one row for each file.

    An `output` that ends in a slash is a dataset, a folder of parts, which `partition_by="day"`
    keeps by the day on which they were added.

    With `max_error_rate`, the run fails where a larger share of the files cannot be read; the
    table is complete all the same.

    Args:
        images: Folder of images with its sub-folders, or s3://bucket/folder.
        output: Parquet file to write, or s3://bucket/out.parquet; or with a slash at its end the
            folder of a dataset.
        model: Name, name@version or a bundle's folder. Empty: mnist.
        workers: Processes. Empty: one for each CPU.
        dask: Scheduler of a Dask cluster that scores, as tcp://host:8786.
        multi: Several digits in a picture; a row for each.
        fresh: Score everything anew, whatever is known already.
        keep_removed: Keep the rows of files that are gone.
        partition_by: Keep the parts of a dataset in folders by the day on which files came in.
        max_error_rate: Share of files that may be unreadable, 0 to 1; above it the run fails.
        summary: File to write the summary to, as JSON.
        profile: Tell where the time went.
    """
    for place in (images, output):
        refuse_secrets(place, _RECORDED)
    check_summary_file(summary, images, output)
    told: dict[str, Any] = {
        "model": model,
        "workers": workers,
        "dask": dask,
        "multi": multi,
        "fresh": fresh,
        "keep_removed": keep_removed,
        "partition_by": partition_by,
        "profile": profile,
    }
    given = {"images": images, "output": output, **told, "max_error_rate": max_error_rate}
    run_id = new_run_id()
    with recording_scoring(given, run_id) as run:
        began = time.time()
        done = score(images, output, run_id=run_id, **told)
        note_scoring(run, done, images, began)
        publish(done)
        tell_summary(done, summary, max_error_rate, say)
    return done


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(
        description="Score every image of a folder into a Parquet table or dataset, as a Prefect "
        "flow.",
        epilog="Exit codes: 0 done; 1 Prefect's server is not there; 2 wrong usage; 3 done, but "
        "some images could not be read (each has its row; with --max-error-rate: too many); 4 "
        "damaged model; 6 output cannot be written; 130 interrupted; 143 terminated.",
    )
    add_score_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Run the flow as a script."""
    options = parse_arguments()

    def checked_run() -> ScoreSummary:
        # Before Prefect's server is started: what cannot work is said at once.
        for place in (options.images, options.output):
            refuse_secrets(place, _RECORDED)
        with outlined(options.images, options.output, options.partition_by) as output:
            check_request(
                options.images,
                output,
                options.model,
                options.workers,
                dask=options.dask,
                multi=options.multi,
                keep_removed=options.keep_removed,
                partition_by=options.partition_by,
            )
        check_summary_file(options.summary, options.images, options.output)
        check_text(vars(options), "use digitflow score")
        return score_images(**vars(options))

    summary = run_script(checked_run)
    sys.exit(score_exit_code(summary, options.max_error_rate))


if __name__ == "__main__":
    main()
