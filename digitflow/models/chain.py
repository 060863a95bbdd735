"""A TFLite network as a chain: what its tensors are, and what was computed so far."""

import math
from dataclasses import dataclass

import numpy as np

from digitflow.models.flatbuffer import Table

Shape = tuple[int, ...]

#: Types of numbers, as TFLite counts them.
FLOAT, INT32, INT8 = 0, 2, 9
_DTYPES: dict[int, np.dtype] = {
    FLOAT: np.dtype("<f4"),
    INT32: np.dtype("<i4"),
    INT8: np.dtype("i1"),
}

# Of one image: numbers in the result of an operation, or gathered for it, and multiplications in
# all. Of the networks known by name the largest has 627,200 and 86 million.
_MOST_NUMBERS = 2**20
_MOST_MULTIPLICATIONS = 2**30

# What whole numbers are multiplied by; a trained network's lie far within.
_SCALES = (1e-20, 1e6)
_ZERO_POINTS = (-128, 127)


@dataclass(frozen=True)
class Tensor:
    """What a file says of a tensor."""

    kind: int  # FLOAT, INT32 or INT8
    shape: Shape  # for one image
    signature: Shape  # the same with -1 for the number of images; empty where it has none
    values: np.ndarray  # of a constant; empty where it is computed
    scales: np.ndarray  # what whole numbers are multiplied by; one, or one for each channel
    zero_points: np.ndarray  # which whole numbers mean 0, as many


def read_tensor(table: Table, buffers: list[Table], most_bytes: int) -> Tensor:
    """Return a tensor whose values take so many bytes at most.

    Raises
    ------
    ValueError
        If it is of a type, shape or scale that no network of digitflow has.
    """
    kind, shape = table.number(1, "<b"), tuple(table.numbers(0).tolist())
    if kind not in _DTYPES or not all(0 < side <= _MOST_NUMBERS for side in shape):
        raise ValueError(f"it has a tensor of type {kind} and shape {shape[:8]}")
    content = buffers[table.number(2, "<I")].numbers(0, "u1", most=most_bytes)
    if len(content) not in (0, math.prod(shape) * _DTYPES[kind].itemsize):
        raise ValueError(f"it has a tensor of shape {shape[:8]} in {len(content)} bytes")
    values = content.view(_DTYPES[kind])
    if not np.isfinite(values).all():
        raise ValueError("its weights are not all finite numbers")
    scales, zero_points = np.empty(0), np.empty(0)
    if table.has(4):
        quantization = table.table(4, (0, 1, 2, 3))  # so always along the first axis
        scales = quantization.numbers(2, "<f4", most=_MOST_NUMBERS)
        zero_points = quantization.numbers(3, "<i8", most=_MOST_NUMBERS)
    right = (scales > _SCALES[0]) & (scales < _SCALES[1])
    if len(scales) != len(zero_points) or not right.all():
        raise ValueError("it has whole numbers whose scales make no sense")
    return Tensor(kind, shape, tuple(table.numbers(7).tolist()), values, scales, zero_points)


class Chain:
    """What the operations of a network computed so far, each from what the one before it gave.

    All methods raise ValueError where the network is not as it may be.

    Parameters
    ----------
    tensors : list of Tensor
    first : int
        Which of them is the input.
    image_shape : tuple of int
        What it must be for one image, float32.
    """

    def __init__(self, tensors: list[Tensor], first: int, image_shape: Shape) -> None:
        self._tensors = tensors
        #: Tensors that were computed or used; of the others nothing is known.
        self.met: set[int] = set()
        #: What tensors of sizes hold: "shape", "images", or how many numbers an image is to have.
        self.sizes: dict[int, str | int] = {}
        self._n_multiplications = 0
        self.give(first, FLOAT, image_shape)

    def give(self, place: int, kind: int, shape: Shape) -> None:
        """Take a tensor for what was computed, if it is declared so."""
        tensor = self._computed(place)
        whole, signature = (1, *shape), (-1, *shape)
        if (tensor.kind, tensor.shape, tensor.signature) != (kind, whole, signature):
            raise ValueError(f"a tensor is not declared as what it holds, {whole}")
        if math.prod(shape) > _MOST_NUMBERS:
            raise ValueError(f"{shape} are more numbers than any network of digitflow has")
        check_one_scale(tensor)
        self.current, self.kind, self.shape = place, kind, shape

    def give_size(self, place: int, shape: Shape, size: str | int) -> None:
        """Take a tensor for a size that was computed, if it is declared so."""
        tensor = self._computed(place)
        if (tensor.kind, tensor.shape) != (INT32, shape):
            raise ValueError(f"a tensor is not declared as what it holds, {shape}")
        check_one_scale(tensor)
        self.sizes[place] = size

    def constant(self, place: int, kind: int) -> Tensor:
        """Return a tensor of weights."""
        tensor = self._tensors[place] if place >= 0 else None
        if tensor is None or not tensor.values.size or tensor.kind != kind:
            raise ValueError("its weights are missing or of another type")
        self.met.add(place)
        return tensor

    def check_takes(self, inputs: list[int], n: int) -> None:
        """Check that an operation has `n` inputs, the first of which is what was computed."""
        if len(inputs) != n or inputs[0] != self.current:
            raise ValueError("its inputs are not what the one before it gave")

    def weights(self, inputs: list[int], rank: int) -> Shape:
        """Return the shape of an operation's weights, if they fit what it takes.

        Its inputs are what was computed, the weights, and what is added for each output or -1.
        """
        self.check_takes(inputs, 3)
        is_int8 = INT8 in (self.kind, self._tensors[max(inputs[1], 0)].kind)
        weights = self.constant(inputs[1], INT8 if is_int8 else FLOAT)
        if len(weights.shape) != rank or weights.shape[-1] != self.shape[-1]:
            raise ValueError(f"its weights {weights.shape} do not fit what it takes, {self.shape}")
        n_outputs = weights.shape[0]
        _check_scales(weights, (1, n_outputs) if is_int8 else (0,))
        if inputs[2] >= 0:
            offsets = self.constant(inputs[2], INT32 if self.kind == INT8 else FLOAT)
            if offsets.shape != (n_outputs,):
                raise ValueError(f"its offsets {offsets.shape} do not fit its weights")
            _check_scales(offsets, (len(weights.scales) if self.kind == INT8 else 0,))
        return weights.shape

    def count(self, positions: int, gathered: int, n_outputs: int) -> None:
        """Count the multiplications of an operation, and refuse too many."""
        self._n_multiplications += positions * gathered * n_outputs
        if positions * gathered > _MOST_NUMBERS or self._n_multiplications > _MOST_MULTIPLICATIONS:
            raise ValueError("it takes more work than any network of digitflow")

    def _computed(self, place: int) -> Tensor:
        """Return a tensor that no operation has given before."""
        if place < 0 or place in self.met or self._tensors[place].values.size:
            raise ValueError("what it gives is known already")
        self.met.add(place)
        return self._tensors[place]


def check_one_scale(tensor: Tensor) -> None:
    """Check that a tensor has one scale if it holds whole numbers for fractions, else none."""
    low, high = _ZERO_POINTS
    right = (tensor.zero_points >= low) & (tensor.zero_points <= high)
    if len(tensor.scales) != int(tensor.kind == INT8) or not right.all():
        raise ValueError("a tensor has other scales than it may")


def _check_scales(tensor: Tensor, allowed: tuple[int, ...]) -> None:
    if len(tensor.scales) not in allowed or tensor.zero_points.any():
        raise ValueError("its weights have other scales than they may")
