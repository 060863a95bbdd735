"""A network learns from larger ones: Hinton, Vinyals & Dean, "Distilling the Knowledge" (2015)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.utils.validation import check_is_fitted

from digitflow.errors import UsageError
from digitflow.learning.losses import Accuracy, SmoothedCrossentropy

#: What the logits of teachers and student are divided by before they are compared.
TEMPERATURE = 4.0
#: The share of the loss that comes from the teachers; the labels give the rest.
TEACHERS_SHARE = 0.9


def networks_of(
    teachers: Sequence[Any], classes: np.ndarray, student: keras.Model
) -> list[keras.Model]:
    """Return the networks of fitted classifiers, if a student can learn from them.

    Raises
    ------
    UsageError
        If one knows other classes than the student is to learn, or takes other images.
    sklearn.exceptions.NotFittedError
        If one is not fitted.
    """
    for teacher in teachers:
        check_is_fitted(teacher, "network_")
        if not np.array_equal(teacher.classes_, classes):
            raise UsageError(
                f"teachers: one knows the classes {teacher.classes_[:10].tolist()}, but y has "
                f"{classes[:10].tolist()}; a teacher must know the same"
            )
        if teacher.network_.input_shape != student.input_shape:
            raise UsageError(
                f"teachers: one takes images of {teacher.network_.input_shape[1:]}, but the "
                f"network of {student.input_shape[1:]}; they must be the same"
            )
    return [teacher.network_ for teacher in teachers]


def beside_teachers(
    images: keras.KerasTensor, student: keras.Model, teachers: Sequence[keras.Model]
) -> keras.KerasTensor:
    """Return what a student and its teachers say of the same images, for `DistillationLoss`.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 1)
    student : keras.Model
    teachers : sequence of keras.Model
        Each with a layer named `logits`, and the student's classes. Copies of them are used.

    Returns
    -------
    KerasTensor of shape (n, 2 * n_classes)
        The student's probabilities, then the mean of the teachers' softened ones.
    """
    taught = [_softened_answers(teacher)(images, training=False) for teacher in teachers]
    targets = keras.layers.Average()(taught) if len(taught) > 1 else taught[0]
    return keras.layers.Concatenate(dtype="float32")([student(images), targets])


@keras.saving.register_keras_serializable("digitflow")
class DistillationLoss(SmoothedCrossentropy):
    """The cross-entropy of the labels, and the distance to the teachers' answers."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, from labels (n,) and what `beside_teachers` gave."""
        probabilities, targets = ops.split(y_pred, 2, axis=-1)
        # The logarithm of the probabilities is the logits, but for a number that softmax ignores.
        logits = ops.log(ops.maximum(probabilities, keras.config.epsilon()))
        distance = keras.losses.kl_divergence(targets, ops.softmax(logits / TEMPERATURE))
        labels = super().call(y_true, probabilities)
        # The square makes up for the gradients that the temperature makes smaller.
        taught = TEACHERS_SHARE * TEMPERATURE**2 * distance
        return (1 - TEACHERS_SHARE) * labels + taught


@keras.saving.register_keras_serializable("digitflow")
class StudentAccuracy(Accuracy):
    """The share of images that the student reads rightly, whatever its teachers say."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count labels (n,) against what `beside_teachers` gave."""
        super().update_state(y_true, ops.split(y_pred, 2, axis=-1)[0], sample_weight)


def _softened_answers(teacher: keras.Model) -> keras.Model:
    """Return a copy of a network that gives its softened probabilities and does not learn."""
    copy = keras.models.clone_model(teacher)
    copy.set_weights(teacher.get_weights())
    copy.trainable = False
    softer = keras.layers.Rescaling(1 / TEMPERATURE)(copy.get_layer("logits").output)
    return keras.Model(copy.input, keras.layers.Softmax(dtype="float32")(softer))
