"""A TFLite file, looked through before LiteRT sees it.

LiteRT trusts what it runs: a file made for it crashes the process, writes beyond its memory or
takes all of it, and a bundle's digests are as foreign as the bundle. So only what digitflow exports
is let through: one chain of a few kinds of operations, each on what the one before it gave, and
every size known beforehand.

Numbers of fields, operations and types are those of TFLite's `schema.fbs`.
"""

import math
import struct
from collections.abc import Callable

from digitflow.models.chain import (
    FLOAT,
    INT8,
    INT32,
    Chain,
    Shape,
    Tensor,
    check_one_scale,
    read_tensor,
)
from digitflow.models.flatbuffer import Table, root_table

_LONGEST_SIDE = 64  # of a window and its strides
_SAME, _VALID = 0, 1  # paddings
_ACTIVATIONS = (0, 1, 3)  # none, ReLU, ReLU6
_METADATA = {b"min_runtime_version", b"CONVERSION_METADATA"}


def vet_network(content: bytes, image_shape: Shape, n_classes: int) -> None:
    """Refuse a TFLite file that LiteRT could not be given safely.

    Parameters
    ----------
    content : bytes
        The file.
    image_shape : tuple of int
        Height, width and channels of what it must take, float32.
    n_classes : int
        How many logits it must give, float32.

    Raises
    ------
    ValueError
        If it is anything but a network as digitflow exports them.
    """
    try:
        if content[4:8] != b"TFL3":
            raise ValueError("it does not begin as TFLite files do")
        model = root_table(content, (0, 1, 2, 3, 4, 6, 7))
        if {each.text(0) for each in model.tables(6, (0, 1))} - _METADATA:
            raise ValueError("it has metadata of an unknown kind")
        graphs = model.tables(2, (0, 1, 2, 3, 4))
        if len(graphs) != 1:
            raise ValueError(f"it has {len(graphs)} graphs, not one")
        tensors = _read_tensors(model, graphs[0], len(content))
        _check_signatures(model, len(tensors))
        _follow(model, graphs[0], tensors, image_shape, n_classes)
    except (struct.error, IndexError) as error:
        raise ValueError("its parts lie outside of it") from error


def _read_tensors(model: Table, graph: Table, n_bytes: int) -> list[Tensor]:
    buffers = model.tables(4, (0,))
    tensors = []
    for table in graph.tables(0, (0, 1, 2, 3, 4, 7, 8)):
        tensors.append(read_tensor(table, buffers, n_bytes))
        # Many that share their bytes would take long to look through.
        n_bytes -= tensors[-1].values.nbytes
    return tensors


def _check_signatures(model: Table, n_tensors: int) -> None:
    """Check the names that a file gives to its inputs and outputs: each is a tensor's."""
    for signature in model.tables(7, (0, 1, 2, 4), most=1):
        for entry in (*signature.tables(0, (0, 1)), *signature.tables(1, (0, 1))):
            if entry.number(1, "<I") >= n_tensors:
                raise ValueError("it names a tensor that it does not have")


def _follow(
    model: Table, graph: Table, tensors: list[Tensor], image_shape: Shape, n_classes: int
) -> None:
    """Follow the operations from the image to the logits."""
    codes = [max(each.number(0, "<b"), each.number(3)) for each in model.tables(1, (0, 2, 3))]
    inputs, outputs = graph.numbers(1).tolist(), graph.numbers(2).tolist()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, not one")
    chain = Chain(tensors, inputs[0], image_shape)
    for number, operation in enumerate(graph.tables(3, (0, 1, 2, 3, 4))):
        try:
            _apply(chain, codes[operation.number(0, "<I")], operation)
        except ValueError as error:
            raise ValueError(f"operation {number}: {error}") from error
    if (chain.current, chain.kind, chain.shape) != (outputs[0], FLOAT, (n_classes,)):
        raise ValueError(f"it does not map a 28x28 image to {n_classes} logits")
    if len(chain.met) != len(tensors):
        raise ValueError("it has tensors that no operation uses")


def _apply(chain: Chain, code: int, operation: Table) -> None:
    if code not in _RULES:
        raise ValueError(f"it is of a kind, {code}, that no network of digitflow has")
    rule, options_kind, allowed = _RULES[code]
    if operation.number(3, "<B") != options_kind or operation.has(4) != bool(options_kind):
        raise ValueError("its options are of another kind")
    options = operation.table(4, allowed) if options_kind else operation
    outputs = operation.numbers(2).tolist()
    if len(outputs) != 1:
        raise ValueError(f"it has {len(outputs)} outputs, not one")
    rule(chain, operation.numbers(1).tolist(), outputs[0], options)


# The kinds of operations: each checks what it takes, and says what it gives.


def _convolve(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    n_outputs, height, width, n_channels = chain.weights(inputs, 4)
    if inputs[2] < 0:
        raise ValueError("it adds nothing")
    _check_activation(options.number(3, "<b"))
    if options.number(4, default=1) != 1 or options.number(5, default=1) != 1:
        raise ValueError("it is dilated")
    rows, columns = _windows(chain, height, width, options)
    chain.count(rows * columns, height * width * n_channels, n_outputs)
    chain.give(output, chain.kind, (rows, columns, n_outputs))


def _pool(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    chain.check_takes(inputs, 1)
    _check_activation(options.number(5, "<b"))
    rows, columns = _windows(chain, options.number(4), options.number(3), options)
    chain.give(output, chain.kind, (rows, columns, chain.shape[2]))


def _connect(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    n_outputs, n_inputs = chain.weights(inputs, 2)
    _check_activation(options.number(0, "<b"))
    if len(chain.shape) != 1:
        raise ValueError(f"it takes {chain.shape}, not a row of numbers")
    chain.count(1, n_inputs, n_outputs)
    chain.give(output, chain.kind, (n_outputs,))


def _scale(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    """Multiply by a constant or add one, the same for all or one for each channel."""
    chain.check_takes(inputs, 2)
    _check_activation(options.number(0, "<b"))
    constant = chain.constant(inputs[1], chain.kind)
    if constant.shape not in ((), (1,), chain.shape[-1:]):
        raise ValueError(f"its constant {constant.shape} does not fit {chain.shape}")
    check_one_scale(constant)
    chain.give(output, chain.kind, chain.shape)


def _average(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    chain.check_takes(inputs, 2)
    if chain.constant(inputs[1], INT32).values.tolist() != [1, 2] or len(chain.shape) != 3:
        raise ValueError("it is not taken over rows and columns")
    chain.give(output, chain.kind, chain.shape[2:])


def _quantize(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    chain.check_takes(inputs, 1)
    chain.give(output, INT8, chain.shape)


def _dequantize(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    chain.check_takes(inputs, 1)
    if chain.kind != INT8:
        raise ValueError("it takes no whole numbers")
    chain.give(output, FLOAT, chain.shape)


# Four that together make a row of an image's numbers, whatever the number of images.


def _take_shape(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    chain.check_takes(inputs, 1)
    if options.number(0, "<b") != INT32:
        raise ValueError("it gives sizes of another type")
    chain.give_size(output, (1 + len(chain.shape),), "shape")


def _take_number_of_images(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    bounds = [chain.constant(place, INT32).values.tolist() for place in inputs[1:]]
    is_first = bounds == [[0], [1], [1]] and options.number(4) == 1
    if chain.sizes.get(inputs[0]) != "shape" or not is_first:
        raise ValueError("it does not take the number of images")
    chain.give_size(output, (), "images")


def _make_shape(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    if len(inputs) != 2 or options.number(0) != 2 or chain.sizes.get(inputs[0]) != "images":
        raise ValueError("it makes no shape of rows")
    length, n = chain.constant(inputs[1], INT32), math.prod(chain.shape)
    if length.shape != () or length.values.tolist() != [n]:
        raise ValueError(f"it makes a shape of rows that are not of {n}")
    chain.give_size(output, (2,), n)


def _reshape(chain: Chain, inputs: list[int], output: int, options: Table) -> None:
    chain.check_takes(inputs, 2)
    n = math.prod(chain.shape)
    if chain.sizes.get(inputs[1]) != n:
        raise ValueError(f"it does not make rows of {n}")
    chain.give(output, chain.kind, (n,))


def _windows(chain: Chain, height: int, width: int, options: Table) -> tuple[int, int]:
    """Return how often a window fits into the rows and columns of an image."""
    padding, strides = options.number(0, "<b"), (options.number(2), options.number(1))
    if len(chain.shape) != 3 or padding not in (_SAME, _VALID):
        raise ValueError(f"it takes {chain.shape}, padding {padding}")
    sides = (height, width, *strides)
    if not all(1 <= side <= _LONGEST_SIDE for side in sides):
        raise ValueError(f"its window and strides are {sides}")
    if padding == _VALID:
        rows, columns = chain.shape[0] - height + 1, chain.shape[1] - width + 1
    else:
        rows, columns = chain.shape[:2]
    if rows < 1 or columns < 1:
        raise ValueError(f"its window is {height}x{width} of {chain.shape}")
    return math.ceil(rows / strides[0]), math.ceil(columns / strides[1])


def _check_activation(activation: int) -> None:
    if activation not in _ACTIVATIONS:
        raise ValueError(f"its activation is of an unknown kind, {activation}")


_Rule = Callable[[Chain, list[int], int, Table], None]

#: By the number of an operation: its rule, the kind of its options, and the fields these may have.
_RULES: dict[int, tuple[_Rule, int, tuple[int, ...]]] = {
    0: (_scale, 11, (0,)),  # ADD
    3: (_convolve, 1, (0, 1, 2, 3, 4, 5)),  # CONV_2D
    6: (_dequantize, 0, ()),
    9: (_connect, 8, (0, 3)),  # FULLY_CONNECTED
    17: (_pool, 5, (0, 1, 2, 3, 4, 5)),  # MAX_POOL_2D
    18: (_scale, 21, (0,)),  # MUL
    22: (_reshape, 0, ()),
    40: (_average, 27, ()),  # MEAN
    45: (_take_number_of_images, 32, (4,)),  # STRIDED_SLICE
    77: (_take_shape, 55, (0,)),
    83: (_make_shape, 59, (0,)),  # PACK
    114: (_quantize, 0, ()),
}
