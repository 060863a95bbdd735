"""The loss that the estimators minimise."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("digitflow")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels, softened by label smoothing.

    Keras offers smoothing for one-hot labels only. See Szegedy et al., "Rethinking the Inception
    Architecture" (2016), section 7.

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
        return keras.losses.categorical_crossentropy(
            targets, y_pred, label_smoothing=self.smoothing
        )

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "smoothing": self.smoothing}
