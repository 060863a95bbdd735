"""From a fitted estimator to the model files of a bundle."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from digitflow.console import native_chatter_hidden
from digitflow.files import as_output_error, write_bytes
from digitflow.learning.descriptions import Estimator, weights_of
from digitflow.learning.inputs import images_for_network
from digitflow.models.bundle import GOLDEN, KERAS, TFLITE_FILES, WEIGHTS
from digitflow.models.tflite import TFLiteNetwork, softmax

#: Training images whose activations set the ranges of the int8 network.
N_REPRESENTATIVE = 500


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

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    write_bytes(folder / WEIGHTS, weights_of(estimator))
    with as_output_error(folder / KERAS):
        estimator.network_.save(folder / KERAS)
    chosen = np.linspace(0, len(training_images) - 1, N_REPRESENTATIVE).astype(int)
    representative = images_for_network(training_images[np.unique(chosen)])
    for kind, file in TFLITE_FILES.items():
        write_bytes(folder / file, _convert(estimator.network_, kind, representative))


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

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    probabilities: dict[str, Any] = {}
    for kind, file in TFLITE_FILES.items():
        logits = TFLiteNetwork((folder / file).read_bytes(), n_classes).logits(images)
        probabilities[kind] = softmax(logits / np.float32(temperature))
    with as_output_error(folder / GOLDEN):
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
