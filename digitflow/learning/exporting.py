"""From a fitted estimator to the files of a bundle, and back."""

import itertools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy
import tensorflow as tf

from digitflow.console import native_chatter_hidden
from digitflow.errors import BundleError
from digitflow.learning.estimators import ANNClassifier, CNNClassifier
from digitflow.learning.inputs import IMAGE_SIZE, images_for_network
from digitflow.learning.networks import NETWORKS
from digitflow.models.bundle import GOLDEN, KERAS, TFLITE_FILES, WEIGHTS, load_bundle
from digitflow.models.registry import find_model
from digitflow.models.tflite import TFLiteNetwork, softmax

Estimator = CNNClassifier | ANNClassifier

_ESTIMATORS: dict[str, type[Estimator]] = {
    "CNNClassifier": CNNClassifier,
    "ANNClassifier": ANNClassifier,
}
_MOST_LAYERS = 16
_MOST_UNITS = 4096

#: Training images whose activations set the ranges of the int8 network.
N_REPRESENTATIVE = 500


def describe_estimator(estimator: Estimator) -> dict[str, Any]:
    """Return class, hyper-parameters and classes as plain JSON values."""
    # What belongs to one fit, not to the network that came of it.
    of_the_fit = {"callbacks", "verbose"}
    parameters = {k: v for k, v in estimator.get_params().items() if k not in of_the_fit}
    return {
        "class": type(estimator).__name__,
        "parameters": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in parameters.items()
        },
        "classes": estimator.classes_.tolist(),
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
        estimator = _ESTIMATORS[description["class"]](**description["parameters"])
        _check_bounds(estimator)
        estimator.classes_ = np.asarray(description["classes"])
        tensors = safetensors.numpy.load(weights)
        _check_size(estimator, len(weights))
        network = estimator.build_network(len(estimator.classes_))
        network.set_weights([tensors[name] for name in _weight_names(network)])
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise BundleError(f"the estimator cannot be rebuilt ({error})") from error
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise BundleError("the weights are not all finite numbers; the training went wrong")
    estimator.network_ = network
    estimator.n_features_in_ = int(np.prod(network.input_shape[1:]))
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


def weights_of(estimator: Estimator) -> bytes:
    """Return the network's weights as a safetensors file."""
    network = estimator.network_
    return safetensors.numpy.save(
        dict(zip(_weight_names(network), network.get_weights(), strict=True))
    )


def write_model_files(estimator: Estimator, folder: Path, training_images: np.ndarray) -> None:
    """Write weights, `model.keras` and the TFLite files into a folder.

    Parameters
    ----------
    estimator : CNNClassifier or ANNClassifier
        Fitted.
    folder : Path
        Must exist.
    training_images : ndarray of shape (n, 28, 28), uint8
        Some of them show the converter the ranges of the int8 network.
    """
    (folder / WEIGHTS).write_bytes(weights_of(estimator))
    estimator.network_.save(folder / KERAS)
    chosen = np.linspace(0, len(training_images) - 1, N_REPRESENTATIVE).astype(int)
    representative = images_for_network(training_images[np.unique(chosen)])
    for kind, file in TFLITE_FILES.items():
        (folder / file).write_bytes(_convert(estimator.network_, kind, representative))


def write_golden(folder: Path, images: np.ndarray, n_classes: int, temperature: float) -> None:
    """Keep images with the probabilities that each TFLite file in the folder gives for them.

    Parameters
    ----------
    folder : Path
        Where the TFLite files are.
    images : ndarray of shape (n, 28, 28), uint8
        A few of each class, at most 64.
    n_classes : int
    temperature : float
        The bundle's.
    """
    probabilities: dict[str, Any] = {}
    for kind, file in TFLITE_FILES.items():
        logits = TFLiteNetwork((folder / file).read_bytes(), n_classes).logits(images)
        probabilities[kind] = softmax(logits / np.float32(temperature))
    np.savez_compressed(folder / GOLDEN, images=images, **probabilities)


def compare_tflite(
    folder: Path, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> dict[str, dict[str, float]]:
    """Run each TFLite file on images that Keras has read, and return the differences.

    Parameters
    ----------
    folder : Path
        Where the TFLite files are.
    images : ndarray of shape (n, 28, 28), uint8
    labels : ndarray of shape (n,), int
        True classes, as column numbers.
    probabilities : ndarray of shape (n, n_classes), float32
        What Keras gave, before any temperature.

    Returns
    -------
    dict
        By file: `accuracy`, `changed` (predictions that differ from Keras'), `lost` (correct ones
        fewer than Keras'), `largest_difference` (of a probability), `size` (bytes).
    """
    keras_correct = int((probabilities.argmax(axis=1) == labels).sum())
    differences = {}
    for file in TFLITE_FILES.values():
        content = (folder / file).read_bytes()
        found = softmax(TFLiteNetwork(content, probabilities.shape[1]).logits(images))
        predicted = found.argmax(axis=1)
        differences[file] = {
            "accuracy": float((predicted == labels).mean()),
            "changed": int((predicted != probabilities.argmax(axis=1)).sum()),
            "lost": keras_correct - int((predicted == labels).sum()),
            "largest_difference": float(np.abs(found - probabilities).max()),
            "size": len(content),
        }
    return differences


def _convert(network: keras.Model, kind: str, representative: np.ndarray) -> bytes:
    """Return a TFLite file that ends at the logits: int8 probabilities would be too coarse."""
    logits = keras.Model(network.input, network.get_layer("logits").output)
    converter = tf.lite.TFLiteConverter.from_keras_model(logits)
    # Without the fallback to TensorFlow's own operations, what LiteRT cannot run fails here.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _one_by_one(representative)
    with native_chatter_hidden(), warnings.catch_warnings():
        # Input and output stay float32 on purpose: callers need not know the ranges.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        return bytes(converter.convert())


def _one_by_one(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for image in images:
        yield [image[np.newaxis]]


def _weight_names(network: keras.Model) -> list[str]:
    """Return a name for each weight, distinct even where a layer was named twice."""
    return [f"{number:03d}/{weight.path}" for number, weight in enumerate(network.weights)]


def _check_size(estimator: Estimator, n_bytes: int) -> None:
    """Refuse a description whose network would be larger than the weights that came with it."""
    n_classes = len(estimator.classes_)
    widths = [n_classes]
    if isinstance(estimator, ANNClassifier):
        widths = [IMAGE_SIZE**2, *estimator.hidden_layers, n_classes]
    n_weights = sum(before * after for before, after in itertools.pairwise([1, *widths]))
    if 4 * n_weights > n_bytes:
        raise ValueError(f"{n_classes} classes need more weights than the {n_bytes} bytes given")


def _check_bounds(estimator: Estimator) -> None:
    estimator._check_parameters()
    if isinstance(estimator, ANNClassifier):
        layers = estimator.hidden_layers
        if len(layers) > _MOST_LAYERS or max(layers) > _MOST_UNITS:
            raise ValueError(f"hidden_layers={layers!r}: at most 16 of at most 4096 units")
    elif estimator.network not in NETWORKS:
        raise ValueError(f"network={estimator.network!r} is not one of {', '.join(NETWORKS)}")
