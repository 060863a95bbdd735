"""The networks, each a function that reads top to bottom.

A network takes images as float32 in 0..1, ink bright on black, and ends in two layers named
`logits` and `probabilities`: training and other tools use the second, export the first.
"""

from collections.abc import Callable, Sequence

import keras
from keras import layers

from digitflow.errors import UsageError

Network = Callable[..., keras.Model]


def fast(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return the default network: three convolutions, made for accuracy per second.

    61 thousand parameters, 1.5 million multiply-adds per image (28x28, 10 classes). A stride of 2
    in the first layer is what makes it cheap: everything after it sees 12x12 positions or fewer.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = _convolution(image, "conv1", 24, 5, strides=2)  # (12, 12, 24)
    x = _convolution(x, "conv2", 48, 3)  # (10, 10, 48)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (5, 5, 48)
    x = _convolution(x, "conv3", 96, 3)  # (3, 3, 96)
    x = layers.Flatten(name="flatten")(x)  # 864
    return _classifier(image, x, n_classes, "fast")


def ann(
    n_classes: int,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    hidden_layers: Sequence[int] = (512, 256),
    dropout: float = 0.2,
) -> keras.Model:
    """Return a network of dense layers only.

    538 thousand parameters and as many multiply-adds per image with the defaults.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    hidden_layers : sequence of int
        Units of each hidden layer, first to last.
    dropout : float
        Share of units dropped after each hidden layer, in training.
    """
    image = keras.Input(image_shape, name="image")
    x = layers.Flatten(name="flatten")(image)  # 784
    for number, units in enumerate(hidden_layers, start=1):
        x = layers.Dense(units, use_bias=False, name=f"dense{number}")(x)
        x = _normalised_relu(x, f"dense{number}")
        x = layers.Dropout(dropout, name=f"dropout{number}")(x)
    return _classifier(image, x, n_classes, "ann")


#: Networks that can be asked for by name.
NETWORKS: dict[str, Network] = {"fast": fast, "ann": ann}


def network_by_name(name: str) -> Network:
    """Return a network's function.

    Raises
    ------
    UsageError
        If there is no network of that name.
    """
    if name not in NETWORKS:
        raise UsageError(f"network {name!r} is not known; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _convolution(
    x: keras.KerasTensor, name: str, filters: int, size: int, strides: int = 1
) -> keras.KerasTensor:
    """Apply a convolution without padding, batch normalisation and ReLU."""
    x = layers.Conv2D(filters, size, strides=strides, use_bias=False, name=name)(x)
    return _normalised_relu(x, name)


def _normalised_relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # Keras' own momentum of 0.99 lags behind the weights in a fit of a few epochs.
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _classifier(
    image: keras.KerasTensor, features: keras.KerasTensor, n_classes: int, name: str
) -> keras.Model:
    logits = layers.Dense(n_classes, name="logits")(features)
    probabilities = layers.Softmax(name="probabilities")(logits)
    return keras.Model(image, probabilities, name=name)
