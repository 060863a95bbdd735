"""A network as a table of its layers."""

from math import prod
from typing import Any

import keras


def layer_table(network: keras.Model) -> list[dict[str, Any]]:
    """Return one row for each layer, from input to output.

    Returns
    -------
    list of dict
        `name`; `kind`, as Keras calls it; `output_shape`, without the batch; `parameters`; and
        `multiply_adds` for one image, of the convolutions and dense layers.
    """
    return [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "output_shape": layer.output.shape[1:],
            "parameters": layer.count_params(),
            "multiply_adds": _multiply_adds(layer),
        }
        for layer in network.layers
    ]


def _multiply_adds(layer: keras.Layer) -> int:
    if not isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
        return 0
    positions = prod(layer.output.shape[1:-1])
    return positions * prod(layer.kernel.shape)
