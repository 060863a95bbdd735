"""A network learns from larger ones: Hinton, Vinyals & Dean, "Distilling the Knowledge" (2015)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.utils.validation import check_is_fitted

from digitflow.errors import UsageError

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


def learn_from(
    images: keras.KerasTensor, student: keras.Model, teachers: Sequence[keras.Model]
) -> keras.KerasTensor:
    """Return the student's probabilities, with a loss attached that draws it to the teachers.

    Student and teachers see the same augmented images.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 1)
    student : keras.Model
    teachers : sequence of keras.Model
        Each with a layer named `logits`, and the student's classes. Copies of them are used.
    """
    logits = student.get_layer("logits").output
    student_logits, probabilities = keras.Model(student.input, [logits, student.output])(images)
    taught = [_frozen_logits(teacher)(images, training=False) for teacher in teachers]
    return DistillationLoss()([probabilities, student_logits, *taught])


@keras.saving.register_keras_serializable("digitflow")
class DistillationLoss(keras.layers.Layer):
    """Pass the student's probabilities on, and add the distance to the teachers' to the loss."""

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        """Take probabilities, logits and each teacher's logits, all (n, n_classes)."""
        probabilities, logits, *taught = (ops.cast(tensor, "float32") for tensor in inputs)
        if training:
            softened = [ops.softmax(teacher / TEMPERATURE) for teacher in taught]
            targets = sum(softened) / len(softened)
            distance = keras.losses.kl_divergence(targets, ops.softmax(logits / TEMPERATURE))
            # The square makes up for the gradients that the temperature makes smaller.
            self.add_loss(TEACHERS_SHARE * TEMPERATURE**2 * ops.mean(distance))
        return probabilities


def _frozen_logits(teacher: keras.Model) -> keras.Model:
    """Return a copy of a network that ends at its logits and does not learn."""
    copy = keras.models.clone_model(teacher)
    copy.set_weights(teacher.get_weights())
    copy.trainable = False
    return keras.Model(copy.input, copy.get_layer("logits").output)
