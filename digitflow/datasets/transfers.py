"""One file from one mirror: to the end, checked, and within its time, or not at all.

Whatever waits on the network does so in a daemon thread, because no timeout of requests covers the
look-up of a name or an answer that trickles in byte by byte; the caller waits until its deadline
and then goes on without the thread.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from tqdm import tqdm

from digitflow.datasets.catalogue import RemoteFile
from digitflow.files import replacing, sha256_of

CONNECT_TIMEOUT = 3.0  # s
READ_TIMEOUT = 10.0  # s between two packets
PROBE_DEADLINE = 6.0  # s until a mirror must have answered at all
LARGEST = 64 << 20  # bytes, of a file whose size is not known
BUSY = {429, 502, 503, 504}  # HTTP statuses that may be others in a moment
CHUNK = 1 << 16  # bytes

P = ParamSpec("P")
T = TypeVar("T")


class RefusedError(Exception):
    """Why a mirror's answer was not taken, in a few words."""


class PassingError(RefusedError):
    """The same, of what may be better in a moment."""


def find_unreachable(mirrors: Sequence[str], deadline: float = PROBE_DEADLINE) -> dict[str, str]:
    """Ask all mirrors at once, and return those that did not answer, each with the reason.

    Any answer counts, of whatever status. This is known within `deadline` seconds, also where
    packets are dropped or names are not resolved.
    """
    answers = {mirror: _in_background(_probe, mirror) for mirror in mirrors}
    futures.wait(answers.values(), timeout=deadline)
    faults = {}
    for mirror, answer in answers.items():
        if not answer.done():
            faults[mirror] = f"no answer in {deadline:g} s"
        elif error := answer.exception():
            faults[mirror] = _in_few_words(error)
    return faults


class _Session(requests.Session):
    """A session that follows no redirect from https to plain http."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target and urlsplit(response.url).scheme == "https":
            scheme = urlsplit(urljoin(response.url, target)).scheme
            if scheme != "https":
                response.close()
                raise RefusedError(f"redirects from https to {scheme}")
        return target


def _probe(mirror: str) -> None:
    with requests.Session() as session:
        session.head(mirror, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), allow_redirects=False)


def download(url: str, file: RemoteFile, path: Path, deadline: float) -> None:
    """Download to `path`, or raise RefusedError and leave `path` as it was."""
    with replacing(path) as temporary:
        # On a terminal only: in a log a bar is noise.
        with (
            temporary.open("wb") as stream,
            tqdm(
                desc=file.name,
                total=file.size,
                unit="B",
                unit_scale=True,
                leave=False,
                disable=None,
            ) as bar,
        ):
            # After the deadline the stream is closed, and the thread's next write ends it.
            transfer = _in_background(_transfer, url, file.size, stream, bar)
            try:
                transfer.result(timeout=deadline)
            except futures.TimeoutError:
                raise RefusedError(f"stalled, not complete after {deadline:g} s") from None
            except requests.exceptions.ChunkedEncodingError as error:
                raise PassingError("truncated: the connection broke off") from error
            except (requests.RequestException, ValueError) as error:
                raise RefusedError(_in_few_words(error)) from error
        if wrong := find_wrong_digest(file, temporary):
            raise RefusedError(f"wrong content: the {wrong} differs")


def find_wrong_digest(file: RemoteFile, path: Path) -> str | None:
    """Return the name of the digest by which the content of `path` is not that of the file."""
    if file.sha256:
        return None if sha256_of(path) == file.sha256 else "SHA-256"
    with path.open("rb") as stream:
        # Against accidents, not against forgers: said, so that machines which ban MD5 allow it.
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return None if digest.hexdigest() == file.md5 else "MD5"


def _transfer(url: str, size: int | None, stream: BinaryIO, bar: tqdm) -> None:
    """Copy the body of an answer to the stream, and never more than `size` bytes of it.

    Where the size is not known, never more than `LARGEST`.
    """
    most = LARGEST if size is None else size
    with (
        _Session() as session,
        session.get(
            url,
            stream=True,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            # The digest is that of the packed file.
            headers={"Accept-Encoding": "identity"},
        ) as response,
    ):
        _check_head(response, size)
        received = 0
        for chunk in response.iter_content(CHUNK):
            received += len(chunk)
            if received > most:
                raise RefusedError(f"more than the expected {most:,} bytes")
            stream.write(chunk)
            bar.update(len(chunk))
    if size is not None and received < size:
        raise RefusedError(f"truncated: {received:,} of {size:,} bytes")


def _check_head(response: requests.Response, size: int | None) -> None:
    if response.status_code != requests.codes.ok:
        refusal = PassingError if response.status_code in BUSY else RefusedError
        raise refusal(f"HTTP status {response.status_code}")
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise RefusedError("a web page instead of the file")
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and size is not None and int(declared) != size:
        raise RefusedError(f"{int(declared):,} bytes instead of {size:,}")


def _in_background(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> futures.Future[T]:
    """Run a function in a daemon thread, which the interpreter does not wait for at its end."""
    future: futures.Future[T] = futures.Future()

    def work() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name=f"digitflow-{function.__name__}", daemon=True).start()
    return future


def _in_few_words(error: BaseException) -> str:
    """Return the cause at the bottom of an error of requests, in one short line."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())[:120]
