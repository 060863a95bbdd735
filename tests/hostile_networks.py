"""TFLite files changed at random, and what a network made of each does.

    python tests/hostile_networks.py FILE.tflite FIRST LAST

In a process of its own, whose memory is capped: what LiteRT cannot stand would end the tests.
"""

import random
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from digitflow.errors import BundleError
from digitflow.models.tflite import TFLiteNetwork

MOST_BYTES = 2 << 30  # of memory that may be asked for, libraries included

_NUMBERS = (0, 1, 2, 3, 5, 8, 28, 1000, 65_536, 2**20, 2**30, 2**31 - 1)
_FRACTIONS = (0.0, -1.0, 1e38, 1e-40, float("nan"), float("inf"))
_MOST_OPERATIONS = 160  # about as many as TFLite knows


def read_model(content: bytes) -> Any:
    """Return a TFLite file as objects that can be changed."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for holder, name in list(_entries(model)):
        value = _get(holder, name)
        if isinstance(value, np.ndarray):
            _set(holder, name, value.copy())
    return model


def write_model(model: Any) -> bytes:
    """Return the TFLite file of such objects."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def change(model: Any, random: random.Random) -> None:
    """Change a few entries; not the weights, of which any are right."""
    entries = [entry for entry in _entries(model) if entry[1] != "data"]
    for _ in range(random.choice([1, 1, 2, 3, 5])):
        holder, name = random.choice(entries)
        _set(holder, name, _changed(_get(holder, name), name, random))


def _changed(value: Any, name: object, random: random.Random) -> Any:
    if isinstance(value, np.ndarray | list):
        value = list(value)
        if not value:
            return value
        return random.choice([value[:-1], value + value[:1], value * 30, value[::-1]])
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return random.choice(_FRACTIONS)
    if name in ("builtinCode", "deprecatedBuiltinCode"):
        return random.randrange(_MOST_OPERATIONS)
    return random.choice([*_NUMBERS, int(value) + 1, abs(int(value) - 1), 2 * int(value)])


def _entries(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Find all that an object and its parts hold: the holder, and the name or place in it."""
    if hasattr(holder, "__dict__"):
        inside = list(vars(holder).items())
    elif isinstance(holder, list):
        inside = list(enumerate(holder))
    elif isinstance(holder, np.ndarray):
        inside = list(enumerate(holder[:8].tolist()))
    else:
        return
    for name, value in inside:
        if value is None or isinstance(value, bytes | str):
            continue
        if isinstance(value, bool | int | float | np.number | list | np.ndarray):
            yield holder, name
        if name != "data":
            yield from _entries(value)


def _get(holder: Any, name: Any) -> Any:
    return getattr(holder, name) if hasattr(holder, "__dict__") else holder[name]


def _set(holder: Any, name: Any, value: Any) -> None:
    if hasattr(holder, "__dict__"):
        setattr(holder, name, value)
    else:
        holder[name] = value


def main() -> None:
    """Try the changes of all seeds, and print how many networks were run and refused."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    content = Path(sys.argv[1]).read_bytes()
    outcomes: Counter[str] = Counter()
    for seed in range(int(sys.argv[2]), int(sys.argv[3])):
        model = read_model(content)
        change(model, random.Random(seed))
        try:
            changed = write_model(model)
        except Exception:  # the writer knows what no field can hold
            outcomes["unwritable"] += 1
            continue
        print(seed, end=" ", file=sys.stderr, flush=True)  # the last one is the one to look at
        try:
            TFLiteNetwork(changed, 10).logits(np.zeros((3, 28, 28), np.uint8))
            outcomes["run"] += 1
        except BundleError:
            outcomes["refused"] += 1
    print(outcomes["run"], outcomes["refused"])


if __name__ == "__main__":
    main()
