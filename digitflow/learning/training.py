"""The stages of a training run that make a model: fit, export; `reporting` evaluates it.

Each takes and returns paths, so that an orchestrator can run, retry and time them one by one.
Between the stages a model is a draft (`drafts`); the last stage is in `registering`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from digitflow.datasets.preparing import PreparedData, open_prepared
from digitflow.evaluation.calibration import apply_temperature, fit_temperature
from digitflow.evaluation.metrics import compute_metrics
from digitflow.evaluation.selection import threshold_for_error_rate
from digitflow.learning.descriptions import (
    Estimator,
    arguments_of,
    describe_estimator,
    load_estimator,
    weights_of,
)
from digitflow.learning.drafts import load_draft, read_draft, update_draft
from digitflow.learning.estimators import make_classifier
from digitflow.learning.exporting import compare_tflite, write_golden, write_model_files
from digitflow.models.bundle import GOLDEN_LIMIT, WEIGHTS

#: Among the validation images that are not `uncertain`, at most this share may be read wrongly.
STATED_ERROR_RATE = 0.002

_GOLDEN_PER_CLASS = 2
_MIN_STEPS = 700  # batches; the one-cycle schedule needs about so many to get anywhere
_SMALL_BATCH = 32  # images per batch where the data set is too small for the default


@dataclass(frozen=True)
class TrainingOptions:
    """What a training run may be told; None leaves a value to the network's recipe."""

    network: str = "fast"  # a name of `digitflow.learning.networks.NETWORKS`
    epochs: int | None = None  # passes over the training data
    batch_size: int | None = None  # images per step
    learning_rate: float | None = None  # the highest of the schedule
    # Other hyper-parameters, as JSON holds them: `parameters` of a search's winner.json.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    teachers: Sequence[str] = ()  # models whose answers are to be learned too
    seed: int = 0  # of weights, order and augmentation


def make_estimator(options: TrainingOptions, n_images: int, verbose: int = 0) -> Estimator:
    """Return the unfitted estimator that the options ask for.

    A data set too small for the recipe's epochs and batch size gets more and smaller steps,
    unless the options say otherwise.
    """
    estimator = make_classifier(
        options.network,
        random_state=options.seed,
        verbose=verbose,
        **arguments_of(options.parameters),
    )
    recipe = estimator.recipe()
    if not options.parameters and n_images // recipe.batch_size * recipe.epochs < _MIN_STEPS // 2:
        steps = max(1, n_images // _SMALL_BATCH)
        estimator.set_params(batch_size=_SMALL_BATCH, epochs=-(-_MIN_STEPS // steps))
    told = {name: getattr(options, name) for name in ("epochs", "batch_size", "learning_rate")}
    return estimator.set_params(
        **{name: value for name, value in told.items() if value is not None}
    )


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
    teachers = [load_estimator(name) for name in options.teachers]
    estimator.fit(images, labels, X_val=validation[0], y_val=validation[1], teachers=teachers)
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
        "epochs": len(estimator.history_["loss"]),
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
