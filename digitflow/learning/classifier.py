"""What the classifiers share: scikit-learn's interface around a Keras network."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from digitflow.errors import UsageError
from digitflow.learning import inputs, labels
from digitflow.learning.augmentation import Augmentation
from digitflow.learning.callbacks import ProgressBar, ScikitLearnCallbacks, check_callbacks
from digitflow.learning.checkpoints import check_checkpoint, check_names, name_of, run_resumable
from digitflow.learning.distillation import networks_of
from digitflow.learning.examples import Examples, hold_out
from digitflow.learning.fitting import (
    Training,
    callbacks_of,
    compile_training,
    join_histories,
    run_training,
    take_weights,
    training_environment,
)
from digitflow.learning.inputs import check_flag, check_number
from digitflow.learning.network_holder import History, NetworkHolder
from digitflow.learning.network_parts import check_network
from digitflow.learning.recipes import Recipe

_PREDICT_BATCH = 1000  # images; larger ones are no faster and take more memory
_VALIDATION_FRACTION = 0.1  # where early stopping needs images to watch, and none are given

# Hyper-parameters that change nothing in what a fit gives.
_OTHERS = {"callbacks", "checkpoint", "device", "verbose"}


class NetworkClassifier(ClassifierMixin, CallbackSupportMixin, NetworkHolder):
    """A network as a scikit-learn classifier: all but the network and the defaults."""

    #: Flat rows are images in any case, and every image is brought to 28x28.
    _takes_images_only: bool

    augmentation: Augmentation | None
    validation_fraction: float | None
    class_weight: Mapping[Any, float] | str | None
    warm_start: bool
    checkpoint: str | Path | None
    callbacks: Sequence[keras.callbacks.Callback] | None
    device: str
    random_state: int | np.random.RandomState | None
    verbose: int

    input_form_: inputs.InputForm
    _partial_told: dict[str, str]  # hyper-parameters of the call of partial_fit before

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        groups: Any = None,
        outliers: Any = None,
        teachers: Sequence["NetworkClassifier"] = (),
    ) -> Self:
        """Fit a network: a new one, or with `warm_start` the one there is.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, 1) or (n, n_features)
            Images, ink bright on black, 0..255 or 0..1.
        y : array-like of shape (n,)
            Class of each image: integers or strings.
        sample_weight : array-like of shape (n,), optional
            Weight of each image in the loss; it is not modified. Images of weight 0 are left out.
        X_val, y_val, sample_weight_val : array-like, optional
            Images, labels and weights that are measured after each epoch, and not learned from.
            In a `Pipeline`, name `X_val` in its `transform_input`, and they pass through it too.
        groups : array-like of shape (n,), optional
            Who wrote each image: `validation_fraction` and early stopping then hold whole writers
            out.
        outliers : array-like, optional
            Images, as `X`, that show none of the classes: of such the network learns to be unsure,
            giving each class the same probability.
        teachers : sequence of fitted classifiers
            The network learns their answers to the augmented images too; see `distillation`.

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
        recipe, seed = self.recipe(), self._seed()
        context = self._init_callback_context(max_subtasks=recipe.epochs)
        told = {"X": X, "y": y}
        context.call_on_fit_task_begin(estimator=self, **told)
        with self._unchanged_on_failure():
            former = getattr(self, "network_", None) if self.warm_start else None
            examples = self._read_examples(X, y, sample_weight, reset=former is None)
            if len(np.unique(examples.weighing().codes)) < 2:
                raise UsageError("y: one class only has weights above 0; a classifier needs two")
            validation = self._read_validation(X_val, y_val, sample_weight_val)
            fraction = None if validation is not None else self._fraction(recipe)
            examples, held_out = hold_out(examples, groups, fraction, seed)
            if outliers is not None:
                examples = examples.with_outliers(self._read_images(outliers))
            with training_environment(seed, self.precision, self.device):
                network = self._start_network(former)
                reports = ScikitLearnCallbacks(self, context, told, {"network_": network})
                known = networks_of(teachers, self.classes_, network)
                model = compile_training(network, recipe, len(examples), known)
                history = self._train(
                    Training(
                        model,
                        examples,
                        validation or held_out,
                        recipe,
                        [*self._callbacks(), reports],
                        seed,
                    ),
                    known,
                )
            self._keep(network, join_histories(self.history_ if former else {}, history))
        context.call_on_fit_task_end(estimator=self, **told, reconstruction_attributes=vars(self))
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one pass over these images, from where the last call ended.

        The learning rate is constant, since nobody knows how many calls will come. Pickling
        keeps the network, but not what the optimiser remembers of the calls before; nor does a
        change of hyper-parameters between two calls.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, 1) or (n, n_features)
        y : array-like of shape (n,)
        classes : array-like of shape (n_classes,)
            All classes that will ever come; the first call needs them.
        sample_weight : array-like of shape (n,), optional
            As in `fit`: what counts is their ratio among the images of one call.

        Returns
        -------
        self

        Raises
        ------
        UsageError
            As `fit`, or if the first call names no classes, or later ones name others.
        """
        recipe = replace(self.recipe(), epochs=1, schedule="constant", early_stopping=False)
        seed = self._seed()
        if self.class_weight == "balanced":
            raise UsageError(
                "class_weight='balanced': no part tells how frequent a class is in all parts; "
                "give a dict of class to weight"
            )
        with self._unchanged_on_failure():
            former = getattr(self, "network_", None)
            classes = labels.agree_on_classes(classes, getattr(self, "classes_", None))
            reset = former is None
            examples = self._read_examples(X, y, sample_weight, reset, classes).weighing()
            with training_environment(seed, self.precision, self.device):
                told = self._told()
                model = getattr(self, "_partial_model", None)
                if model is None or told != self._partial_told:
                    model = compile_training(self._start_network(former), recipe, len(examples))
                before = self.history_ if former else {}
                training = Training(model, examples, None, recipe, self._callbacks(), seed)
                history = run_training(training, epochs_before=len(before.get("loss", ())))
            self._keep(model.layers[-1], join_histories(before, history))
            self._partial_model, self._partial_told = model, told
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, 1) or (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes), float64
            Columns in the order of `classes_`; rows sum to 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        UsageError
            If the images cannot be used (a `ValueError`).
        """
        check_is_fitted(self, "network_")
        images = self._read_images(X)
        batches = (
            images[start : start + _PREDICT_BATCH]
            for start in range(0, len(images), _PREDICT_BATCH)
        )
        # Called directly, because `predict` compiles a function for each new network.
        found = [self.network_(batch, training=False) for batch in batches]
        probabilities = np.concatenate([keras.ops.convert_to_numpy(part) for part in found])
        # In float64, for scikit-learn warns of sums that are 1 in float32 only.
        probabilities = probabilities.astype(np.float64)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each image, ndarray of shape (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _default_recipe(self) -> Recipe:
        """Return the recipe whose values stand where a hyper-parameter is None."""
        raise NotImplementedError

    def recipe(self) -> Recipe:
        """Return the hyper-parameters of the training, after checking all there are."""
        names = [field.name for field in fields(Recipe)]
        told = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        recipe = replace(self._default_recipe(), **told)
        recipe.check()
        if self.validation_fraction is not None:
            check_number("validation_fraction", self.validation_fraction, Real, 1e-9, 0.5)
        check_flag("warm_start", self.warm_start)
        if not isinstance(self.verbose, bool):
            check_number("verbose", self.verbose, Integral, 0)
        check_callbacks(self.callbacks)
        if self.checkpoint is not None:
            check_checkpoint(self.checkpoint, self.random_state)
            check_names(self.get_params(deep=False))
        return recipe

    def _seed(self) -> int:
        """Return the seed of this fit; with no `random_state`, one that numpy draws."""
        if isinstance(self.random_state, np.random.RandomState | None):
            return int(check_random_state(self.random_state).randint(2**31))
        check_number("random_state", self.random_state, Integral, 0, 2**32 - 1)
        return int(self.random_state)

    def _read_examples(
        self, X: Any, y: Any, sample_weight: Any, reset: bool, classes: Any = None
    ) -> Examples:
        """Return what the network trains on; with `reset`, learn form and classes from it."""
        image_shape = None
        if reset:
            rows, image_shape = inputs.flatten(X)
        else:
            rows = inputs.flatten_alike(X, self.input_form_)
        rows, y = validate_data(self, rows, y, reset=reset)
        if reset:
            self.classes_ = labels.learn_classes(y) if classes is None else classes
            self.input_form_ = inputs.learn_form(rows, image_shape, self._takes_images_only)
        return self._examples(rows, y, sample_weight, self.class_weight, "y")

    def _read_images(self, X: Any) -> np.ndarray:
        """Return images as the network takes them, held to the form of the training images."""
        rows = validate_data(self, inputs.flatten_alike(X, self.input_form_), reset=False)
        return inputs.to_network(rows, self.input_form_)

    def _read_validation(self, X: Any, y: Any, sample_weight: Any) -> Examples | None:
        if X is None and y is None:
            return None
        if X is None or y is None:
            raise UsageError("X_val and y_val belong together; give both or neither")
        rows = inputs.flatten_alike(X, self.input_form_)
        rows, y = validate_data(self, rows, y, reset=False)
        return self._examples(rows, y, sample_weight, None, "y_val").weighing()

    def _examples(
        self, rows: np.ndarray, y: np.ndarray, sample_weight: Any, class_weight: Any, name: str
    ) -> Examples:
        codes = labels.encode(y, self.classes_, name)
        weights = labels.weights_of(sample_weight, class_weight, y, self.classes_)
        return Examples(inputs.to_network(rows, self.input_form_), codes, weights)

    def _start_network(self, former: keras.Model | None) -> keras.Model:
        """Return the network to train, with the weights of the former one if there is."""
        shape = self.input_form_.network_shape
        if shape is None and self.recipe().augmentation.is_on():
            raise UsageError(
                "augmentation: X has features, not images, which cannot be moved or turned; give "
                "images as (n, height, width), or augmentation=Augmentation()"
            )
        network = self.build_network(len(self.classes_))
        if callable(getattr(self, "network", None)):
            check_network(network, shape or (), len(self.classes_), f"network={self.network!r}")
        if former is not None:
            take_weights(network, former)
        return network

    def _fraction(self, recipe: Recipe) -> float | None:
        """Return the share of the images to hold out, where none are given to validate with."""
        if self.validation_fraction is None and recipe.early_stopping:
            return _VALIDATION_FRACTION
        return self.validation_fraction

    def _train(self, training: Training, teachers: Sequence[keras.Model]) -> History:
        """Train and return the history; a checkpoint is kept where asked for."""
        watched = callbacks_of(training.recipe, training.validation is not None)
        training = replace(training, callbacks=[*watched, *training.callbacks])
        if self.checkpoint is None:
            return run_training(training)
        return run_resumable(Path(self.checkpoint), training, watched, teachers, self._told())

    def _told(self) -> dict[str, str]:
        """Return the hyper-parameters that decide what a fit gives, as texts that tell them."""
        parameters = self.get_params(deep=False)
        return {key: name_of(value) for key, value in parameters.items() if key not in _OTHERS}

    def _callbacks(self) -> list[keras.callbacks.Callback]:
        progress = [ProgressBar()] if self.verbose else []
        return [*progress, *(self.callbacks or [])]

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that images need not be flat."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
