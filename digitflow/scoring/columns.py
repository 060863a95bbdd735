"""Arrow columns to and from plain values, by their buffers.

The convenient ways import pandas, which would cost every process a second.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa


def column_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Make one Arrow array of a sequence in which None is null."""
    if pa.types.is_dictionary(kind):
        words = list(dict.fromkeys(value for value in values if value is not None))
        places = {word: place for place, word in enumerate(words)}
        indices = _numbers([places.get(value) for value in values], kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, _texts(words, kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return _vectors(values, kind)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _texts(values, kind)
    return _numbers(values, kind)


def numbers_in(array: pa.Array) -> np.ndarray:
    """Return the numbers of a column, or the indices of a dictionary column; null is any number."""
    if pa.types.is_dictionary(array.type):
        array = array.indices
    moment = pa.types.is_timestamp(array.type)
    dtype = np.dtype(np.int64 if moment else array.type.to_pandas_dtype())
    content = array.buffers()[1]
    if content is None:
        return np.zeros(len(array), dtype)
    return np.frombuffer(content, dtype)[array.offset : array.offset + len(array)]


def known_in(array: pa.Array) -> np.ndarray:
    """Return for each value of a column whether it is not null."""
    bits = array.buffers()[0]
    if bits is None:
        return np.ones(len(array), bool)
    known = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
    return known[array.offset : array.offset + len(array)].astype(bool)


def bytes_in(array: pa.Array) -> list[bytes]:
    """Return the values of a column of texts as bytes; null is empty."""
    _, offsets, content = array.buffers()
    ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].tolist()
    joined = b"" if content is None else memoryview(content)[: ends[-1]].tobytes()
    return [joined[start:end] for start, end in pairwise(ends)]


def words_in(array: pa.DictionaryArray) -> list[str]:
    """Return the words that a dictionary column may hold, in the order of its indices."""
    return [word.as_py() for word in array.dictionary]


def taken(table: pa.Table, places: np.ndarray) -> pa.Table:
    """Return the rows of a table at the given places, in their order."""
    content = pa.py_buffer(np.ascontiguousarray(places, np.int64))
    return table.take(pa.Array.from_buffers(pa.int64(), len(places), [None, content]))


def _numbers(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    dtype = np.int64 if pa.types.is_timestamp(kind) else kind.to_pandas_dtype()
    validity = _validity(values)
    if validity:
        values = [0 if value is None else value for value in values]
    content = pa.py_buffer(np.array(values, dtype))
    return pa.Array.from_buffers(kind, len(values), [validity, content])


def _texts(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    coded = [value.encode() if isinstance(value, str) else value or b"" for value in values]
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(each) for each in coded], out=offsets[1:])
    buffers = [_validity(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(coded))]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _vectors(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    flat = np.zeros((len(values), kind.list_size), np.float32)
    known = [place for place, value in enumerate(values) if value is not None]
    if known:
        flat[known] = [values[place] for place in known]
    child = pa.Array.from_buffers(kind.value_type, flat.size, [None, pa.py_buffer(flat)])
    return pa.Array.from_buffers(kind, len(values), [_validity(values)], children=[child])


def _validity(values: Sequence[Any]) -> pa.Buffer | None:
    """Return Arrow's bitmap of what is not null, or None where nothing is."""
    known = np.fromiter((value is not None for value in values), bool, len(values))
    return None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
