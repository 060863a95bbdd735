"""Fit two networks in one run and print how long each takes to reach an accuracy.

    python benchmarks/training.py
    python benchmarks/training.py --networks fast conv2

Each network is trained by its recipe. After each epoch the test images are read, which
no clock counts; nothing is chosen by them. Clocks: `data`, until the arrays are there; `compile`,
until the first batch is done; `fit`, from then on. A network stops once it has reached the last
accuracy. Timings of two networks are comparable within one run only.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from digitflow import files, load_dataset, make_classifier
from digitflow.datasets.loading import Dataset
from digitflow.errors import DigitflowError
from digitflow.learning.drafts import library_versions
from digitflow.learning.networks import NETWORKS

ACCURACIES = (0.99, 0.993, 0.994)


class Stopwatch(keras.callbacks.Callback):
    """Time a fit, and note at which second and epoch each accuracy was reached."""

    def __init__(self, name: str, test: Dataset) -> None:
        super().__init__()
        self.name, self.test = name, test
        self.images = test.images[..., np.newaxis].astype(np.float32) / 255
        self.reached: dict[float, tuple[float, int]] = {}
        self.compile_seconds = 0.0
        self.fit_seconds = 0.0
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """End the clock of the compilation with the first batch."""
        if not self.compile_seconds:
            self.compile_seconds = time.perf_counter() - self.started
            self.started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock again after the accuracy was measured."""
        if self.compile_seconds:
            self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop the clock and measure the accuracy."""
        self.fit_seconds += time.perf_counter() - self.started
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
        network = self.model.layers[-1]
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
        "reached": {
            f"{accuracy:.1%}": {"seconds": round(seconds, 1), "epochs": epochs}
            for accuracy, (seconds, epochs) in stopwatch.reached.items()
        },
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the clocks side by side, and the ratio of the second network to the first."""
    first, second = rows
    print(f"\n{'':16}{first['network']:>18}{second['network']:>18}{'ratio':>9}")
    for clock in ("data_seconds", "compile_seconds"):
        print(f"{clock.replace('_', ', '):16}{first[clock]:18.1f}{second[clock]:18.1f}")
    for accuracy in (f"{accuracy:.1%}" for accuracy in ACCURACIES):
        cells, seconds = [], []
        for row in rows:
            found = row["reached"].get(accuracy)
            cells.append(
                f"{found['seconds']:.1f} s, {found['epochs']} ep." if found else "not reached"
            )
            seconds.append(found["seconds"] if found else None)
        ratio = f"{seconds[1] / seconds[0]:9.1f}" if all(seconds) else f"{'-':>9}"
        print(f"to {accuracy:13}{cells[0]:>18}{cells[1]:>18}{ratio}")


def main() -> None:
    """Time what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs=2, choices=sorted(NETWORKS), default=["fast", "conv5"])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="FILE", help="keep the clocks as JSON")
    options = parser.parse_args()
    rows = [time_network(name, options.dataset, options.seed) for name in options.networks]
    print_table(rows)
    if options.output:
        content = {
            "data": options.dataset,
            "seed": options.seed,
            "networks": rows,
            "libraries": library_versions(),
        }
        files.write_text(options.output, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
