"""What several networks are put together from."""

import keras
from keras import layers


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


def classifier(
    image: keras.KerasTensor, features: keras.KerasTensor, n_classes: int, name: str
) -> keras.Model:
    """Return the network from images to the probabilities of the classes."""
    logits = layers.Dense(n_classes, name="logits")(features)
    # In full precision whatever the rest is computed in: a softmax in half loses small shares.
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(logits)
    return keras.Model(image, probabilities, name=name)
