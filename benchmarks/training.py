"""Fit two networks in one run and measure how long each takes to reach an accuracy.

    python benchmarks/training.py --output docs/results/training.json
    python benchmarks/training.py --networks fast conv2

Each network is trained by its recipe. Clocks: `data`, until the arrays are there; `compile`, until
the first batch is done; `fit`, the batches after it, each epoch from its begin to the end of its
last batch. What comes after an epoch's last batch no clock counts: the validation of recipes with
early stopping, and the test images, which are read to see what is reached; nothing is chosen by
them. A network stops once it has reached the last accuracy. Timings of two networks are comparable
within one run only.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keeping import command_line, machine, write_result
from tables import clocks_table

from digitflow import load_dataset, make_classifier
from digitflow.datasets.loading import Dataset
from digitflow.errors import DigitflowError
from digitflow.learning.networks import NETWORKS

ACCURACIES = (0.99, 0.993, 0.994)


class Stopwatch(keras.callbacks.Callback):
    """Time the batches of a fit, and note when each accuracy was reached."""

    def __init__(self, name: str, test: Dataset) -> None:
        super().__init__()
        self.name, self.test = name, test
        self.images = test.images[..., np.newaxis].astype(np.float32) / 255
        self.reached: dict[float, tuple[float, int]] = {}
        self.compile_seconds = 0.0
        self.fit_seconds = 0.0
        self.started = self.batch_ended = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock of the epoch; until the first batch is done, that of the compilation."""
        if self.compile_seconds:
            self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the time, for no one knows beforehand which batch is the epoch's last."""
        self.batch_ended = time.perf_counter()
        if not self.compile_seconds:
            self.compile_seconds = self.batch_ended - self.started
            self.started = self.batch_ended

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the epoch's batches and measure the accuracy."""
        self.fit_seconds += self.batch_ended - self.started
        accuracy = self.accuracy()
        for wanted in ACCURACIES:
            if accuracy >= wanted:
                self.reached.setdefault(wanted, (self.fit_seconds, epoch + 1))
        print(
            f"{self.name:10} epoch {epoch + 1:2}  {self.fit_seconds:7.1f} s  {accuracy:.2%}",
            flush=True,
        )
        if ACCURACIES[-1] in self.reached:
            self.model.stop_training = True

    def accuracy(self) -> float:
        """Return the share of test images read rightly, as the weights are now."""
        network = self.model.layers[-1]  # before it stands the augmentation
        correct = 0
        for start in range(0, len(self.images), 1000):
            found = network(self.images[start : start + 1000], training=False)
            found = keras.ops.convert_to_numpy(found).argmax(axis=1)
            correct += int((found == self.test.labels[start : start + 1000]).sum())
        return correct / len(self.images)


def time_network(name: str, dataset: str, seed: int) -> dict[str, Any]:
    """Fit a network and return its clocks."""
    started = time.perf_counter()
    train, test = load_dataset(dataset), load_dataset(dataset, split="test")
    data_seconds = time.perf_counter() - started
    classifier = make_classifier(name, random_state=seed)
    stopwatch = Stopwatch(name, test)
    classifier.set_params(callbacks=[stopwatch])
    writers = train.writers if classifier.recipe().early_stopping else None
    classifier.fit(train.images, train.labels, groups=writers)
    return {
        "network": name,
        "data_seconds": round(data_seconds, 2),
        "compile_seconds": round(stopwatch.compile_seconds, 2),
        "fit_seconds": round(stopwatch.fit_seconds, 1),
        "epochs": len(classifier.history_["loss"]),
        "reached": {
            f"{accuracy:.1%}": {"seconds": round(seconds, 2), "epochs": epochs}
            for accuracy, (seconds, epochs) in stopwatch.reached.items()
        },
    }


def main() -> None:
    """Time what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs=2, choices=sorted(NETWORKS), default=["fast", "conv5"])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="keep the clocks as JSON")
    options = parser.parse_args()
    content = {
        "data": options.dataset,
        "seed": options.seed,
        "accuracies": [f"{accuracy:.1%}" for accuracy in ACCURACIES],
        "networks": [
            time_network(name, options.dataset, options.seed) for name in options.networks
        ],
        "command": command_line("training", **vars(options) | {"output": None}),
        **machine(),
    }
    print(clocks_table(content), end="")
    if options.output:
        write_result(options.output, content)


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
