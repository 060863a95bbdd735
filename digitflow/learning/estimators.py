"""Digit classifiers that are ordinary scikit-learn estimators.

scikeras builds and fits behind them, by composition: its own `KerasClassifier` is not taken for a
classifier by scikit-learn 1.7 and later, and has no explicit hyper-parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digitflow.errors import UsageError
from digitflow.learning.augmentation import Augmentation
from digitflow.learning.classifier import NetworkClassifier
from digitflow.learning.dense_networks import DENSE, ann
from digitflow.learning.inputs import check_flag, check_number
from digitflow.learning.networks import network_by_name
from digitflow.learning.recipes import Recipe, recipe_of
from digitflow.learning.schedules import Schedule


class CNNClassifier(NetworkClassifier):
    """Convolutional network as a scikit-learn classifier of images.

    Images of another size than 28x28 are resampled to it. Where a hyper-parameter is None, the
    network's recipe in `digitflow.learning.recipes` has the value.

    Parameters
    ----------
    network : str or callable
        `fast`, `accurate`, `tiny`, or one of tutorials: `conv1`, `conv2`, `conv5`, `conv6`; or a
        function of the number of classes that returns an uncompiled Keras model of (28, 28, 1)
        images whose last two layers are named `logits` and `probabilities`. A function is trained
        by the recipe of `fast`.
    epochs : int, optional
        Passes over the training data.
    batch_size : int, optional
        Images per step.
    learning_rate : float, optional
        The highest.
    optimizer : {"adam", "adamw", "muon", "sgd"} or callable, optional
        `sgd` has a momentum of 0.9; `muon` is that of `digitflow.learning.optimizers`. A function
        gets the learning rate, a number or a Keras schedule, and returns a Keras optimizer.
    schedule : {"constant", "one_cycle", "cosine", "plateau"} or callable, optional
        How the learning rate changes. `plateau` halves it after 5 epochs without progress, down
        to 1e-4. A function gets the highest rate and the number of steps, and returns a Keras
        schedule.
    label_smoothing : float, optional
        Share of each label spread over all classes, 0 to 0.99.
    augmentation : Augmentation, optional
        What is done to training images; `Augmentation()` does nothing.
    early_stopping : bool, optional
        End when the loss on the validation images has not fallen for `n_iter_no_change` epochs,
        and take the weights of the best epoch.
    n_iter_no_change : int, optional
        Epochs.
    validation_fraction : float, optional
        Share of the training images to hold out for validation, above 0 and at most a half; by
        default none, or 0.1 for early stopping. Not used where `fit` is given validation images.
    class_weight : dict of class to float, "balanced", or None
        Weight of each class in the loss.
    warm_start : bool
        Whether `fit` goes on from the weights of the fit before.
    checkpoint : path, optional
        A file that keeps the state after each epoch; `fit` goes on from it where a fit of the
        same data and hyper-parameters was killed, and deletes it when done.
    callbacks : sequence of keras.callbacks.Callback, optional
        Called during the fit. scikit-learn's go to `set_callbacks`.
    precision : {"float32", "mixed_bfloat16", "mixed_float16"}
        Arithmetic of the training. Weights and predictions are float32 in each.
    device : {"auto", "cpu", "gpu"}
        Where to train.
    random_state : int, RandomState or None
        Seed of weights, order and augmentation. The same seed gives the same weights on the same
        machine.
    verbose : int
        0 is quiet; otherwise a progress bar where the output is a terminal.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels seen in `fit`, sorted.
    network_ : keras.Model
        The fitted network: images in 0..1, (n, 28, 28, 1), to probabilities.
    history_ : dict of str to list of float
        Loss and accuracy of each epoch, `val_...` on the validation images; it opens as a
        `pandas.DataFrame`.
    input_form_ : InputForm
        Size and range of the values of the training images, which all others are held to.
    n_features_in_ : int
        Pixels per image.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Where `X` was a data frame.

    Examples
    --------
    >>> from digitflow import CNNClassifier, load_dataset
    >>> train, test = load_dataset("digits"), load_dataset("digits", split="test")
    >>> classifier = CNNClassifier(epochs=20, random_state=0).fit(train.images, train.labels)
    >>> classifier.score(test.images, test.labels)  # doctest: +SKIP
    0.96
    """

    _takes_images_only = True

    def __init__(
        self,
        network: str | Callable[..., keras.Model] = "fast",
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        optimizer: str | Callable[..., keras.optimizers.Optimizer] | None = None,
        schedule: str | Schedule | None = None,
        label_smoothing: float | None = None,
        augmentation: Augmentation | None = None,
        early_stopping: bool | None = None,
        n_iter_no_change: int | None = None,
        validation_fraction: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        precision: str = "float32",
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.network = network
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.schedule = schedule
        self.label_smoothing = label_smoothing
        self.augmentation = augmentation
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def build_network(self, n_classes: int) -> keras.Model:
        """Return a new network with these hyper-parameters, its weights random."""
        return self._builder()(n_classes)

    def _builder(self) -> Callable[..., keras.Model]:
        if callable(self.network):
            return self.network
        if not isinstance(self.network, str):
            raise UsageError(
                f"network={self.network!r}: must be a name, or a function of the number of classes"
            )
        return network_by_name(self.network)

    def _default_recipe(self) -> Recipe:
        self._builder()  # refuses what is no network
        return recipe_of(self.network if isinstance(self.network, str) else "fast")


class ANNClassifier(NetworkClassifier):
    """Network of dense layers as a scikit-learn classifier, of images or of any features.

    Features that are no images are taken as they are: scale them, as for
    `sklearn.neural_network.MLPClassifier`.

    Parameters
    ----------
    hidden_layers : sequence of int
        Units of each hidden layer, first to last.
    dropout : float or sequence of float, optional
        Share of units dropped in training after each hidden layer: one number for all of them, or
        one for each; by default 0.5 after the last and 0.3 after the others.
    batch_norm : bool
        Whether batch normalisation stands before each ReLU.
    centred : bool
        Whether inputs of 0..1 are brought to -1..1, with which plain gradient descent gets along
        better.
    epochs, batch_size, learning_rate, optimizer, schedule, label_smoothing, augmentation, \
    early_stopping, n_iter_no_change, validation_fraction, class_weight, warm_start, \
    checkpoint, callbacks, precision, device, random_state, verbose
        As in `CNNClassifier`; where one is None, the recipe of `ann` has the value, which is
        that of many tutorials.

    Attributes
    ----------
    classes_, network_, history_, input_form_, n_features_in_, feature_names_in_
        As in `CNNClassifier`; the network takes images of any size, or (n, n_features).
    """

    _takes_images_only = False

    def __init__(
        self,
        hidden_layers: Sequence[int] = (256, 128),
        dropout: float | Sequence[float] | None = None,
        batch_norm: bool = False,
        centred: bool = False,
        *,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        optimizer: str | Callable[..., keras.optimizers.Optimizer] | None = None,
        schedule: str | Schedule | None = None,
        label_smoothing: float | None = None,
        augmentation: Augmentation | None = None,
        early_stopping: bool | None = None,
        n_iter_no_change: int | None = None,
        validation_fraction: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
        checkpoint: str | Path | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        precision: str = "float32",
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layers = hidden_layers
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.centred = centred
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.schedule = schedule
        self.label_smoothing = label_smoothing
        self.augmentation = augmentation
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def build_network(self, n_classes: int) -> keras.Model:
        """Return a new network with these hyper-parameters, its weights random."""
        return ann(
            n_classes,
            self.input_form_.network_shape or (self.n_features_in_,),
            hidden_layers=self.hidden_layers,
            dropout=self.dropout,
            batch_norm=self.batch_norm,
            centred=self.centred,
        )

    def _default_recipe(self) -> Recipe:
        return recipe_of("ann")

    def recipe(self) -> Recipe:
        is_sequence = isinstance(self.hidden_layers, Sequence | np.ndarray)
        if not is_sequence or isinstance(self.hidden_layers, str) or not len(self.hidden_layers):
            raise UsageError(
                f"hidden_layers={self.hidden_layers!r}: must be a tuple of units, one a layer"
            )
        for units in self.hidden_layers:
            check_number("hidden_layers", units, Integral, 1)
        if self.dropout is not None:
            for share in self.dropout if isinstance(self.dropout, Sequence) else [self.dropout]:
                check_number("dropout", share, Real, 0, 0.99)
        check_flag("batch_norm", self.batch_norm)
        check_flag("centred", self.centred)
        return super().recipe()


def make_classifier(name: str, **hyper_parameters: Any) -> CNNClassifier | ANNClassifier:
    """Return the classifier of a network's name, to be trained by that network's recipe.

    Parameters
    ----------
    name : str
        One of `digitflow.learning.networks.NETWORKS`.
    **hyper_parameters
        Instead of the recipe's; None leaves the recipe's value.

    Raises
    ------
    UsageError
        If there is no network of that name.
    """
    network_by_name(name)
    if name not in DENSE:
        return CNNClassifier(name, **hyper_parameters)
    recipe = vars(recipe_of(name)) if name != "ann" else {}
    told = {key: value for key, value in hyper_parameters.items() if value is not None}
    return ANNClassifier(**(DENSE[name] | recipe | told))
