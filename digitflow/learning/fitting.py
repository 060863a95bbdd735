"""One training by Keras, run by scikeras: a network, examples and a recipe in, weights out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import keras
import numpy as np
from scikeras.utils import random_state
from scikeras.wrappers import KerasClassifier
from sklearn.preprocessing import FunctionTransformer

from digitflow.errors import TrainingError, UsageError
from digitflow.learning.augmentation import RandomAugmentation
from digitflow.learning.batches import shuffled_batches
from digitflow.learning.distillation import DistillationLoss, StudentAccuracy, beside_teachers
from digitflow.learning.examples import Examples
from digitflow.learning.losses import Accuracy, SmoothedCrossentropy
from digitflow.learning.optimizers import make_optimizer
from digitflow.learning.recipes import Recipe
from digitflow.learning.schedules import make_schedule, plateau

#: Arithmetic to train in, as Keras names it; the weights are float32 in each.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
DEVICES = ("auto", "cpu", "gpu")

_VALIDATION_BATCH = 1000  # images

# scikeras asks whether operations were deterministic before it made them so, but after it set the
# variable that TensorFlow reads when it is first asked. Asked now, it remembers what was true.
random_state.config.is_op_determinism_enabled()


class _Engine(KerasClassifier):
    """scikeras, told that the labels are output numbers already, and in which order to train."""

    @property
    def target_encoder(self) -> FunctionTransformer:
        """Return what leaves the labels as they are.

        scikeras would number the classes that it meets, and a part of the data may lack some.
        """
        return FunctionTransformer()

    def _fit_keras_model(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None,
        warm_start: bool,
        epochs: int,
        initial_epoch: int,
    ) -> None:
        """Fit with the images in another order in each epoch."""
        examples = Examples(X, y, sample_weight)
        first = initial_epoch + self._epochs_before
        batches, n_batches = shuffled_batches(examples, self.batch_size, self.random_state, first)
        self.history_ = self.model_.fit(
            batches,
            steps_per_epoch=n_batches,
            shuffle=False,  # they are
            epochs=initial_epoch + epochs,
            initial_epoch=initial_epoch,
            callbacks=self._fit_callbacks,
            validation_data=self._validation,
            validation_batch_size=_VALIDATION_BATCH,
            verbose=0,
        ).history


@contextmanager
def training_environment(seed: int, precision: str, device: str) -> Iterator[None]:
    """Set seed, arithmetic and device for what is built and trained inside.

    Raises
    ------
    UsageError
        If precision or device are unknown, or there is no such device.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision={precision!r}: must be one of {', '.join(PRECISIONS)}")
    if device not in DEVICES:
        raise UsageError(f"device={device!r}: must be one of {', '.join(DEVICES)}")
    if device == "gpu" and not keras.distribution.list_devices("gpu"):
        raise UsageError("device='gpu': this machine shows no GPU; use 'auto' or 'cpu'")
    before = keras.config.dtype_policy()
    with ExitStack() as stack:
        stack.enter_context(random_state.tensorflow_random_state(seed))
        if device != "auto":
            stack.enter_context(keras.device(f"{device}:0"))
        stack.callback(keras.config.set_dtype_policy, before)
        keras.config.set_dtype_policy(precision)
        yield


def compile_training(
    network: keras.Model,
    recipe: Recipe,
    n_images: int,
    teachers: Sequence[keras.Model] = (),
) -> keras.Model:
    """Return the network behind its augmentation, compiled.

    Parameters
    ----------
    network : keras.Model
        Images to probabilities; it is trained in place.
    recipe : Recipe
    n_images : int
        So many are seen in an epoch, which sets the length of the schedule.
    teachers : sequence of keras.Model
        Networks whose answers are to be learned too.
    """
    steps = recipe.epochs * -(-n_images // recipe.batch_size)
    inputs = keras.Input(network.input_shape[1:])
    augmented = inputs
    if recipe.augmentation.is_on():
        augmented = RandomAugmentation(recipe.augmentation)(inputs)
    outputs = beside_teachers(augmented, network, teachers) if teachers else network(augmented)
    model = keras.Model(inputs, outputs)
    rate = make_schedule(recipe.schedule, recipe.learning_rate, steps)
    model.compile(
        optimizer=make_optimizer(recipe.optimizer, rate),
        loss=(DistillationLoss if teachers else SmoothedCrossentropy)(recipe.label_smoothing),
        metrics=[(StudentAccuracy if teachers else Accuracy)(name="accuracy")],
    )
    # To sum gradients over devices, of which there is one, Keras 3.15 makes TensorFlow register a
    # gradient that keeps the graph of each network for ever: 13 MB a fit.
    model.optimizer._all_reduce_sum_gradients = list
    # Otherwise the first step builds it, and TensorFlow traces the step twice.
    model.optimizer.build(model.trainable_variables)
    return model


@dataclass(frozen=True, eq=False)
class Training:
    """All that decides what a training gives."""

    model: keras.Model  # as `compile_training` returned it
    examples: Examples
    validation: Examples | None  # measured after each epoch
    recipe: Recipe
    callbacks: Sequence[keras.callbacks.Callback]
    seed: int  # of the order of the images


def run_training(
    training: Training, initial_epoch: int = 0, epochs_before: int = 0
) -> dict[str, list[float]]:
    """Train a compiled model and return its history, one value an epoch.

    Parameters
    ----------
    training : Training
    initial_epoch : int
        So many of the recipe's epochs are done already.
    epochs_before : int
        So many were done in fits before this one; it changes the order of the images.

    Raises
    ------
    TrainingError
        If the loss stops being a number.
    """
    recipe, validation = training.recipe, training.validation
    engine = _Engine(
        model=lambda: training.model,
        epochs=recipe.epochs - initial_epoch,
        batch_size=recipe.batch_size,
        callbacks=[keras.callbacks.TerminateOnNaN(raise_error=True), *training.callbacks],
        random_state=training.seed,
        verbose=0,
    )
    # With names that begin otherwise, scikeras would take them for arguments of `model`.
    engine._validation = None if validation is None else validation.normalised().arrays()
    engine._epochs_before = epochs_before
    try:
        engine.fit(*training.examples.normalised().arrays(), initial_epoch=initial_epoch)
    except RuntimeError as error:
        if "NaN or Inf loss" not in str(error):
            raise
        raise _no_number(recipe) from error
    # Keras looks at losses only, and the last step's weights have none.
    if not all(np.isfinite(weights).all() for weights in training.model.get_weights()):
        raise _no_number(recipe)
    return {name: list(map(float, values)) for name, values in engine.history_.items()}


def _no_number(recipe: Recipe) -> TrainingError:
    return TrainingError(
        f"the loss stopped being a number with learning_rate={recipe.learning_rate:g}; "
        "use a smaller one"
    )


def take_weights(network: keras.Model, former: keras.Model) -> None:
    """Copy the weights of a network into another of the same shapes.

    Raises
    ------
    UsageError
        If the shapes differ.
    """
    shapes = [[weight.shape for weight in each.weights] for each in (network, former)]
    if shapes[0] != shapes[1]:
        raise UsageError(
            "warm_start: the hyper-parameters ask for other weights than the network of the fit "
            "before has; fit a new estimator"
        )
    network.set_weights(former.get_weights())


def callbacks_of(recipe: Recipe, has_validation: bool) -> list[keras.callbacks.Callback]:
    """Return the callbacks that a recipe needs; they watch the validation images if there are."""
    monitor = "val_loss" if has_validation else "loss"
    callbacks: list[keras.callbacks.Callback] = []
    if recipe.schedule == "plateau":
        callbacks.append(plateau(monitor))
    if recipe.early_stopping:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor, patience=recipe.n_iter_no_change, restore_best_weights=True
            )
        )
    return callbacks


def join_histories(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]
) -> dict[str, list[float]]:
    """Return one history of two fits; what only one of them has is NaN in the other."""
    names = dict.fromkeys([*before, *after])
    lengths = [max(map(len, history.values()), default=0) for history in (before, after)]
    return {
        name: [
            *before.get(name, [np.nan] * lengths[0]),
            *after.get(name, [np.nan] * lengths[1]),
        ]
        for name in names
    }
