"""What the server writes to stderr: a line for each request, and what went wrong."""

import json
import logging
import os
import time
from typing import Any

#: How lines may look: only what went wrong; everything as `name=value`; everything as JSON.
FORMATS = ("quiet", "logfmt", "json")

_access = logging.getLogger("digitflow.access")

_LOGGERS = ("digitflow", "uvicorn")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@%+,;~?&*")


def log_to_console(form: str) -> logging.Handler:
    """Let digitflow and uvicorn write to stderr.

    Parameters
    ----------
    form : str
        One of `FORMATS`.

    Returns
    -------
    Handler
        What writes, to be closed at the end.
    """
    # A descriptor of its own: loading a model hides for a moment what is written to the usual one.
    handler = logging.StreamHandler(os.fdopen(os.dup(2), "w", errors="backslashreplace"))
    handler.setFormatter(_Facts(json.dumps if form == "json" else in_logfmt))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING if form == "quiet" else logging.INFO)
    # uvicorn tells at each step what it does.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    return handler


def log_answer(**facts: Any) -> None:
    """Write a line about a request and its answer."""
    _access.info(facts)


class _Facts(logging.Formatter):
    """A line of facts: those of a request, or what was said."""

    def __init__(self, write: Any) -> None:
        super().__init__()
        self._write = write

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        said = record.msg
        facts = said if isinstance(said, dict) else {"message": record.getMessage()}
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{when}.{record.msecs:03.0f}Z", "level": record.levelname.lower(), **facts}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return str(self._write(line))


def in_logfmt(facts: dict[str, Any]) -> str:
    """Return facts as `name=value`, quoted as in JSON where they need it."""
    return " ".join(f"{name}={_value(value)}" for name, value in facts.items())


def _value(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text)
