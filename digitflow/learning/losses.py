"""The loss that the estimators minimise, and the accuracy they tell meanwhile."""

from typing import Any

import keras
from keras import ops

#: The label of images that show none of the classes.
NO_CLASS = -1


@keras.saving.register_keras_serializable("digitflow")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels, softened by label smoothing.

    Keras offers smoothing for one-hot labels only. See Szegedy et al., "Rethinking the Inception
    Architecture" (2016), section 7. For images of no class all classes are to be as probable: the
    outlier exposure of Hendrycks, Mazeika & Dietterich (2019).

    Parameters
    ----------
    smoothing : float
        Share of each label's weight that is spread evenly over all classes, 0..1.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "crossentropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, from labels (n,) and probabilities (n, n_classes)."""
        n_classes = y_pred.shape[-1]
        targets = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), n_classes)
        # Of no class: what is missing to 1 is shared among all.
        targets += (1 - ops.sum(targets, axis=-1, keepdims=True)) / n_classes
        return keras.losses.categorical_crossentropy(
            targets, y_pred, label_smoothing=self.smoothing
        )

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "smoothing": self.smoothing}


@keras.saving.register_keras_serializable("digitflow")
class Accuracy(keras.metrics.SparseCategoricalAccuracy):
    """The share of images that are read rightly, of those that show one of the classes."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count labels (n,) against probabilities (n, n_classes); weights are not looked at."""
        super().update_state(y_true, y_pred, ops.cast(ops.reshape(y_true, (-1,)) >= 0, "float32"))
