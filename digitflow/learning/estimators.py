"""Digit classifiers that are ordinary scikit-learn estimators.

scikeras builds and fits behind them, by composition: its own `KerasClassifier` is not taken for a
classifier by scikit-learn 1.7 and later, and has no explicit hyper-parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Self

import keras
import numpy as np
from scikeras.wrappers import KerasClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from digitflow.errors import TrainingError, UsageError
from digitflow.learning.augmentation import RandomShift
from digitflow.learning.inputs import (
    IMAGE_SIZE,
    check_number,
    check_sample_weight,
    encode_labels,
    images_for_network,
)
from digitflow.learning.losses import SmoothedCrossentropy
from digitflow.learning.networks import ann, network_by_name
from digitflow.learning.progress import ProgressBar
from digitflow.learning.schedules import one_cycle

_PREDICT_BATCH = 1000  # images; larger ones are no faster and take more memory


class _ImageClassifier(ClassifierMixin, BaseEstimator):
    """What the classifiers share: all but the network and the defaults."""

    network: str | Callable[..., keras.Model]
    epochs: int
    batch_size: int
    learning_rate: float
    label_smoothing: float
    shift: int
    callbacks: Sequence[keras.callbacks.Callback] | None
    random_state: int | None
    verbose: int

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation_data: tuple[Any, Any] | None = None,
    ) -> Self:
        """Fit a new network.

        Parameters
        ----------
        X : array-like of shape (n, 28, 28), (n, 28, 28, 1) or (n, 784)
            Images, ink bright on black; integers 0..255, or floats 0..1 or 0..255.
        y : array-like of shape (n,)
            Class of each image: integers or strings.
        sample_weight : array-like of shape (n,), optional
            Weight of each image in the loss; it is not modified.
        validation_data : tuple of X and y, optional
            Images and labels that are measured after each epoch, and not learned from.

        Returns
        -------
        self

        Raises
        ------
        UsageError
            If a hyper-parameter, an image or a label cannot be used (a `ValueError`).
        TrainingError
            If the loss stops being a number.
        """
        self._check_parameters()
        images = images_for_network(X)
        classes, codes = encode_labels(y, len(images))
        steps = self.epochs * -(-len(images) // self.batch_size)
        classifier = KerasClassifier(
            model=lambda: self._training_model(len(classes), steps),
            epochs=self.epochs,
            batch_size=self.batch_size,
            callbacks=self._all_callbacks(),
            fit__validation_data=_encode_validation(validation_data, classes),
            random_state=None if self.random_state is None else int(self.random_state),
            verbose=0,
        )
        weights = check_sample_weight(sample_weight, len(images))
        try:
            classifier.fit(images, codes, sample_weight=weights)
        except RuntimeError as error:
            if "NaN or Inf loss" not in str(error):
                raise
            raise TrainingError(
                f"the loss stopped being a number with learning_rate={self.learning_rate:g}; "
                "use a smaller one"
            ) from error
        # Only now: a fit that fails leaves an estimator as it was.
        self.classes_ = classes
        self.n_features_in_ = IMAGE_SIZE**2
        self.keras_classifier_ = classifier
        self.network_ = classifier.model_.layers[-1]
        self.history_ = _plain_history(classifier.history_)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, 28, 28), (n, 28, 28, 1) or (n, 784)

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            Columns in the order of `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        UsageError
            If the images cannot be used (a `ValueError`).
        """
        check_is_fitted(self, "network_")
        images = images_for_network(X)
        return self.network_.predict(images, batch_size=_PREDICT_BATCH, verbose=0)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each image, ndarray of shape (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def build_network(self, n_classes: int) -> keras.Model:
        """Return a new network with these hyper-parameters, its weights random."""
        network = self.network
        build = network_by_name(network) if isinstance(network, str) else network
        return build(n_classes)

    def _training_model(self, n_classes: int, steps: int) -> keras.Model:
        """Return a new network behind its augmentation, ready for scikeras to fit."""
        network = self.build_network(n_classes)
        image = keras.Input(network.input_shape[1:])
        model = keras.Sequential([image, RandomShift(self.shift), network])
        model.compile(
            optimizer=keras.optimizers.Adam(one_cycle(self.learning_rate, steps)),
            loss=SmoothedCrossentropy(self.label_smoothing),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return model

    def _all_callbacks(self) -> list[keras.callbacks.Callback]:
        progress = [ProgressBar()] if self.verbose else []
        own = [keras.callbacks.TerminateOnNaN(raise_error=True), *progress]
        return [*own, *(self.callbacks or [])]

    def _check_parameters(self) -> None:
        """Refuse hyper-parameters that no fit can use, by name and value."""
        check_number("epochs", self.epochs, Integral, 1)
        check_number("batch_size", self.batch_size, Integral, 1)
        check_number("learning_rate", self.learning_rate, Real, 1e-12)
        check_number("label_smoothing", self.label_smoothing, Real, 0, 0.99)
        check_number("shift", self.shift, Integral, 0, IMAGE_SIZE - 1)
        if self.random_state is not None:
            check_number("random_state", self.random_state, Integral, 0, 2**32 - 1)
        if not isinstance(self.callbacks, Sequence | None):
            raise UsageError(f"callbacks={self.callbacks!r}: must be a list of Keras callbacks")

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: the network as plain arrays, the optimiser left out."""
        state = dict(super().__getstate__())
        state.pop("keras_classifier_", None)
        network = state.pop("network_", None)
        if network is not None:
            state["_weights"] = network.get_weights()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the network from its arrays."""
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self.network_ = self.build_network(len(self.classes_))
            self.network_.set_weights(weights)


class CNNClassifier(_ImageClassifier):
    """Convolutional network as a scikit-learn classifier.

    Parameters
    ----------
    network : str or callable
        A name in `digitflow.learning.networks.NETWORKS`, or a function of the number of classes
        that returns an uncompiled Keras model of (28, 28, 1) images whose last two layers are
        named `logits` and `probabilities`.
    epochs : int
        Passes over the training data.
    batch_size : int
        Images per step.
    learning_rate : float
        Peak of the one-cycle schedule of Adam.
    label_smoothing : float
        Share of each label spread over all classes, 0 to 0.99.
    shift : int
        Training images are moved by up to so many pixels in each direction.
    callbacks : sequence of keras.callbacks.Callback or None
        Called during the fit.
    random_state : int or None
        Seed of weights, order and augmentation.
    verbose : int
        0 is quiet; otherwise a progress bar where the output is a terminal.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels seen in `fit`, sorted.
    network_ : keras.Model
        The fitted network: images in 0..1, (n, 28, 28, 1), to probabilities.
    history_ : dict of str to list of float
        Loss and accuracy of each epoch; `val_...` where validation data was given.
    n_features_in_ : int
        Pixels per image, 784.

    Examples
    --------
    >>> from digitflow import CNNClassifier, load_dataset
    >>> train, test = load_dataset("digits"), load_dataset("digits", split="test")
    >>> classifier = CNNClassifier(epochs=20, random_state=0).fit(train.images, train.labels)
    >>> classifier.score(test.images, test.labels)  # doctest: +SKIP
    0.96
    """

    def __init__(
        self,
        network: str | Callable[..., keras.Model] = "fast",
        *,
        epochs: int = 5,
        batch_size: int = 256,
        learning_rate: float = 0.008,
        label_smoothing: float = 0.1,
        shift: int = 2,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.label_smoothing = label_smoothing
        self.shift = shift
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose


class ANNClassifier(_ImageClassifier):
    """Network of dense layers as a scikit-learn classifier.

    Parameters
    ----------
    hidden_layers : sequence of int
        Units of each hidden layer, first to last.
    dropout : float
        Share of units dropped after each hidden layer, in training.
    epochs, batch_size, learning_rate, label_smoothing, shift, callbacks, random_state, verbose
        As in `CNNClassifier`.

    Attributes
    ----------
    classes_, network_, history_, n_features_in_
        As in `CNNClassifier`.
    """

    def __init__(
        self,
        hidden_layers: Sequence[int] = (512, 256),
        dropout: float = 0.2,
        *,
        epochs: int = 15,
        batch_size: int = 256,
        learning_rate: float = 0.008,
        label_smoothing: float = 0.1,
        shift: int = 1,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layers = hidden_layers
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.label_smoothing = label_smoothing
        self.shift = shift
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def build_network(self, n_classes: int) -> keras.Model:
        """Return a new network with these hyper-parameters, its weights random."""
        return ann(n_classes, hidden_layers=self.hidden_layers, dropout=self.dropout)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("dropout", self.dropout, Real, 0, 0.99)
        if not isinstance(self.hidden_layers, Sequence) or not self.hidden_layers:
            raise UsageError(
                f"hidden_layers={self.hidden_layers!r}: must be a tuple of units, one a layer"
            )
        for units in self.hidden_layers:
            check_number("hidden_layers", units, Integral, 1)


def _encode_validation(
    data: tuple[Any, Any] | None, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return validation images and labels, the labels as indices into the training classes."""
    if data is None:
        return None
    images, labels = images_for_network(data[0]), np.asarray(data[1])
    unknown = np.setdiff1d(labels, classes)
    if labels.shape != (len(images),) or len(unknown):
        raise UsageError(
            f"validation_data has labels of shape {labels.shape}, unknown ones {unknown[:3]}; "
            f"there must be one of the training classes for each of {len(images)} images"
        )
    return images, np.searchsorted(classes, labels)


def _plain_history(history: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return loss and accuracy by epoch; scikeras names the training accuracy after its class."""
    names = {"sparse_categorical_accuracy": "accuracy"}
    return {names.get(name, name): list(map(float, values)) for name, values in history.items()}
