"""The command line: a thin door to the library.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but some images could not be read (with
--max-error-rate: too many); 4 damaged model; 5 data unavailable or damaged; 6 output cannot be
written; 7 a table has drifted; 130 interrupted; 143 terminated.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from digitflow import __version__
from digitflow.commands.drift import add_drift
from digitflow.commands.models import add_models
from digitflow.commands.predict import add_predict
from digitflow.commands.review import add_review
from digitflow.commands.runs import add_runs
from digitflow.commands.score import add_score
from digitflow.commands.serve import add_serve
from digitflow.errors import DigitflowError, OutputError, UsageError, in_one_line

_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = command_line().parse_args(arguments)
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
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "digitflow"):  # a defect of ours
            raise
        print(
            f"error: this needs {missing}, which is not installed; a light installation leaves it "
            "out, pip install digitflow brings it",
            file=sys.stderr,
        )
        return UsageError.exit_code
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


def command_line() -> argparse.ArgumentParser:
    """Return what takes the command line apart, with all commands."""
    parser = argparse.ArgumentParser(
        prog="digitflow",
        description="Read handwritten digits.",
        epilog=(__doc__ or "").partition("\n\n")[2],
    )
    parser.add_argument("--version", action="version", version=f"digitflow {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    add_predict(commands)
    add_score(commands)
    add_drift(commands)
    add_review(commands)
    add_models(commands)
    add_serve(commands)
    add_runs(commands)
    return parser
