"""The networks by name, and our own, each a function that reads top to bottom.

A network takes images as float32 in 0..1, ink bright on black, and ends in two layers named
`logits` and `probabilities`: training and other tools use the second, export the first.
"""

from collections.abc import Callable

import keras
from keras import layers

from digitflow.errors import UsageError
from digitflow.learning.dense_networks import ann, mlp, wide_ann
from digitflow.learning.network_parts import classifier, convolution
from digitflow.learning.tutorial_networks import conv1, conv2, conv5, conv6

Network = Callable[..., keras.Model]


def fast(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return the default network: three convolutions, made for accuracy per second.

    62 thousand parameters, 1.5 million multiply-adds per image. A stride of 2 in the first layer
    is what makes it cheap: everything after it sees 12x12 positions or fewer.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = convolution(image, "conv1", 24, 5, strides=2)  # (12, 12, 24)
    x = convolution(x, "conv2", 48, 3)  # (10, 10, 48)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (5, 5, 48)
    x = convolution(x, "conv3", 96, 3)  # (3, 3, 96)
    x = layers.Flatten(name="flatten")(x)  # 864
    return classifier(image, x, n_classes, "fast")


def robust(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return the network for real images: `fast`, a third wider, for more that is to be learned.

    105 thousand parameters, 2.6 million multiply-adds per image. Its recipe changes strokes,
    slants and edges as photos and their normalising do.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = convolution(image, "conv1", 32, 5, strides=2)  # (12, 12, 32)
    x = convolution(x, "conv2", 64, 3)  # (10, 10, 64)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (5, 5, 64)
    x = convolution(x, "conv3", 128, 3)  # (3, 3, 128)
    x = layers.Flatten(name="flatten")(x)  # 1152
    return classifier(image, x, n_classes, "robust")


def accurate(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return the network for the fewest errors: `fast`, twice as wide and one convolution deeper.

    301 thousand parameters, 10.3 million multiply-adds per image.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = convolution(image, "conv1", 48, 5, strides=2)  # (12, 12, 48)
    x = convolution(x, "conv2", 96, 3)  # (10, 10, 96)
    x = convolution(x, "conv3", 96, 3)  # (8, 8, 96)
    x = layers.MaxPooling2D(2, name="pool3")(x)  # (4, 4, 96)
    x = convolution(x, "conv4", 192, 3)  # (2, 2, 192)
    x = layers.Flatten(name="flatten")(x)  # 768
    return classifier(image, x, n_classes, "accurate")


def tiny(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return a network for small devices: below 60 kB with 8-bit weights.

    42 thousand parameters, 1.2 million multiply-adds per image. The mean over the last positions
    takes the place of the large dense layer.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = convolution(image, "conv1", 16, 5, strides=2)  # (12, 12, 16)
    x = convolution(x, "conv2", 28, 3)  # (10, 10, 28)
    x = convolution(x, "conv3", 40, 3)  # (8, 8, 40)
    x = layers.MaxPooling2D(2, name="pool3")(x)  # (4, 4, 40)
    x = convolution(x, "conv4", 72, 3)  # (2, 2, 72)
    x = layers.GlobalAveragePooling2D(name="mean")(x)  # 72
    return classifier(image, x, n_classes, "tiny")


#: Networks that can be asked for by name.
NETWORKS: dict[str, Network] = {
    "fast": fast,
    "robust": robust,
    "accurate": accurate,
    "tiny": tiny,
    "ann": ann,
    "mlp": mlp,
    "wide_ann": wide_ann,
    "conv1": conv1,
    "conv2": conv2,
    "conv5": conv5,
    "conv6": conv6,
}


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
