"""The progress bar of a fit."""

from typing import Any

import keras
from tqdm import tqdm


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
