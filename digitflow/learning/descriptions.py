"""A fitted estimator as plain values and arrays, which a bundle keeps, and back."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy
from sklearn.base import BaseEstimator

from digitflow.errors import BundleError, UsageError
from digitflow.learning.augmentation import Augmentation
from digitflow.learning.estimators import ANNClassifier, CNNClassifier
from digitflow.learning.inputs import InputForm
from digitflow.learning.networks import NETWORKS
from digitflow.models.bundle import WEIGHTS, load_bundle
from digitflow.models.registry import find_model

Estimator = CNNClassifier | ANNClassifier

_ESTIMATORS: dict[str, type[Estimator]] = {
    "CNNClassifier": CNNClassifier,
    "ANNClassifier": ANNClassifier,
}
_MOST_LAYERS = 16
_MOST_UNITS = 4096
_LARGEST_SIDE = 4096  # px
# What values of other kinds than expected raise.
_MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# What belongs to one fit, not to the network that came of it.
_OF_THE_FIT = {"callbacks", "checkpoint", "device", "verbose", "warm_start"}


def describe_estimator(estimator: Estimator) -> dict[str, Any]:
    """Return class, hyper-parameters, recipe, classes and form of the input as JSON values.

    Parameters
    ----------
    estimator : CNNClassifier or ANNClassifier
        Fitted.

    Raises
    ------
    UsageError
        If its network is a function: a bundle holds only networks that are known by name.
    """
    if callable(getattr(estimator, "network", None)):
        raise UsageError(
            f"network={estimator.network!r}: only networks known by name go into a bundle; "
            f"choose one of {', '.join(NETWORKS)}"
        )
    parameters = {
        name: _plain(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in _OF_THE_FIT and _is_plain(value)
    }
    return {
        "class": type(estimator).__name__,
        "parameters": parameters,
        "recipe": {name: _plain(value) for name, value in vars(estimator.recipe()).items()},
        "classes": estimator.classes_.tolist(),
        "input_form": asdict(estimator.input_form_),
    }


def rebuild_estimator(description: Mapping[str, Any], weights: bytes) -> Estimator:
    """Return the fitted estimator that was described, with the weights of a safetensors file.

    Only this module's classes and networks are built, from bounded integers: a description from
    someone else can neither run code nor ask for a huge network.

    Raises
    ------
    BundleError
        If the description or the weights are not what this code would have written.
    """
    try:
        estimator = _ESTIMATORS[description["class"]](**arguments_of(description["parameters"]))
        _check_bounds(estimator)
        estimator.classes_ = np.asarray(description["classes"])
        estimator.input_form_ = _input_form(description["input_form"])
        shape = estimator.input_form_.image_shape
        if shape is None:
            raise ValueError("it reads features, no images")
        estimator.n_features_in_ = shape[0] * shape[1]
        tensors = safetensors.numpy.load(weights)
        _check_size(estimator, len(weights))
        network = estimator.build_network(len(estimator.classes_))
        network.set_weights([tensors[name] for name in _weight_names(network)])
    except (*_MISFITS, safetensors.SafetensorError) as error:
        raise BundleError(f"the estimator cannot be rebuilt ({error})") from error
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise BundleError("the weights are not all finite numbers; the training went wrong")
    estimator.network_ = network
    return estimator


def load_estimator(model: str | Path | None = None) -> Estimator:
    """Return a bundle's network as the scikit-learn estimator it was trained as.

    Parameters
    ----------
    model : str, Path or None
        A model's name, `name@version`, or a bundle's folder; None is the default model.

    Raises
    ------
    UnknownModelError, BundleError
        If there is no such model, or its bundle is damaged.
    """
    bundle = load_bundle(find_model(model))
    try:
        estimator = rebuild_estimator(bundle.manifest["estimator"], bundle.read(WEIGHTS))
    except (KeyError, BundleError) as error:
        raise BundleError(f"{bundle.folder}: {error}") from error
    if len(estimator.classes_) != len(bundle.class_names):
        raise BundleError(f"{bundle.folder}: the estimator's classes are not the bundle's")
    return estimator


def arguments_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters that JSON holds as the estimators take them."""
    parameters = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in described.items()
    }
    if isinstance(described.get("class_weight"), list):
        parameters["class_weight"] = dict(described["class_weight"])
    if isinstance(described.get("augmentation"), Mapping):
        parameters["augmentation"] = Augmentation(**described["augmentation"])
    return parameters


def weights_of(estimator: Estimator) -> bytes:
    """Return the network's weights as a safetensors file."""
    network = estimator.network_
    return safetensors.numpy.save(
        dict(zip(_weight_names(network), network.get_weights(), strict=True))
    )


def _weight_names(network: keras.Model) -> list[str]:
    """Return a name for each weight, distinct even where a layer was named twice."""
    return [f"{number:03d}/{weight.path}" for number, weight in enumerate(network.weights)]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: a function by its name."""
    if isinstance(value, BaseEstimator):
        return {name: _plain(each) for name, each in value.get_params().items()}
    if callable(value):
        return value.__qualname__
    if isinstance(value, Mapping):  # as pairs, for the keys of a JSON object are strings
        return [[_plain(key), _plain(weight)] for key, weight in value.items()]
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _is_plain(value: Any) -> bool:
    """Tell whether JSON can hold a hyper-parameter and give the same back."""
    if callable(value):
        return False
    try:
        json.dumps(_plain(value))
    except (TypeError, ValueError):
        return False
    return True


def _input_form(described: Mapping[str, Any]) -> InputForm:
    value_range = described["value_range"]
    return InputForm(
        image_shape=_size(described["image_shape"]),
        size=_size(described["size"]),
        value_range=None if value_range is None else (float(value_range[0]), float(value_range[1])),
    )


def _size(described: Sequence[int] | None) -> tuple[int, int] | None:
    if described is None:
        return None
    height, width = map(int, described)
    if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE):
        raise ValueError(f"images of {height}x{width} px")
    return height, width


def _check_size(estimator: Estimator, n_bytes: int) -> None:
    """Refuse a description whose network would be larger than the weights that came with it."""
    n_classes = len(estimator.classes_)
    widths = [1, n_classes]
    if isinstance(estimator, ANNClassifier):
        widths = [estimator.n_features_in_, *estimator.hidden_layers, n_classes]
    n_weights = sum(before * after for before, after in itertools.pairwise(widths))
    if 4 * n_weights > n_bytes:
        raise ValueError(f"{n_classes} classes need more weights than the {n_bytes} bytes given")


def _check_bounds(estimator: Estimator) -> None:
    estimator.recipe()  # refuses what no fit could have used
    if isinstance(estimator, ANNClassifier):
        layers = estimator.hidden_layers
        if len(layers) > _MOST_LAYERS or max(layers) > _MOST_UNITS:
            raise ValueError(f"hidden_layers={layers!r}: at most 16 of at most 4096 units")
    elif estimator.network not in NETWORKS:
        raise ValueError(f"network={estimator.network!r} is not one of {', '.join(NETWORKS)}")
