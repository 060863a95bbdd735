"""`digitflow serve`: the REST API, and the page to draw on."""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from digitflow.web.options import ServerOptions

_MEBIBYTE = 2**20
_HIGHEST_PORT = 65_535
_MOST = 1_000_000  # s or MiB: more than anybody needs, and within what the system counts

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(\d+))?/?")
_USUAL_PORTS = {"http": "80", "https": "443"}


def add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    serve = commands.add_parser("serve", help="serve the REST API and the page to draw on")
    serve.add_argument("--host", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, help="0 takes any that is free (default: %(default)s)")
    serve.add_argument("--model", help="name or name@version (default: mnist)")
    serve.add_argument(
        "--no-auth",
        action="store_true",
        help="let anyone use the server who can reach it; without this, addresses other than this "
        "machine's own need a token in DIGITFLOW_TOKEN",
    )
    for name, convert, metavar, what in [
        ("host", _host, "NAME", "another name by which clients call the server"),
        ("origin", _origin, "ORIGIN", "whose pages may use the API, as https://app.example"),
    ]:
        serve.add_argument(
            f"--allowed-{name}",
            dest=f"allowed_{name}s",
            action="append",
            type=convert,
            metavar=metavar,
            help=f"{what}; may be repeated",
        )
    serve.add_argument(
        "--feedback",
        type=Path,
        metavar="FOLDER",
        help="take corrected images from clients, and store them there",
    )
    serve.add_argument(
        "--log",
        choices=("quiet", "logfmt", "json"),
        help="what stderr gets: only what goes wrong, or a line for each request as well "
        "(default: quiet on a terminal, else logfmt)",
    )
    _add_limits(serve)
    defaults = {field.name: field.default for field in fields(ServerOptions)}
    defaults |= {"allowed_hosts": [], "allowed_origins": []}  # what can be added to
    serve.set_defaults(run=_run, **defaults)


def _add_limits(serve: argparse.ArgumentParser) -> None:
    limits = serve.add_argument_group("limits")
    for name, convert, metavar, what in [
        ("workers", _whole(0), "N", "large images read at once (default: the cores, up to 4)"),
        ("queue", _whole(1), "N", "small, or large, images that may wait (default: %(default)s)"),
        ("max-files", _whole(1), "N", "images in a batch (default: %(default)s)"),
        ("max-body", _mebibytes, "MIB", "size of a request (default: 20)"),
        ("feedback-cap", _mebibytes, "MIB", "size of the feedback folder (default: 256)"),
        ("connections", _whole(1), "N", "open at once (default: %(default)s)"),
        ("header-deadline", _seconds, "S", "for the headers of a request (default: %(default)g)"),
        ("body-deadline", _seconds, "S", "for its body (default: %(default)g)"),
        ("write-deadline", _seconds, "S", "to take the answer (default: %(default)g)"),
        ("drain", _seconds, "S", "for running requests when stopped (default: %(default)g)"),
    ]:
        limits.add_argument(f"--{name}", type=convert, metavar=metavar, help=what)


def _run(options: argparse.Namespace) -> int:
    from digitflow.web.server import serve

    token = os.environ.get("DIGITFLOW_TOKEN") or None
    given = {field.name: getattr(options, field.name) for field in fields(ServerOptions)}
    given |= {"token": token}
    for name in ("allowed_hosts", "allowed_origins"):
        given[name] = tuple(given[name])
    serve(ServerOptions(**given), options.log or ("quiet" if sys.stderr.isatty() else "logfmt"))
    return 0


def _port(text: str) -> int:
    port = _whole(0)(text)
    if port > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give 0 to {_HIGHEST_PORT}")
    return port


def _host(text: str) -> str:
    """Return a name as clients write it in Host."""
    with contextlib.suppress(UnicodeError):
        name = text.lower().encode("idna").decode()
        if _HOST.fullmatch(name):
            return name
    raise argparse.ArgumentTypeError(f"{text!r}: give a name without port, as digits.example")


def _origin(text: str) -> str:
    """Return an origin as browsers write it: in lower case, without the usual port."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: give scheme and host, as https://app.example")
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != _USUAL_PORTS.get(scheme) else "")


def _whole(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        with contextlib.suppress(ValueError):
            if int(text) >= least:
                return int(text)
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {least} on")

    return convert


def _mebibytes(text: str) -> int:
    return round(_positive(text, "MiB") * _MEBIBYTE)


def _seconds(text: str) -> float:
    return _positive(text, "seconds")


def _positive(text: str, unit: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= _MOST:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r}: give {unit}, more than 0, up to {_MOST:,}")
