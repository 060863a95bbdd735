"""Score a folder of images into a Parquet table, as a Prefect flow.

python flows/score_folder.py images/ out.parquet
"""

import argparse
import sys

from orchestration import run_script, say  # sets Prefect's defaults: comes first
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact

from digitflow.cli import UNREADABLE_IMAGES, add_score_arguments
from digitflow.errors import UsageError
from digitflow.scoring.folder import ScoreSummary, score_folder
from digitflow.scoring.request import check_request


@task
def score(
    images: str, output: str, model: str | None, workers: int | None, multi: bool, profile: bool
) -> ScoreSummary:
    """Score the folder; one task for all of it, which spreads the work over processes itself."""
    return score_folder(images, output, model=model, workers=workers, multi=multi, profile=profile)


@task
def publish(summary: ScoreSummary) -> None:
    """Show the summary in Prefect as a Markdown artifact."""
    create_markdown_artifact(
        key="scoring-summary",
        description=str(summary.output),
        markdown=f"```\n{summary.in_words()}\n```",
    )


@flow(name="score-folder")
def score_images(
    images: str,
    output: str,
    model: str | None = None,
    workers: int | None = None,
    multi: bool = False,
    profile: bool = False,
) -> ScoreSummary:
    """Score every image of a folder into one Parquet table, at least one row for each file."""
    summary = score(images, output, model, workers, multi, profile)
    publish(summary)
    say(summary.in_words())
    return summary


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(
        description="Score every image of a folder into one Parquet table, as a Prefect flow.",
        epilog="Exit codes: 0 done; 2 wrong usage; 3 done, but some images could not be read (each "
        "has its row); 4 damaged model; 6 output cannot be written; 130 interrupted; 143 "
        "terminated.",
    )
    add_score_arguments(parser)
    return parser.parse_args()


def _check_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{path!a}: Prefect takes only names that are valid UTF-8; use digitflow score"
        ) from error


def main() -> None:
    """Run the flow as a script."""
    options = parse_arguments()

    def checked_run() -> ScoreSummary:
        # Before Prefect's server is started: what cannot work is said at once.
        check_request(options.images, options.output, options.model, options.workers)
        for path in (options.images, options.output):
            _check_text(path)
        return score_images(**vars(options))

    summary = run_script(checked_run)
    sys.exit(UNREADABLE_IMAGES if summary.statuses.get("error") else 0)


if __name__ == "__main__":
    main()
