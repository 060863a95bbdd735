"""Convolutional networks that many tutorials teach, layer by layer as they do, to compare with."""

import keras
from keras import layers, regularizers

from digitflow.learning.network_parts import classifier

_L2 = 1e-4  # penalty on the weights of conv6's dense layer


def conv1(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return one convolution and one dense layer.

    607 thousand parameters, 777 thousand multiply-adds per image.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = layers.Conv2D(28, 3, activation="relu", name="conv1")(image)  # (26, 26, 28)
    x = layers.MaxPooling2D(2, name="pool1")(x)  # (13, 13, 28)
    x = layers.Flatten(name="flatten")(x)  # 4732
    x = layers.Dense(128, activation="relu", name="dense1")(x)
    return classifier(image, x, n_classes, "conv1")


def conv2(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return two convolutions, each with pooling, and one dense layer.

    225 thousand parameters, 2.6 million multiply-adds per image.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(image)  # (26, 26, 32)
    x = layers.MaxPooling2D(2, name="pool1")(x)  # (13, 13, 32)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)  # (11, 11, 64)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (5, 5, 64)
    x = layers.Flatten(name="flatten")(x)  # 1600
    x = layers.Dense(128, activation="relu", name="dense1")(x)
    x = layers.Dropout(0.5, name="dropout1")(x)
    return classifier(image, x, n_classes, "conv2")


def conv5(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return five convolutions with batch normalisation and dropout, and two dense layers.

    3.5 million parameters, 25.2 million multiply-adds per image.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = _padded_convolution(image, "conv1", 32)  # (28, 28, 32)
    x = _padded_convolution(x, "conv2", 32)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (14, 14, 32)
    x = layers.Dropout(0.25, name="dropout2")(x)
    x = _padded_convolution(x, "conv3", 64)  # (14, 14, 64)
    x = _padded_convolution(x, "conv4", 64)
    x = layers.MaxPooling2D(2, name="pool4")(x)  # (7, 7, 64)
    x = layers.Dropout(0.25, name="dropout4")(x)
    x = _padded_convolution(x, "conv5", 128)  # (7, 7, 128)
    x = layers.Dropout(0.25, name="dropout5")(x)
    x = layers.Flatten(name="flatten")(x)  # 6272
    for name, units in (("dense1", 512), ("dense2", 256)):
        x = layers.Dense(units, activation="relu", name=name)(x)
        x = layers.BatchNormalization(name=f"{name}_norm")(x)
        x = layers.Dropout(0.5, name=f"{name}_dropout")(x)
    return classifier(image, x, n_classes, "conv5")


def conv6(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return three blocks of two convolutions, and a dense layer with an L2 penalty.

    587 thousand parameters, 29.4 million multiply-adds per image.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    image = keras.Input(image_shape, name="image")
    x = image
    for number, filters in enumerate((32, 64, 128), start=1):  # (14, 14), (7, 7), (3, 3)
        x = _padded_convolution(x, f"conv{2 * number - 1}", filters)
        x = _padded_convolution(x, f"conv{2 * number}", filters)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
        x = layers.Dropout(0.25, name=f"dropout{number}")(x)
    x = layers.Flatten(name="flatten")(x)  # 1152
    x = layers.Dense(
        256, activation="relu", kernel_regularizer=regularizers.L2(_L2), name="dense1"
    )(x)
    x = layers.BatchNormalization(name="dense1_norm")(x)
    x = layers.Dropout(0.5, name="dense1_dropout")(x)
    return classifier(image, x, n_classes, "conv6")


def _padded_convolution(x: keras.KerasTensor, name: str, filters: int) -> keras.KerasTensor:
    """Apply a 3x3 convolution that keeps the size, ReLU, and batch normalisation after it."""
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)
