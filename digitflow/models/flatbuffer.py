"""Tables, numbers and texts of a flatbuffer that may be hostile.

The format is FlatBuffers' (https://flatbuffers.dev/internals/): a table begins with the distance
to a list of where its fields lie. A place outside the content is an error of `struct` or numpy.
"""

import struct

import numpy as np

# Numbers or tables in a list, unless more are asked for; networks have a few dozen.
_MOST_PARTS = 1000

_MOST_FIELDS = 32


class Table:
    """A table of a flatbuffer.

    Parameters
    ----------
    content : bytes
        The whole flatbuffer.
    place : int
        Where in it the table begins.
    allowed : tuple of int
        The numbers of the fields that it may have.

    Raises
    ------
    ValueError
        If it has others.
    """

    def __init__(self, content: bytes, place: int, allowed: tuple[int, ...]) -> None:
        self._content = content
        self._place = place
        self._list = place - self._at("<i", place)
        self._n_fields = max(0, self._at("<H", self._list) - 4) // 2
        if self._n_fields > _MOST_FIELDS:
            raise ValueError(f"a part of it has {self._n_fields} entries")
        others = {field for field in range(self._n_fields) if self.has(field)} - {*allowed}
        if others:
            raise ValueError(f"a part of it has unknown entries: {sorted(others)}")

    def has(self, field: int) -> bool:
        """Tell whether a field is there."""
        return self._field(field) != 0

    def number(self, field: int, kind: str = "<i", default: int = 0) -> int:
        """Return a whole number; `kind` is its format in `struct`."""
        place = self._field(field)
        return self._at(kind, place) if place else default

    def numbers(self, field: int, dtype: str = "<i4", most: int = _MOST_PARTS) -> np.ndarray:
        """Return a list of numbers, empty where it is left out; not writeable."""
        place = self._target(field)
        if not place:
            return np.empty(0, dtype)
        length = self._at("<I", place)
        if length > most:
            raise ValueError(f"a list of it has {length:,} entries, over {most:,}")
        return np.frombuffer(self._content, dtype, length, place + 4)

    def text(self, field: int) -> bytes:
        """Return a text as its bytes."""
        return self.numbers(field, "u1").tobytes()

    def table(self, field: int, allowed: tuple[int, ...]) -> "Table":
        """Return the table that a field holds."""
        return Table(self._content, self._target(field), allowed)

    def tables(
        self, field: int, allowed: tuple[int, ...], most: int = _MOST_PARTS
    ) -> "list[Table]":
        """Return the tables that a field lists."""
        first = self._target(field) + 4
        distances = self.numbers(field, "<u4", most).tolist()
        places = (first + 4 * number + distance for number, distance in enumerate(distances))
        return [Table(self._content, place, allowed) for place in places]

    def _field(self, field: int) -> int:
        """Return where a field lies, 0 where it is left out."""
        if field >= self._n_fields:
            return 0
        distance = self._at("<H", self._list + 4 + 2 * field)
        return self._place + distance if distance else 0

    def _target(self, field: int) -> int:
        """Return where the list or table lies that a field points to, 0 where it is left out."""
        place = self._field(field)
        return place + self._at("<I", place) if place else 0

    def _at(self, kind: str, place: int) -> int:
        if place < 0:
            raise ValueError("a part of it lies before its beginning")
        return int(struct.unpack_from(kind, self._content, place)[0])


def root_table(content: bytes, allowed: tuple[int, ...]) -> Table:
    """Return the table that a flatbuffer begins with."""
    return Table(content, struct.unpack_from("<I", content, 0)[0], allowed)
