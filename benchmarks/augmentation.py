"""Measure which share of a training step augmentation takes, in less than a minute.

    python benchmarks/augmentation.py
    python benchmarks/augmentation.py --output docs/results/augmentation.json

The augmentation runs alone, compiled and on a batch of the recipe's size: each operation, all of
them, and what the recipe has. They and the training step without augmentation take turns, each once
in a round, so that whatever else the machine does meets all of them alike. A share is the
augmentation's part of both together in its own round; the median over the rounds counts. Each share
is an upper bound, for it holds a call that inside the step is none: see `nothing`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keeping import machine, write_result
from tables import augmentation_table

from digitflow import make_classifier
from digitflow.errors import DigitflowError
from digitflow.learning.augmentation import Augmentation, RandomAugmentation
from digitflow.learning.fitting import compile_training

NETWORKS = ("fast", "accurate")
N_CLASSES = 10

#: Those of the recipe of `accurate`, and usual ones for the operations it does without.
AMOUNTS = {
    "shift": 2,
    "rotation": 10,
    "zoom": 0.1,
    "shear": 8,
    "elastic": 2,
    "stroke": 0.5,
    "blur": 0.5,
    "cutout": 8,
    "noise": 0.1,
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--output", type=Path, metavar="FILE", help="keep the times as JSON")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: must be at least 1")
    words = ["--networks", *options.networks, "--rounds", str(options.rounds)]
    content = {
        "rounds": options.rounds,
        "steps": [measure_steps(name, options.rounds) for name in options.networks],
        "command": " ".join(["python benchmarks/augmentation.py", *words]),
        **machine(),
    }
    print(augmentation_table(content), end="")
    if options.output:
        write_result(options.output, content)


def measure_steps(network: str, rounds: int) -> dict[str, Any]:
    """Return how long a network's step takes, and which share each augmentation has beside it."""
    classifier = make_classifier(network)
    recipe = classifier.recipe()
    random = np.random.default_rng(0)
    images = random.random((recipe.batch_size, 28, 28, 1), dtype=np.float32)
    codes = random.integers(0, N_CLASSES, recipe.batch_size)
    plain = replace(recipe, augmentation=Augmentation())
    model = compile_training(classifier.build_network(N_CLASSES), plain, len(images))
    augmentations = {
        "nothing": Augmentation(),
        **{name: Augmentation().set_params(**{name: AMOUNTS[name]}) for name in AMOUNTS},
        "all together": Augmentation().set_params(**AMOUNTS),
        "as in the recipe": recipe.augmentation,
    }
    works: list[Callable[[], Any]] = [lambda: model.train_on_batch(images, codes)]
    works += [compiled(augmentation, images) for augmentation in augmentations.values()]
    for work in works:
        work()  # the first call compiles
    seconds = np.array([[seconds_of(work) for work in works] for _ in range(rounds)])
    step, alone = seconds[:, :1], seconds[:, 1:]
    shares = np.median(alone / (alone + step), axis=0).round(4)
    return {
        "network": network,
        "batch_size": recipe.batch_size,
        "step_milliseconds": round(1000 * float(np.median(step)), 2),
        "shares": dict(zip(augmentations, shares.tolist(), strict=True)),
    }


def compiled(augmentation: Augmentation, images: np.ndarray) -> Callable[[], np.ndarray]:
    """Return what changes the images as the training step would."""
    layer = RandomAugmentation(augmentation)
    change = tf.function(lambda batch: layer(batch, training=True))
    return lambda: change(images).numpy()


def seconds_of(work: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
