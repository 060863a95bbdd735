"""Fit a network by its recipe with several seeds and record how many test digits it misreads.

    python benchmarks/accuracy.py fast --seeds 0 1 2 3 4

All 60,000 training images are fitted, for a number of epochs fixed in advance; the test images are
looked at once, after the last one. Only recipes with early stopping hold training writers out to
stop by. Each seed is recorded when it is done, and a run that was killed goes on where it was.
"""

import argparse
import json
import os
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import numpy as np

from digitflow import files, load_dataset, make_classifier
from digitflow.errors import DigitflowError
from digitflow.evaluation.comparison import summarise
from digitflow.learning.descriptions import Estimator, describe_estimator
from digitflow.learning.drafts import library_versions
from digitflow.learning.exporting import compare_tflite, write_model_files
from digitflow.learning.networks import NETWORKS

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def main() -> None:
    """Fit what the command line asks for."""
    options = parse_arguments()
    name = options.name or options.network
    target = options.results / f"{name}.json"
    teachers = [joblib.load(path) for path in options.teachers]
    runs: list[dict[str, Any]] = json.loads(target.read_text())["runs"] if target.exists() else []
    for seed in options.seeds:
        if any(run["seed"] == seed for run in runs):
            print(f"{name} seed {seed}: recorded before")
            continue
        run = fit_and_measure(options, name, seed, teachers)
        runs.append(run)
        record(target, {"name": name, "data": options.dataset}, runs)
        print(f"{name} seed {seed}: {run['accuracy']:.2%}, fit {run['fit_seconds']:.0f} s")
    print(json.dumps(json.loads(target.read_text())["summary"], indent=1))


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--name", help="of the result (default: the network's)")
    parser.add_argument(
        "--teachers", nargs="*", default=[], metavar="FILE", help="fitted classifiers to learn from"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where to leave the fitted classifiers"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser.parse_args()


def fit_and_measure(
    options: argparse.Namespace, name: str, seed: int, teachers: list[Estimator]
) -> dict[str, Any]:
    """Fit one seed and return what is recorded of it."""
    train, test = load_dataset(options.dataset), load_dataset(options.dataset, split="test")
    classifier = make_classifier(options.network, random_state=seed, verbose=1)
    if options.epochs:
        classifier.set_params(epochs=options.epochs)
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        classifier.set_params(checkpoint=options.keep / f"{name}-{seed}.checkpoint.npz")
    writers = train.writers if classifier.recipe().early_stopping else None
    started = time.perf_counter()
    classifier.fit(train.images, train.labels, groups=writers, teachers=teachers)
    seconds = time.perf_counter() - started
    if options.keep:
        joblib.dump(classifier, options.keep / f"{name}-{seed}.joblib")
    probabilities = classifier.predict_proba(test.images)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != test.labels)
    return {
        "seed": seed,
        "accuracy": 1 - len(wrong) / len(test),
        "misread": wrong.tolist(),
        "fit_seconds": round(seconds, 1),
        "epochs": len(classifier.history_["loss"]),
        "command": command_of(options),
        "estimator": describe_estimator(classifier),
        "parameters": classifier.network_.count_params(),
        "tflite": measure_tflite(classifier, train.images, test.images, test.labels),
        "libraries": library_versions(),
        "cores": os.cpu_count(),
    }


def command_of(options: argparse.Namespace) -> str:
    """Return the command without what decides nothing: where things are left."""
    told = vars(options) | {"keep": None, "results": None}
    if options.dataset == "mnist":
        del told["dataset"]
    words = ["python", "benchmarks/accuracy.py", told.pop("network")]
    for name, value in told.items():
        values = value if isinstance(value, list) else [value]
        if value:
            words += [f"--{name}", *map(str, values)]
    return shlex.join(words)


def measure_tflite(
    classifier: Estimator, training_images: np.ndarray, images: np.ndarray, labels: np.ndarray
) -> dict[str, dict[str, float]]:
    """Return size, accuracy and lost images of each TFLite format."""
    with TemporaryDirectory() as folder:
        write_model_files(classifier, Path(folder), training_images)
        return compare_tflite(Path(folder), images, labels, classifier.predict_proba(images))


def record(target: Path, facts: dict[str, str], runs: list[dict[str, Any]]) -> None:
    """Write the result file anew."""
    summary = asdict(summarise([run["accuracy"] for run in runs]))
    summary["fit_seconds"] = float(np.median([run["fit_seconds"] for run in runs]))
    content = {**facts, "summary": summary, "runs": runs}
    files.write_text(target, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
