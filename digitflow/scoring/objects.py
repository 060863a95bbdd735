"""A folder of objects in a store: listed in the order of the walk, and read ahead."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from digitflow.errors import DigitflowError, ImageError, UsageError
from digitflow.images.limits import check_bytes
from digitflow.images.reading import named
from digitflow.scoring.plan import Found
from digitflow.scoring.stores import StorePath, failure_of, filesystem_of, is_of_store, why

#: Objects that a process reads at a time: what costs is to wait for each.
READERS = 16

#: So many objects one after the other without an answer, and the store is taken to be gone.
_MOST_SILENT = 20

#: Names that no request can ask for: HTTP takes them for something else.
_OUT_OF_REACH = (b"", b".", b"..")

#: Name, whether there is more below it, size in bytes, time in ns since 1970.
_Entry = tuple[bytes, bool, int | None, int | None]

#: Reads the content of what was found, under the name that messages call it.
Reader = Callable[[Found, str], tuple[bytes, int | None]]


def walk_objects(folder: StorePath) -> Iterator[Found]:
    """Find every object of a folder, as `plan.walk` finds files, and in the same order.

    One level is listed at a time. An empty object whose key ends in a slash, with which some tools
    mark folders, is none of the user's.

    Parameters
    ----------
    folder : StorePath
        The folder.

    Yields
    ------
    Found
        An object, or what cannot be listed or asked for, with its problem.

    Raises
    ------
    UsageError
        If the folder cannot be listed.
    DigitflowError
        If the store goes out of reach.
    """
    try:
        levels = [iter(_level(folder, b""))]
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{folder}: {why(error)}") from None
    prefixes = [b""]
    refused = None
    while levels:
        for name, is_folder, size, time in levels[-1]:
            path = prefixes[-1] + name
            if name in _OUT_OF_REACH:
                if path != refused:  # an object and a folder may both be called so
                    yield Found(path or b"/", problem=_not_a_name())
                refused = path
            elif not is_folder:
                yield Found(path, size, time)
            else:
                below = _level_or_problem(folder, path)
                if isinstance(below, ImageError):
                    yield Found(path, problem=below)
                    continue
                levels.append(iter(below))
                prefixes.append(path + b"/")
                break
        else:
            levels.pop()
            prefixes.pop()


@contextmanager
def reading_ahead(folder: StorePath, files: Sequence[Found]) -> Iterator[Reader]:
    """Read objects, several at a time and ahead of who asks for them.

    Parameters
    ----------
    folder : StorePath
        The folder.
    files : sequence of Found
        What will be asked for, in this order.

    Yields
    ------
    callable
        As `images.reading.read_content`, for the next of `files` that has no problem.

    Raises
    ------
    DigitflowError
        At the end, if the store stopped answering.
    """
    silence = _Silence()
    store = filesystem_of(folder)  # made once, not by each thread
    pool = ThreadPoolExecutor(READERS)
    wanted = [found for found in files if not found.problem]
    waiting: list[Future[tuple[bytes, int | None]]] = [
        pool.submit(_read, store, folder.key, found, silence) for found in wanted
    ]
    waiting.reverse()

    def read(found: Found, name: str) -> tuple[bytes, int | None]:
        try:
            return waiting.pop().result()
        except ImageError as error:
            raise named(error, name) from error

    try:
        yield read
    finally:
        pool.shutdown(cancel_futures=True)
    if silence.is_final:
        raise DigitflowError(
            f"{folder}: the store answers no more ({silence.why}); run again when it does"
        )


def is_there(folder: StorePath, files: Sequence[Found]) -> bool:
    """Tell whether the first of some objects is there for this process, and may be read by it.

    Raises
    ------
    UsageError
        If the store cannot be used.
    """
    first = next((found for found in files if not found.problem), None)
    if first is None:
        return True
    try:
        filesystem_of(folder).open_input_file(f"{folder.key}/{first.path.decode()}").close()
    except FileNotFoundError:
        return False
    except OSError as error:
        return failure_of(error)[0] != "ACCESS_DENIED"
    return True


class _Silence:
    """How many objects in a row got no answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row = 0
        self.why = ""

    @property
    def is_final(self) -> bool:
        return self._in_a_row >= _MOST_SILENT

    def note(self, why: str | None) -> None:
        """Take down why an object got no answer, or that it got one."""
        with self._lock:
            if not self.is_final:
                self._in_a_row = self._in_a_row + 1 if why else 0
                self.why = why or ""


def _read(store: Any, base: str, found: Found, silence: _Silence) -> tuple[bytes, int | None]:
    """Return the content and the time of change (ns) of an object."""
    if silence.is_final:
        raise ImageError("unreadable", "the store answers no more; run again when it does")
    try:
        content, time = _read_whole(store, f"{base}/{found.path.decode()}", found)
    except ImageError:
        silence.note(None)
        raise
    except FileNotFoundError as error:
        silence.note(None)
        raise ImageError("not_found", "no such object; it may have been removed") from error
    except (OSError, ValueError) as error:
        code, network = failure_of(error)
        silence.note(_why_silent(error, store, base))
        if network:
            told = ("unreadable", f"the store did not answer ({network}); run again")
        elif code == "ACCESS_DENIED":
            told = ("no_permission", "may not be read; change its permissions")
        else:
            told = ("unreadable", f"cannot be read ({code or type(error).__name__})")
        raise ImageError(*told) from error
    silence.note(None)
    return content, time


def _why_silent(error: Exception, store: Any, base: str) -> str | None:
    """Return why a store gives no object, or None where just this one cannot be had."""
    code, network = failure_of(error)
    if is_of_store(error):
        return network or code
    if (
        code == "HTTP 400"
    ):  # of an object encrypted with a key of one's own; or of all that is asked
        try:
            store.get_file_info(base.partition("/")[0])
        except OSError as of_bucket:
            if failure_of(of_bucket)[0] == code:
                return f"{code}, perhaps because the credentials have expired"
    return None


def _read_whole(store: Any, key: str, found: Found) -> tuple[bytes, int | None]:
    with store.open_input_file(key) as stream:
        size = stream.size()
        check_bytes(size)
        facts = stream.metadata()
        content = stream.read(size) if size else b""
    is_whole = len(content) == size
    if not (is_whole and (_is_md5(facts.get("ETag"), content) or _facts_now(store, key) == facts)):
        raise ImageError(
            "changed_while_reading", "changed while it was read; run again when it is done"
        )
    # Some stores tell the time of change in a listing to the ms, and of one object to the second.
    time, listed = _time_in(facts), found.modified_at_ns
    as_listed = size == found.size_bytes and listed is not None and _second(listed) == _second(time)
    return content, listed if as_listed else time


def _is_md5(tag: bytes | None, content: bytes) -> bool:
    """Tell whether an ETag vouches for content, which spares asking for it again.

    That of an object put in one piece is its MD5, but for some kinds of encryption.
    """
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return tag is not None and tag.strip(b'"') == digest.encode()


def _facts_now(store: Any, key: str) -> dict[str, bytes]:
    with store.open_input_file(key) as stream:
        facts: dict[str, bytes] = stream.metadata()
    return facts


def _time_in(facts: dict[str, bytes]) -> int | None:
    """Return when an object was changed, ns since 1970, or None where the store does not tell."""
    try:
        told = datetime.fromisoformat(facts["Last-Modified"].decode())
    except (KeyError, ValueError):
        return None
    return int(told.timestamp()) * 10**9


def _second(time: int | None) -> int | None:
    return None if time is None else time // 10**9


def _level(folder: StorePath, path: bytes) -> list[_Entry]:
    """List one level in the order of the bytes of its names; hidden ones are left out."""
    from pyarrow import fs

    base = folder.key + ("/" + path.decode() if path else "")
    level = (
        # What lies below an empty name is listed as the level itself.
        (info.path[len(base) + 1 :].encode(), not info.is_file, info.size, info.mtime_ns)
        for info in filesystem_of(folder).get_file_info(fs.FileSelector(base))
    )
    return sorted(each for each in level if each[0] in _OUT_OF_REACH or each[0][:1] != b".")


def _level_or_problem(folder: StorePath, path: bytes) -> list[_Entry] | ImageError:
    try:
        return _level(folder, path)
    except FileNotFoundError:
        return []  # removed meanwhile
    except OSError as error:
        if is_of_store(error):  # otherwise the rows of all that is below would go
            raise DigitflowError(f"{folder}: {why(error)}") from None
        code, _ = failure_of(error)
        reason = "no_permission" if code == "ACCESS_DENIED" else "unreadable"
        return ImageError(reason, f"cannot be looked into ({code}); mend that and score again")


def _not_a_name() -> ImageError:
    return ImageError(
        "unreadable", "keys with an empty name, '.' or '..' in them are out of reach; rename them"
    )
