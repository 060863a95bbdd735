"""What several networks are put together from."""

import keras
import numpy as np
from keras import layers

from digitflow.errors import UsageError


def convolution(
    x: keras.KerasTensor, name: str, filters: int, size: int, strides: int = 1
) -> keras.KerasTensor:
    """Apply a convolution without padding, batch normalisation and ReLU."""
    x = layers.Conv2D(filters, size, strides=strides, use_bias=False, name=name)(x)
    x = normalisation(x, name)
    return layers.ReLU(name=f"{name}_relu")(x)


def normalisation(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Apply batch normalisation to what the layer of that name gives."""
    # Keras' own momentum of 0.99 lags behind the weights in a fit of a few epochs.
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


def check_network(
    network: keras.Model, image_shape: tuple[int, ...], n_classes: int, origin: str
) -> None:
    """Refuse a network that a classifier cannot train, or not read probabilities from.

    Parameters
    ----------
    network : keras.Model
    image_shape : tuple of int
        What it must take.
    n_classes : int
        So many outputs it must have.
    origin : str
        Where it comes from, for the message.

    Raises
    ------
    UsageError
        If its input or output has another shape, or its output is no softmax of logits.
    """
    if network.input_shape[1:] != image_shape:
        raise UsageError(f"{origin} takes {network.input_shape[1:]}; images are {image_shape}")
    if network.output_shape != (None, n_classes):
        raise UsageError(
            f"{origin} gives {network.output_shape[1:]} outputs; there must be one for each of "
            f"{n_classes} classes"
        )
    if [layer.name for layer in network.layers[-2:]] != ["logits", "probabilities"]:
        raise UsageError(
            f"{origin} ends in {', '.join(layer.name for layer in network.layers[-2:])}; its last "
            "two layers must be named logits (no activation) and probabilities (a softmax)"
        )
    found = network(np.zeros((1, *image_shape), np.float32), training=False)
    found = keras.ops.convert_to_numpy(found)
    if found.min() < 0 or abs(found.sum() - 1) > 1e-3:
        raise UsageError(f"{origin} gives values that are no probabilities; end in a softmax")


def classifier(
    image: keras.KerasTensor, features: keras.KerasTensor, n_classes: int, name: str
) -> keras.Model:
    """Return the network from images to the probabilities of the classes."""
    logits = layers.Dense(n_classes, name="logits")(features)
    # In full precision whatever the rest is computed in: a softmax in half loses small shares.
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(logits)
    return keras.Model(image, probabilities, name=name)
