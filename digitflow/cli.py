"""The command line: a thin door to the library.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but some images could not be read (with
--max-error-rate: too many); 4 damaged model; 5 data unavailable or damaged; 6 output cannot be
written; 7 a table has drifted; 130 interrupted; 143 terminated.
"""

import argparse
import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from digitflow import __version__
from digitflow.commands.drift import add_drift
from digitflow.commands.review import add_review
from digitflow.errors import DigitflowError, ImageError, OutputError, UsageError, in_one_line

if TYPE_CHECKING:
    from digitflow.models.reader import Reading
    from digitflow.scoring.summary import ScoreSummary

UNREADABLE_IMAGES = ImageError.exit_code
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    # A file's name may hold what the console cannot show.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        exit_code = options.run(options)
        sys.stdout.flush()
    except DigitflowError as error:
        print(f"error: {in_one_line(str(error), error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        print(in_one_line("interrupted", error), file=sys.stderr)
        return _INTERRUPTED
    except SystemExit as error:  # by SIGTERM
        print(in_one_line("terminated", error), file=sys.stderr)
        return _TERMINATED
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: nothing is wrong.
        _discard_output()
        return 0
    except OSError as error:
        _discard_output()
        print(f"error: the output cannot be written ({error.strerror})", file=sys.stderr)
        return OutputError.exit_code
    return exit_code


def _discard_output() -> None:
    """Let nothing more be written to an output that takes nothing, not even at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(signum: int, frame: FrameType | None) -> None:
    sys.exit(_TERMINATED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="digitflow",
        description="Read handwritten digits.",
        epilog=(__doc__ or "").partition("\n\n")[2],
    )
    parser.add_argument("--version", action="version", version=f"digitflow {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    _add_predict(commands)
    _add_score(commands)
    add_drift(commands)
    add_review(commands)
    _add_models(commands)
    return parser


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    predict = commands.add_parser("predict", help="read the digit in each of some images")
    predict.add_argument("images", nargs="+", type=Path, metavar="image")
    predict.add_argument("--model", help="name, name@version or a bundle's folder (default: mnist)")
    predict.add_argument("--json", action="store_true", help="one JSON object per line")
    predict.add_argument("--multi", action="store_true", help="read several digits in each image")
    predict.add_argument(
        "--explain", type=Path, metavar="PNG", help="draw how the image, only one, was read"
    )
    predict.set_defaults(run=_predict)


def _add_score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    score = commands.add_parser("score", help="score a folder of images into a Parquet table")
    add_score_arguments(score)
    score.set_defaults(run=_score)


def add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `digitflow score` and `flows/score_folder.py` have in common."""
    # As text: a path would lose the slash at the end of an output, which is refused.
    parser.add_argument("images", help="the folder; sub-folders are included")
    parser.add_argument("output", help="the Parquet file to write")
    parser.add_argument("--model", help="name, name@version or a bundle's folder (default: mnist)")
    parser.add_argument("--workers", type=int, help="processes (default: one for each CPU)")
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
        "--max-error-rate",
        type=_share,
        metavar="SHARE",
        help="end with 3 only if a larger share of the files cannot be read, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--summary", metavar="FILE", help="write the summary as JSON; - prints it instead of words"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time went")


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1")


def _add_models(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    models = commands.add_parser("models", help="list, show, verify or promote models")
    actions = models.add_subparsers(metavar="action", required=True)
    listing = actions.add_parser("list", help="every version of every model; * marks the current")
    listing.set_defaults(run=_list_models)
    for name, run, what in [
        ("show", _show_model, "print a model's manifest"),
        ("verify", _verify_model, "check a model's files and replay its golden predictions"),
        ("promote", _promote_model, "make a version the current one of its model"),
    ]:
        action = actions.add_parser(name, help=what)
        action.add_argument("model", help="name, name@version or a bundle's folder")
        action.set_defaults(run=run)


def _predict(options: argparse.Namespace) -> int:
    from digitflow.models.reader import DigitReader

    if options.explain and (options.multi or len(options.images) > 1):
        raise UsageError("--explain: draws how one digit was read; name one image, without --multi")
    reader = DigitReader(options.model)
    exit_code = 0
    for image in options.images:
        try:
            if options.multi:
                readings = reader.read_all(image)
            else:
                readings = [reader.read(image, explain=options.explain is not None)]
        except ImageError as error:
            exit_code = UNREADABLE_IMAGES
            _tell_error(image, error, options.json)
            continue
        if options.explain:
            _draw_explanation(readings[0], options.explain)
        if options.json:
            for segment, reading in enumerate(readings):
                print(json.dumps({"path": str(image), "segment": segment, **_facts_of(reading)}))
        elif options.multi:
            print(f"{image}: {_several_in_words(readings)}")
        else:
            print(f"{image}: {_in_words(readings[0])}")
    return exit_code


def _tell_error(image: Path, error: ImageError, as_json: bool) -> None:
    if as_json:
        facts = {"status": "error", "reason": error.reason, "message": error.message}
        print(json.dumps({"path": str(image), **facts}))
    else:
        print(f"error: {error}", file=sys.stderr)


def _facts_of(reading: "Reading") -> dict[str, Any]:
    """Return what JSON tells of a reading: all but its pictures."""
    pictures = ("image", "stages", "dependence")
    return {name: value for name, value in vars(reading).items() if name not in pictures}


def _draw_explanation(reading: "Reading", target: Path) -> None:
    from digitflow.evaluation.encoding import png_bytes
    from digitflow.evaluation.explanation import explanation_figure
    from digitflow.files import write_bytes

    told = f"{reading.label}  ({reading.status})" if reading.label else _in_words(reading)
    figure = explanation_figure(reading.stages, reading.dependence, reading.probabilities, told)
    write_bytes(target, png_bytes(figure))


def _several_in_words(readings: "Sequence[Reading]") -> str:
    from digitflow.models.reader import spell

    if readings[0].label is None:
        return _in_words(readings[0])
    doubtful = sum(reading.status != "ok" for reading in readings)
    doubt = f"  ({doubtful} of {len(readings)} uncertain)" if doubtful else ""
    return spell(readings).replace("\n", " / ") + doubt


def _in_words(reading: "Reading") -> str:
    if reading.label is None:
        return f"{reading.status} ({reading.message})"
    from digitflow.evaluation.metrics import percent

    top = list(reading.probabilities.items())[:3]
    # A plain space: not every console can show the other one.
    best, *others = [f"{name} {percent(share)}".replace("\xa0", " ") for name, share in top]
    doubt = "" if reading.status == "ok" else f"  {reading.status}: {reading.message}"
    return f"{best}  (then {', '.join(others)}){doubt}"


def _score(options: argparse.Namespace) -> int:
    from digitflow.scoring.folder import score_folder
    from digitflow.scoring.summary import check_summary_file

    check_summary_file(options.summary, options.images, options.output)
    summary = score_folder(
        options.images,
        options.output,
        model=options.model,
        workers=options.workers,
        multi=options.multi,
        fresh=options.fresh,
        keep_removed=options.keep_removed,
        profile=options.profile,
    )
    tell_summary(summary, options.summary, options.max_error_rate)
    return score_exit_code(summary, options.max_error_rate)


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
    return UNREADABLE_IMAGES if summary.error_rate and max_error_rate is None else 0


def _list_models(options: argparse.Namespace) -> int:
    from digitflow.models.registry import list_models

    for model in list_models():
        mark = "*" if model.is_current else " "
        print(f"{mark} {model.name}@{model.version}  {model.folder}")
    return 0


def _show_model(options: argparse.Namespace) -> int:
    from digitflow.models.bundle import load_bundle
    from digitflow.models.registry import find_model

    bundle = load_bundle(find_model(options.model))
    # Last, so that no entry of the manifest takes its place.
    print(json.dumps({**bundle.manifest, "model_id": bundle.model_id}, indent=2))
    return 0


def _verify_model(options: argparse.Namespace) -> int:
    from digitflow.models.bundle import TFLITE_FILES, load_bundle
    from digitflow.models.predictor import Predictor
    from digitflow.models.registry import find_model

    bundle = load_bundle(find_model(options.model))
    for kind in TFLITE_FILES:
        Predictor(bundle, tflite=kind)  # replays the golden predictions
    print(f"{bundle.name}@{bundle.version}: whole; files, digests and golden predictions are right")
    return 0


def _promote_model(options: argparse.Namespace) -> int:
    from digitflow.models.predictor import Predictor
    from digitflow.models.registry import promote

    bundle = Predictor.load(options.model).bundle
    promote(bundle)
    print(f"{bundle.name}@{bundle.version} is the current version of {bundle.name} now")
    return 0
