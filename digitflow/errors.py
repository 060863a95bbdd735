"""The errors digitflow raises on purpose.

Each is also the standard exception a caller would expect, and carries the exit code with which
the command line ends. Its message is one line: what, why, what to do.
"""


class DigitflowError(Exception):
    """Anything digitflow refuses or fails to do, with a message for the person who asked."""

    exit_code = 1


class UsageError(DigitflowError, ValueError):
    """An argument, option or path that cannot be used as given."""

    exit_code = 2


class UnknownModelError(DigitflowError, LookupError):
    """No model of that name or version."""

    exit_code = 2


class BundleError(DigitflowError, ValueError):
    """A model bundle that is incomplete, altered or not a bundle at all."""

    exit_code = 4


class DatasetError(DigitflowError, ValueError):
    """Data that is damaged or cannot be what it claims to be."""

    exit_code = 5


class DatasetUnavailableError(DigitflowError, OSError):
    """A data set that is neither in the cache nor within reach."""

    exit_code = 5


class OutputError(DigitflowError, OSError):
    """An output that cannot be written."""

    exit_code = 6


class UnreadableImagesError(DigitflowError, ValueError):
    """More images than allowed could not be read; all else was done."""

    exit_code = 3


class DriftedError(DigitflowError, ValueError):
    """Images that look unlike those before, further than allowed; all else was done."""

    exit_code = 7


class TrainingError(DigitflowError, RuntimeError):
    """A fit that went wrong, for example a loss that is no longer finite."""


class ImageError(DigitflowError, ValueError):
    """An image that cannot be read.

    Parameters
    ----------
    reason : str
        One of the reason codes of the scored table, for example ``"truncated"``.
    message : str
        One line a person can act on.
    """

    exit_code = 3

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str]]:
        """Pickle with both arguments, so that a worker process can raise it."""
        return type(self), (self.reason, self.message)


def in_one_line(message: str, error: BaseException) -> str:
    """Return a message with what was noted on the error's way (see `BaseException.add_note`).

    The error may have taken the place of others, as Prefect's own does on SIGTERM.
    """
    said = [message]
    link: BaseException | None = error
    while link is not None:
        said += getattr(link, "__notes__", [])
        link = link.__cause__ or link.__context__
    return "; ".join(dict.fromkeys(said))
