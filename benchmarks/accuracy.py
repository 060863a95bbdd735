"""Fit a network by its recipe with several seeds and record how many test digits it misreads.

    python benchmarks/accuracy.py fast --seeds 0 1 2 3 4

All 60,000 training images are fitted, for a number of epochs fixed in advance; the test images are
looked at once, after the last one. Only recipes with early stopping hold training writers out to
stop by. Each seed is recorded when it is done, and a run that was killed goes on where it was.
A result holds runs of one training that differ in their seed alone; another needs a `--name`.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import numpy as np
from keeping import RESULTS, command_line, kept_file, load_classifier, machine, write_result

from digitflow import load_dataset, make_classifier
from digitflow.errors import DigitflowError, UsageError
from digitflow.evaluation.comparison import summarise
from digitflow.learning.augmentation import Augmentation
from digitflow.learning.descriptions import Estimator, describe_estimator
from digitflow.learning.exporting import compare_tflite, write_model_files
from digitflow.learning.networks import NETWORKS


def main() -> None:
    """Fit what the command line asks for."""
    options = parse_arguments()
    name = options.name or options.network
    target = options.results / f"{name}.json"
    runs = runs_before(target, options)
    teachers = [load_classifier(Path(path)) for path in options.teachers]
    for seed in options.seeds:
        if any(run["seed"] == seed for run in runs):
            print(f"{name} seed {seed}: recorded before")
            continue
        run = fit_and_measure(options, name, seed, teachers)
        runs.append(run)
        record(target, {"name": name, "data": options.dataset}, runs)
        seconds = run["fit_seconds"]
        fit = "fit in parts" if seconds is None else f"fit {seconds:.0f} s"
        print(f"{name} seed {seed}: {run['accuracy']:.2%}, {fit}")
    print(json.dumps(json.loads(target.read_text())["summary"], indent=1))


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the script, or those of a recorded command's words."""
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
    return parser.parse_args(words)


def runs_before(target: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the runs that a result file holds, all of the training that is asked for.

    Raises
    ------
    UsageError
        If one is of another training: a mean over two says nothing of either.
    """
    if not target.exists():
        return []
    try:
        content = json.loads(target.read_text())
        recorded = [settings_recorded(content["data"], run) for run in content["runs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{target}: holds no runs ({error}); give a --name of its own") from error
    asked = settings_asked(options)
    for settings in recorded:
        for name, value in settings.items():
            if asked.get(name) != value:
                raise UsageError(
                    f"{target}: holds runs with {name}={value!r}, but this one has "
                    f"{asked.get(name)!r}; give it a --name of its own"
                )
    return content["runs"]


def settings_asked(options: argparse.Namespace) -> dict[str, Any]:
    """Return what decides the training that is asked for, but its seed, as JSON values."""
    classifier = unfitted_classifier(options)
    told = {
        "data": options.dataset,
        "class": type(classifier).__name__,
        **classifier.get_params(deep=False),
        **vars(classifier.recipe()),
        "teachers": options.teachers,
    }
    del told["random_state"]
    return json.loads(json.dumps(told, default=Augmentation.get_params))


def settings_recorded(data: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of a run."""
    described = run["estimator"]
    told = {
        "data": data,
        "class": described["class"],
        **described["parameters"],
        **described["recipe"],
        "teachers": parse_arguments(shlex.split(run["command"])[2:]).teachers,
    }
    del told["random_state"]
    return told


def unfitted_classifier(options: argparse.Namespace, **hyper_parameters: Any) -> Estimator:
    """Return the classifier of the network's recipe, with what the options say otherwise."""
    if options.epochs is not None:
        hyper_parameters["epochs"] = options.epochs
    return make_classifier(options.network, **hyper_parameters)


def fit_and_measure(
    options: argparse.Namespace, name: str, seed: int, teachers: list[Estimator]
) -> dict[str, Any]:
    """Fit one seed and return what is recorded of it."""
    train, test = load_dataset(options.dataset), load_dataset(options.dataset, split="test")
    classifier = unfitted_classifier(options, random_state=seed, verbose=1)
    in_parts = False
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        checkpoint = options.keep / f"{name}-{seed}.checkpoint.npz"
        in_parts = checkpoint.exists()
        classifier.set_params(checkpoint=checkpoint)
    writers = train.writers if classifier.recipe().early_stopping else None
    started = time.perf_counter()
    classifier.fit(train.images, train.labels, groups=writers, teachers=teachers)
    seconds = time.perf_counter() - started
    if options.keep:
        joblib.dump(classifier, kept_file(options.keep, name, seed))
    probabilities = classifier.predict_proba(test.images)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != test.labels)
    return {
        "seed": seed,
        "accuracy": 1 - len(wrong) / len(test),
        "misread": wrong.tolist(),
        # Of a fit that was killed nobody knows how long its first part took.
        "fit_seconds": None if in_parts else round(seconds, 1),
        "epochs": len(classifier.history_["loss"]),
        "command": command_of(options),
        "estimator": describe_estimator(classifier),
        "parameters": classifier.network_.count_params(),
        "tflite": measure_tflite(classifier, train.images, test.images, test.labels),
        **machine(),
    }


def command_of(options: argparse.Namespace) -> str:
    """Return the command without what decides nothing: where things are left."""
    told = vars(options) | {"keep": None, "results": None}
    if options.dataset == "mnist":
        del told["dataset"]
    return command_line("accuracy", told.pop("network"), **told)


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
    seconds = [run["fit_seconds"] for run in runs if run["fit_seconds"] is not None]
    summary["fit_seconds"] = float(np.median(seconds)) if seconds else None
    write_result(target, {**facts, "summary": summary, "runs": runs})


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
