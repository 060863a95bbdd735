"""Which work there is: every file of a folder, in one order, cut into shards.

Names are bytes throughout, because a file's name need not be valid text.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from digitflow.errors import ImageError, UsageError
from digitflow.scoring.stores import StorePath

#: Files in a shard, at most: enough to make the cost of a part small, few enough to keep every
#: core busy to the end.
SHARD_FILES = 2048

#: Files in the first shard; each next one holds twice as many, until `SHARD_FILES`. The pace of the
#: first tells whether other processes are worth their start.
FIRST_SHARD_FILES = 64

#: Bytes in a shard: a few seconds of work where the images are photographs.
SHARD_BYTES = 4 * 2**20

#: The same for objects in a store, which are read ahead: all of them may be in memory at once.
OBJECT_SHARD_BYTES = 32 * 2**20

_WHAT_IT_IS = {
    stat.S_IFLNK: "a symbolic link, and links are not followed",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class Found(NamedTuple):
    """One thing in the folder that the table must account for."""

    path: bytes  # relative to the folder
    size_bytes: int | None = None  # None where even this cannot be known, as the time
    modified_at_ns: int | None = None  # ns since 1970
    problem: ImageError | None = None  # why it cannot be scored, where the walk knows already


@dataclass(frozen=True)
class Shard:
    """A run of files that one worker scores into one part of the table."""

    number: int  # its place in the plan, from 0
    folder: bytes | StorePath  # the scanned folder
    files: list[Found]  # in plan order
    size: int = 0  # bytes of all files

    def is_in_sight(self) -> bool:
        """Tell whether any of its files is there, seen from here; in a store, may be read."""
        folder = self.folder
        if not isinstance(folder, bytes):
            from digitflow.scoring.objects import is_there

            return is_there(folder, self.files)
        return any(os.path.lexists(folder + b"/" + each.path) for each in self.files)


def plan_shards(folder: bytes | StorePath, found: Iterable[Found]) -> Iterator[Shard]:
    """Cut what was found in a folder into shards, one at a time.

    Parameters
    ----------
    folder : bytes or StorePath
        The folder.
    found : iterable of Found
        What is to be scored, in the order of `walk`.

    Yields
    ------
    Shard
        At most `SHARD_FILES` files; fewer at first, and where they come to `SHARD_BYTES`, or
        `OBJECT_SHARD_BYTES` in a store.
    """
    number, size = 0, 0
    most_bytes = SHARD_BYTES if isinstance(folder, bytes) else OBJECT_SHARD_BYTES
    files: list[Found] = []
    for each in found:
        files.append(each)
        size += each.size_bytes or 0
        most = min(SHARD_FILES, FIRST_SHARD_FILES << min(number, 20))
        if len(files) >= most or size >= most_bytes:
            yield Shard(number, folder, files, size)
            number, size, files = number + 1, 0, []
    if files:
        yield Shard(number, folder, files, size)


def place_in_walk(path: bytes) -> bytes:
    """Return the bytes by which `walk` orders paths: part by part, as no name holds a zero byte."""
    return path.replace(b"/", b"\0")


def walk(folder: bytes, skip: bytes | None = None) -> Iterator[Found]:
    """Find every file of a folder and its sub-folders, in the order of the bytes of their names.

    Names that begin with a dot are left out, folders too: by custom they are not the user's data
    (thumbnail caches, version control, unfinished copies), and our own working files are among
    them. Links are not followed, so that no loop and nothing outside the folder is met. A
    sub-folder that cannot be listed is found as a problem, in place of its content.

    Parameters
    ----------
    folder : bytes
        The folder.
    skip : bytes or None
        A path relative to the folder to leave out: the table itself, where it lies inside.

    Yields
    ------
    Found
        A regular file, or something that cannot be scored with its problem.

    Raises
    ------
    UsageError
        If the folder itself cannot be listed.
    """
    try:
        levels = [_children(folder, b"")]
    except OSError as error:
        where = os.fsdecode(folder)
        raise UsageError(f"{where}: cannot be listed ({error.strerror}); name another") from error
    while levels:
        for path in levels[-1]:
            if path == skip:
                continue
            try:
                facts = os.lstat(folder + b"/" + path)
                if stat.S_ISDIR(facts.st_mode):
                    levels.append(_children(folder, path))
                    break
            except OSError as error:
                yield Found(path, problem=_out_of_reach(error))
            else:
                problem = _unless_regular(facts.st_mode)
                yield Found(path, facts.st_size, facts.st_mtime_ns, problem)
        else:
            levels.pop()


def _children(folder: bytes, path: bytes) -> Iterator[bytes]:
    names = sorted(os.listdir(folder + b"/" + path))  # noqa: PTH208  (pathlib knows no bytes)
    prefix = path + b"/" if path else b""
    return (prefix + name for name in names if not name.startswith(b"."))


def _unless_regular(mode: int) -> ImageError | None:
    if stat.S_ISREG(mode):
        return None
    what = _WHAT_IT_IS.get(stat.S_IFMT(mode), "not a regular file")
    return ImageError("not_a_file", f"this is {what}; put the image itself here")


def _out_of_reach(error: OSError) -> ImageError:
    reason = "no_permission" if isinstance(error, PermissionError) else "unreadable"
    return ImageError(
        reason, f"cannot be looked into ({error.strerror}); mend that and score again"
    )
