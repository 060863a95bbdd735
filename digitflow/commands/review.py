"""`digitflow review`: a page with the pictures of what is doubtful, to be corrected."""

import argparse
from pathlib import Path


def add_review(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    review = commands.add_parser(
        "review", help="make a page to look through the doubtful readings of a scored table"
    )
    review.add_argument("table", type=Path, help="a scored table, or a folder of its parts")
    review.add_argument("--out", type=Path, required=True, metavar="HTML", help="the page to write")
    review.add_argument(
        "--images", type=Path, metavar="folder", help="where the images are, if they were moved"
    )
    review.add_argument(
        "--status",
        nargs="+",
        default=["uncertain"],
        choices=["ok", "uncertain", "rejected", "blank", "error", "all"],
        metavar="status",
        help="which readings, one or more of ok, uncertain, rejected, blank and error, or all "
        "(default: uncertain)",
    )
    review.add_argument(
        "--limit", type=int, help="how many at most, those of least confidence (default: 500)"
    )
    review.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from digitflow.scoring.review import LIMIT, STATUSES, write_sheet

    summary = write_sheet(
        options.table,
        options.out,
        images=options.images,
        statuses=STATUSES if "all" in options.status else options.status,
        limit=LIMIT if options.limit is None else options.limit,
    )
    print(summary.in_words())
    return 0
