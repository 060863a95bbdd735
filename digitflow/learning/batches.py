"""The order in which a training sees its images."""

import keras
import numpy as np

from digitflow.learning.examples import Examples


class ShuffledBatches(keras.utils.PyDataset):
    """Batches of examples, in another order in each epoch.

    Keras' own shuffling repeats one order for ever as soon as TensorFlow has a global seed. Here
    the order depends on the seed and the number of the epoch alone, so that a fit that was killed
    goes on with the very batches it would have seen.

    Parameters
    ----------
    examples : Examples
    batch_size : int
        Images; the last batch of an epoch may be smaller.
    seed : int
    epoch : int
        Number of the first epoch.
    """

    def __init__(self, examples: Examples, batch_size: int, seed: int, epoch: int) -> None:
        super().__init__()
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self._start_epoch(epoch)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.examples) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, ...]:
        """Return images and codes of a batch, and the weights if there are."""
        start = number * self.batch_size
        return self.examples.part(self.order[start : start + self.batch_size]).arrays()

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self._start_epoch(self.epoch + 1)

    def _start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.examples))
