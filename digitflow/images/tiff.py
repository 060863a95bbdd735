"""The directories of TIFF files, and of EXIF blocks, which are the same without a picture."""

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

from digitflow.errors import ImageError
from digitflow.images.limits import MAX_PARTS, check_size, count_part

# Cameras write a few dozen.
_MAX_TAGS = 4096

# So many strips or tiles take Pillow 0.2 s.
_MAX_VALUES = 20_000

_ORIENTATION, _N_PICTURES = 0x0112, 0xB001
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


class Entry(NamedTuple):
    """An entry of a directory."""

    tag: int
    kind: int
    n_values: int
    value: bytes  # or where the values are


class Tiff:
    """A file's directories, known by the offsets at which they begin.

    Methods raise `struct.error` or `OverflowError` where the file is cut off.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        order = "<" if content[:2] == b"II" else ">"
        large = content[2:4] in (b"+\0", b"\0+")  # BigTIFF
        self._count = struct.Struct(order + ("Q" if large else "H"))
        self._entry = struct.Struct(order + ("HHQ8s" if large else "HHI4s"))
        self._offset = struct.Struct(order + ("Q" if large else "I"))
        self._numbers = {3: struct.Struct(order + "H"), 4: struct.Struct(order + "I")}
        self.first = int(self._offset.unpack_from(content, 8 if large else 4)[0])

    def read(self, at: int) -> dict[int, Entry]:
        """Return the entries of a directory by their tags.

        Raises
        ------
        ImageError
            If it has thousands.
        """
        (count,) = self._count.unpack_from(self._content, at)
        if count > _MAX_TAGS:
            raise ImageError("unreadable", f"a TIFF directory of {count:,} tags; save it again")
        start = at + self._count.size
        size = self._entry.size
        entries = [
            Entry(*self._entry.unpack_from(self._content, start + size * number))
            for number in range(count)
        ]
        return {entry.tag: entry for entry in reversed(entries)}  # the first of a tag counts

    def following(self, at: int) -> int:
        """Return the offset of the next directory; 0 after the last."""
        (count,) = self._count.unpack_from(self._content, at)
        end = at + self._count.size + count * self._entry.size
        return int(self._offset.unpack_from(self._content, end)[0])

    def number(self, entry: Entry | None) -> int | None:
        """Return the value of an entry if it is a number of 16 or 32 bits."""
        if entry is None or entry.kind not in self._numbers:
            return None
        return int(self._numbers[entry.kind].unpack_from(entry.value)[0])

    def with_first_alone(self, entries: list[Entry]) -> bytes:
        """Return the file with one directory of these entries, no more than the first had."""
        packed = [self._count.pack(len(entries)), *(self._entry.pack(*entry) for entry in entries)]
        directory = b"".join([*packed, self._offset.pack(0)])
        end = self.first + len(directory)
        return self._content[: self.first] + directory + self._content[end:]


# Size, depth, coding and its options, strips or tiles, palette, what the samples mean.
_TIFF_PICTURE = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320}
_TIFF_PICTURE |= {*range(322, 326), 332, 338, 339, 347, *range(512, 522), *range(529, 533), 50674}


def first_page(content: bytes) -> tuple[bytes, int, int]:
    """Return a TIFF file with what the first of its pictures needs alone, how many there are, and
    the orientation of the first, 1 to 8.
    """
    tiff = Tiff(content)
    entries = tiff.read(tiff.first)
    needed = [entries[tag] for tag in sorted(entries.keys() & _TIFF_PICTURE)]
    if any(entry.n_values > _MAX_VALUES for entry in needed):
        raise ImageError("unreadable", "a TIFF file of too many strips or tiles; save it again")
    tile = [tiff.number(entries.get(tag)) or 1 for tag in (322, 323)]
    check_size(*tile)
    directories, following = {tiff.first}, tiff.following(tiff.first)
    try:
        while following and following not in directories:
            after = tiff.following(following)
            count_part(len(directories), "TIFF")
            directories.add(following)
            following = after
    except (struct.error, OverflowError):  # damage behind the first directory ends the count
        pass
    orientation = _valid(tiff.number(entries.get(_ORIENTATION))) or 1
    return tiff.with_first_alone(needed), len(directories), orientation


def orientation_of(blocks: Iterable[bytes]) -> int:
    """Return the orientation that the first EXIF or XMP block tells; 1 (upright) if none does."""
    return next(filter(None, map(_orientation_in, blocks)), 1)


def n_pictures_of(index: bytes) -> int:
    """Return how many pictures a JPEG's index (MPF) tells of; 1 if it makes no sense."""
    try:
        tiff = Tiff(index)
        n_pictures = tiff.number(tiff.read(tiff.first).get(_N_PICTURES)) or 1
    except (struct.error, OverflowError, ImageError):
        return 1
    return n_pictures if n_pictures <= MAX_PARTS else 1


def _orientation_in(block: bytes) -> int | None:
    block = block.removeprefix(b"Exif\0\0")
    if block[:2] not in (b"II", b"MM"):
        found = _XMP_ORIENTATION.search(block)
        return int(found[1]) if found else None
    try:
        tiff = Tiff(block)
        return _valid(tiff.number(tiff.read(tiff.first).get(_ORIENTATION)))
    except (struct.error, OverflowError, ImageError):
        return None


def _valid(orientation: int | None) -> int | None:
    return orientation if orientation in range(1, 9) else None
