"""Networks of dense layers only."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from digitflow.errors import UsageError
from digitflow.learning.network_parts import classifier, normalisation

#: The dense networks by name: what `ann` is given for each.
DENSE: dict[str, dict[str, Any]] = {
    "ann": {},
    "mlp": {"hidden_layers": (128, 64), "dropout": 0.0, "centred": True},
    "wide_ann": {"hidden_layers": (1024, 1024, 512), "dropout": 0.2, "batch_norm": True},
}


def ann(
    n_classes: int,
    image_shape: tuple[int, ...] = (28, 28, 1),
    hidden_layers: Sequence[int] = (256, 128),
    dropout: float | Sequence[float] | None = None,
    batch_norm: bool = False,
    centred: bool = False,
    name: str = "ann",
) -> keras.Model:
    """Return the dense network of many tutorials, 784-256-128-10, or one of another size.

    235 thousand parameters, 235 thousand multiply-adds per image with the defaults.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of int
        Shape of one image, or of one row of a table: (n_features,).
    hidden_layers : sequence of int
        Units of each hidden layer, first to last.
    dropout : float or sequence of float, optional
        Share of units dropped after each hidden layer, in training; one number for all of them,
        or one for each. By default 0.5 after the last and 0.3 after the others.
    batch_norm : bool
        Normalise over the batch before each activation.
    centred : bool
        Bring inputs of 0..1 to -1..1, with which plain gradient descent gets along better.
    name : str
        The network's own name.

    Raises
    ------
    UsageError
        If there is not one dropout for each hidden layer.
    """
    if dropout is None:
        dropout = [0.3] * (len(hidden_layers) - 1) + [0.5]
    dropouts = dropout if isinstance(dropout, Sequence) else [dropout] * len(hidden_layers)
    if len(dropouts) != len(hidden_layers):
        raise UsageError(
            f"dropout={dropout!r}: must be one number, or one for each of the "
            f"{len(hidden_layers)} hidden layers"
        )
    image = keras.Input(image_shape, name="image")
    x = layers.Flatten(name="flatten")(image)
    if centred:
        x = layers.Rescaling(2, offset=-1, name="centre")(x)
    for number, (units, share) in enumerate(zip(hidden_layers, dropouts, strict=True), start=1):
        layer = f"dense{number}"
        x = layers.Dense(int(units), use_bias=not batch_norm, name=layer)(x)
        if batch_norm:
            x = normalisation(x, layer)
        x = layers.ReLU(name=f"{layer}_relu")(x)
        if share:
            x = layers.Dropout(share, name=f"dropout{number}")(x)
    return classifier(image, x, n_classes, name)


def mlp(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return the plainest network of the tutorials: 784-128-64-10, ReLU, inputs of -1..1.

    109 thousand parameters, 109 thousand multiply-adds per image.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    return ann(n_classes, image_shape, **DENSE["mlp"], name="mlp")


def wide_ann(n_classes: int, image_shape: tuple[int, int, int] = (28, 28, 1)) -> keras.Model:
    """Return the most accurate network without convolutions: 784-1024-1024-512-10.

    2.4 million parameters, 2.4 million multiply-adds per image.

    Parameters
    ----------
    n_classes : int
        Number of outputs.
    image_shape : tuple of (height, width, channels)
        Size of one image, px.
    """
    return ann(n_classes, image_shape, **DENSE["wide_ann"], name="wide_ann")
