"""What happens between the epochs of a fit: a progress bar, scikit-learn's own callbacks."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackContext
from tqdm import tqdm

from digitflow.errors import UsageError


def check_callbacks(callbacks: Any) -> None:
    """Refuse what is no list of Keras callbacks.

    Raises
    ------
    UsageError
        With what was given instead.
    """
    if callbacks is None:
        return
    is_list = isinstance(callbacks, Sequence) and not isinstance(callbacks, str)
    if not is_list or not all(isinstance(each, keras.callbacks.Callback) for each in callbacks):
        raise UsageError(
            f"callbacks={callbacks!r}: must be a list of Keras callbacks; scikit-learn's go to "
            "set_callbacks"
        )


class ProgressBar(keras.callbacks.Callback):
    """Show the batches of a fit and the last epoch's figures, on a terminal only."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the bar."""
        steps = (self.params["steps"] or 0) * self.params["epochs"]
        self.bar = tqdm(total=steps, desc="training", unit="batch", disable=None, leave=False)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count a batch."""
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the epoch's figures beside the bar."""
        figures = {name: f"{value:.4f}" for name, value in (logs or {}).items()}
        self.bar.set_postfix({"epoch": epoch + 1, **figures})

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the bar."""
        self.bar.close()


class ScikitLearnCallbacks(keras.callbacks.Callback):
    """Tell scikit-learn's callbacks (`sklearn.callback`) of each epoch.

    Parameters
    ----------
    estimator : BaseEstimator
        The one that is being fitted.
    context : CallbackContext
        Of its fit; each epoch becomes a task in it.
    data : mapping
        `X`, `y` and `metadata` as the callbacks want them.
    fitted_attributes : mapping
        What makes the estimator one that can predict, as it stands.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        context: CallbackContext,
        data: Mapping[str, Any],
        fitted_attributes: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.estimator = estimator
        self.context = context
        self.data = data
        self.fitted_attributes = fitted_attributes

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Open the epoch's task."""
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Close the epoch's task, and end the fit if a callback asks for it."""
        stop = self.task.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=self.fitted_attributes,
        )
        if stop:
            self.model.stop_training = True
