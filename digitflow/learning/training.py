"""The stages of a training run that make a model: fit, export, evaluate.

Each takes and returns paths, so that an orchestrator can run, retry and time them one by one.
Between the stages a model is a draft (`drafts`); the last stage is in `registering`.
"""

import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from digitflow.datasets.preparing import PreparedData, open_prepared
from digitflow.evaluation.metrics import (
    apply_temperature,
    compute_metrics,
    fit_temperature,
    threshold_for_error_rate,
)
from digitflow.evaluation.report import write_report
from digitflow.learning.drafts import library_versions, load_draft, read_draft, update_draft
from digitflow.learning.estimators import ANNClassifier, CNNClassifier
from digitflow.learning.exporting import (
    Estimator,
    compare_tflite,
    describe_estimator,
    weights_of,
    write_golden,
    write_model_files,
)
from digitflow.models.bundle import GOLDEN_LIMIT, WEIGHTS

#: Among the validation images that are not `uncertain`, at most this share may be read wrongly.
STATED_ERROR_RATE = 0.002

_GOLDEN_PER_CLASS = 2
_MIN_STEPS = 700  # batches; the one-cycle schedule needs about so many to get anywhere
_SMALL_BATCH = 32  # images per batch where the data set is too small for the default


@dataclass(frozen=True)
class TrainingOptions:
    """What a training run may be told; None leaves a value to the estimator's default."""

    network: str = "fast"  # a name of `digitflow.learning.networks.NETWORKS`
    epochs: int | None = None  # passes over the training data
    batch_size: int | None = None  # images per step
    learning_rate: float | None = None  # peak of the schedule
    seed: int = 0  # of weights, order and augmentation


def make_estimator(options: TrainingOptions, n_images: int, verbose: int = 0) -> Estimator:
    """Return the unfitted estimator that the options ask for.

    A data set too small for the estimator's default epochs and batch size gets more and smaller
    steps, unless the options say otherwise.
    """
    estimator = (
        ANNClassifier() if options.network == "ann" else CNNClassifier(network=options.network)
    )
    if n_images // estimator.batch_size * estimator.epochs < _MIN_STEPS // 2:
        steps = max(1, n_images // _SMALL_BATCH)
        estimator.set_params(batch_size=_SMALL_BATCH, epochs=-(-_MIN_STEPS // steps))
    told = {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if field.name in {"epochs", "batch_size", "learning_rate"}
        and getattr(options, field.name) is not None
    }
    return estimator.set_params(**told, random_state=options.seed, verbose=verbose)


def fit_draft(
    prepared: Path, draft: Path, options: TrainingOptions, note: str = "", verbose: int = 0
) -> dict[str, Any]:
    """Fit a network, calibrate it on the validation writers, and leave both in the draft.

    Parameters
    ----------
    prepared : Path
        What `prepare_dataset` made.
    draft : Path
        A folder for the draft; made if need be.
    options : TrainingOptions
    note : str
        What report and manifest must say of the data, for example that it is a stand-in.
    verbose : int
        1 shows a progress bar on a terminal.

    Returns
    -------
    dict
        `epochs`, `seconds` of the fit, and `validation_accuracy`.
    """
    data = open_prepared(prepared)
    images, labels = data.load("train")
    validation = data.load("validation")
    estimator = make_estimator(options, len(images), verbose)
    started = time.perf_counter()
    estimator.fit(images, labels, validation_data=validation)
    seconds = time.perf_counter() - started
    facts = {
        "estimator": describe_estimator(estimator),
        "options": asdict(options),
        "note": note,
        "history": estimator.history_,
        "seconds": round(seconds, 1),
        **_calibration(data, validation[1], estimator.predict_proba(validation[0])),
    }
    draft.mkdir(parents=True, exist_ok=True)
    (draft / WEIGHTS).write_bytes(weights_of(estimator))
    update_draft(draft, facts)
    return {
        "epochs": estimator.epochs,
        "seconds": seconds,
        "validation_accuracy": facts["validation_metrics"]["accuracy"],
    }


def export_draft(prepared: Path, draft: Path) -> dict[str, dict[str, float]]:
    """Write the draft's model files and compare the TFLite ones with Keras on the test images.

    Returns
    -------
    dict
        As `compare_tflite` returns it.
    """
    data = open_prepared(prepared)
    estimator = load_draft(draft)
    write_model_files(estimator, draft, data.load("train")[0])
    n_classes, temperature = len(data.facts["class_names"]), read_draft(draft)["temperature"]
    write_golden(draft, _golden_images(data), n_classes, temperature)
    images, labels = data.load("test")
    differences = compare_tflite(draft, images, labels, estimator.predict_proba(images))
    update_draft(draft, {"tflite": differences})
    return differences


def evaluate_draft(prepared: Path, draft: Path, report: Path, title: str) -> dict[str, Any]:
    """Measure the draft on the test images and write the report.

    Returns
    -------
    dict
        The metrics, as `compute_metrics` returns them.
    """
    data = open_prepared(prepared)
    facts = read_draft(draft)
    images, labels = data.load("test")
    probabilities = apply_temperature(load_draft(draft).predict_proba(images), facts["temperature"])
    metrics = write_report(
        report,
        title=title,
        facts=_report_facts(data, facts),
        notes=[facts["note"]] if facts["note"] else [],
        images=images,
        labels=labels,
        probabilities=probabilities,
        class_names=data.facts["class_names"],
        history=facts["history"],
    )
    update_draft(draft, {"metrics": metrics})
    return metrics


def _calibration(
    data: PreparedData, labels: np.ndarray, probabilities: np.ndarray
) -> dict[str, Any]:
    temperature = fit_temperature(labels, probabilities)
    calibrated = apply_temperature(probabilities, temperature)
    return {
        "temperature": temperature,
        "thresholds": {
            "uncertain_below": threshold_for_error_rate(labels, calibrated, STATED_ERROR_RATE),
            "stated_error_rate": STATED_ERROR_RATE,
            "chosen_on": "validation",
        },
        "validation_metrics": compute_metrics(labels, calibrated, data.facts["class_names"]),
    }


def _golden_images(data: PreparedData) -> np.ndarray:
    """Return a few validation images of each class."""
    images, labels = data.load("validation")
    classes = range(len(data.facts["class_names"]))
    per_class = max(1, min(_GOLDEN_PER_CLASS, GOLDEN_LIMIT // len(classes)))
    chosen = [np.flatnonzero(labels == label)[:per_class] for label in classes]
    return images[np.concatenate(chosen)[:GOLDEN_LIMIT]]


def _report_facts(data: PreparedData, facts: dict[str, Any]) -> dict[str, str]:
    splits = data.facts["splits"]
    parameters = facts["estimator"]["parameters"]
    hidden = {"callbacks", "verbose"}
    settings = ", ".join(f"{k}={v}" for k, v in parameters.items() if k not in hidden)
    return {
        "Data set": data.facts["source"],
        "Images": ", ".join(f"{split} {splits[split]['n']:,}" for split in splits),
        "Validation": data.facts["validation"],
        "Estimator": f"{facts['estimator']['class']}({settings})",
        "Fit": f"{facts['seconds']:.0f} s",
        "Temperature": f"{facts['temperature']:.3f} (fitted on the validation images)",
        "Uncertain below": (
            f"{facts['thresholds']['uncertain_below']:.3f}, so that at most "
            f"{STATED_ERROR_RATE:.1%} of the other validation images are read wrongly"
        ),
        **{
            f"TFLite {file}": (
                f"{row['accuracy']:.2%} of the test images, {row['size'] / 1000:.0f} kB, "
                f"predictions unlike Keras': {row['changed']}"
            )
            for file, row in facts["tflite"].items()
        },
        "Libraries": ", ".join(f"{name} {v}" for name, v in library_versions().items()),
    }
