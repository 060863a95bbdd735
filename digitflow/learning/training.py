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

from digitflow.datasets.preparing import PreparedData, find_difference, open_prepared
from digitflow.drawing import draw_digits, draw_outliers
from digitflow.errors import UsageError
from digitflow.evaluation.calibration import apply_temperature, fit_temperature
from digitflow.evaluation.metrics import compute_metrics
from digitflow.evaluation.profiles import profile_readings
from digitflow.evaluation.selection import STATED_ERROR_RATE, threshold_for_error_rate
from digitflow.files import write_bytes
from digitflow.learning.checkpoints import read_progress
from digitflow.learning.descriptions import (
    Estimator,
    arguments_of,
    describe_estimator,
    load_estimator,
    weights_of,
)
from digitflow.learning.drafts import CHECKPOINT, is_draft, load_draft, read_draft, update_draft
from digitflow.learning.estimators import make_classifier
from digitflow.learning.exporting import compare_tflite, write_golden, write_model_files
from digitflow.models.bundle import GOLDEN_LIMIT, WEIGHTS, load_bundle
from digitflow.models.judging import familiarity
from digitflow.models.registry import find_model

#: Of the validation images, which all show a class, at most this share may be `rejected`.
STATED_REJECTION_RATE = 0.007

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
    drawn_digits: int = 0  # images drawn in forms that the data may lack, to be learned as well
    outliers: int = 0  # images drawn that show no class, to be unsure of
    # Of the validation images that are not `uncertain`, at most this share may be read wrongly.
    error_rate: float = STATED_ERROR_RATE
    seed: int = 0  # of weights, order, augmentation and what is drawn


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


def check_teachers(prepared: Path, teachers: Sequence[str]) -> list[str]:
    """Refuse teachers of other classes; tell which may know the images that judge their pupil.

    Parameters
    ----------
    prepared : Path
        What `prepare_dataset` made.
    teachers : sequence of str
        Models, as `find_model` takes them.

    Returns
    -------
    list of str
        A line for each teacher that was not trained on the same split of the same data.

    Raises
    ------
    UsageError
        If the classes of a teacher are not those of the data.
    UnknownModelError, BundleError
        If there is no such model, or its bundle is damaged.
    """
    facts = open_prepared(prepared).facts
    notes = []
    for bundle in (load_bundle(find_model(teacher)) for teacher in teachers):
        name = f"teacher {bundle.name}@{bundle.version}"
        if list(bundle.class_names) != facts["class_names"]:
            raise UsageError(
                f"{name}: knows the classes {', '.join(bundle.class_names[:10])}, the data set has "
                f"{', '.join(facts['class_names'][:10])}; a teacher must know the same"
            )
        if difference := find_difference(bundle.manifest.get("data", {}), facts):
            notes.append(
                f"{name} was {difference}; it may have learned from images that this run is "
                "judged on, and figures on them would flatter"
            )
    return notes


def fit_draft(
    prepared: Path, draft: Path, options: TrainingOptions, note: str = "", verbose: int = 0
) -> dict[str, Any]:
    """Fit a network, calibrate it on the validation writers, and leave both in the draft.

    The draft has the state after each epoch: where a fit of the same data and options was killed,
    this one goes on from there, and gives the weights of one that was not.

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
        `epochs`, `seconds` of the fit, all parts of it together, and `validation_accuracy`.

    Raises
    ------
    TrainingError
        If the loss stops being a number.
    OutputError
        If the draft cannot be written, which is known after the first epoch.
    """
    check_drawn(prepared, options)
    notes = [*([note] if note else []), *check_teachers(prepared, options.teachers)]
    data = open_prepared(prepared)
    estimator = make_estimator(options, data.facts["splits"]["train"]["n"], verbose)
    estimator.set_params(checkpoint=draft / CHECKPOINT)
    before, started = read_progress(draft / CHECKPOINT).seconds, time.perf_counter()
    _fit(estimator, data, options)
    seconds = before + time.perf_counter() - started
    facts = {
        "estimator": describe_estimator(estimator),
        "options": asdict(options),
        "note": "; ".join(notes),
        "history": estimator.history_,
        "seconds": round(seconds, 1),
        **_calibrate(estimator, data, options.error_rate),
    }
    write_bytes(draft / WEIGHTS, weights_of(estimator))
    update_draft(draft, facts)  # last: a draft that has facts has been fitted
    return _told(facts)


def fitted_before(draft: Path) -> dict[str, Any] | None:
    """Return what `fit_draft` returned, where a run before left a draft that is fitted."""
    return _told(read_draft(draft)) if is_draft(draft) else None


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "epochs": len(facts["history"]["loss"]),
        "seconds": facts["seconds"],
        "validation_accuracy": facts["validation_metrics"]["accuracy"],
    }


def export_draft(prepared: Path, draft: Path) -> dict[str, dict[str, float]]:
    """Write the draft's model files and compare the TFLite ones with Keras on the test images.

    Returns
    -------
    dict
        As `compare_tflite` returns it.

    Raises
    ------
    OutputError
        If a file of the draft cannot be written.
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


def _fit(estimator: Estimator, data: PreparedData, options: TrainingOptions) -> None:
    """Fit an estimator; the validation images are measured after each epoch, and decide nothing.

    What decides, early stopping or a schedule that waits for progress, has training images to go
    by, of writers held out where `fit` holds some out: what chose the weights could not judge them.
    """
    recipe, more = estimator.recipe(), {}
    images, labels = data.load("train")
    if options.drawn_digits:
        drawn, digits = draw_digits(options.drawn_digits, options.seed)
        images, labels = np.concatenate([images, drawn]), np.concatenate([labels, digits])
    if options.outliers:
        more["outliers"] = draw_outliers(options.outliers, options.seed)
    if not recipe.early_stopping and recipe.schedule != "plateau":
        more["X_val"], more["y_val"] = data.load("validation")
    if recipe.early_stopping and (writers := data.load_writers()) is not None:
        # What was drawn is of no writer.
        more["groups"] = np.append(writers, writers.max() + 1 + np.arange(options.drawn_digits))
    teachers = [load_estimator(teacher) for teacher in options.teachers]
    estimator.fit(images, labels, teachers=teachers, **more)


def check_drawn(prepared: Path, options: TrainingOptions) -> None:
    """Refuse to draw digits for data whose classes are others.

    Raises
    ------
    UsageError
        If the classes are not the ten digits.
    """
    names = open_prepared(prepared).facts["class_names"]
    if options.drawn_digits and names != [str(digit) for digit in range(10)]:
        raise UsageError(
            f"drawn_digits={options.drawn_digits}: the classes are {', '.join(names[:12])}, not "
            "the ten digits; leave it at 0"
        )


def _calibrate(estimator: Estimator, data: PreparedData, error_rate: float) -> dict[str, Any]:
    """Return what a fitted estimator's readings of the validation images tell.

    That is its temperature, its thresholds, its metrics, and the reference for later tables.
    """
    images, labels = data.load("validation")
    probabilities = estimator.predict_proba(images)
    temperature = fit_temperature(labels, probabilities)
    calibrated = apply_temperature(probabilities, temperature)
    familiar = familiarity(calibrated, temperature)
    uncertain_below = threshold_for_error_rate(labels, calibrated, error_rate)
    rejected_below = float(np.quantile(familiar, STATED_REJECTION_RATE, method="lower"))
    statuses = np.where(calibrated.max(axis=1) < uncertain_below, "uncertain", "ok")
    statuses = np.where(familiar < rejected_below, "rejected", statuses)
    names = data.facts["class_names"]
    return {
        "temperature": temperature,
        "thresholds": {
            "uncertain_below": uncertain_below,
            "stated_error_rate": error_rate,
            "rejected_below": rejected_below,
            "stated_rejection_rate": STATED_REJECTION_RATE,
            "chosen_on": "validation",
        },
        "validation_metrics": compute_metrics(labels, calibrated, names),
        "reference": profile_readings(images, calibrated, statuses, names),
    }


def _golden_images(data: PreparedData) -> np.ndarray:
    """Return a few validation images of each class."""
    images, labels = data.load("validation")
    classes = range(len(data.facts["class_names"]))
    per_class = max(1, min(_GOLDEN_PER_CLASS, GOLDEN_LIMIT // len(classes)))
    chosen = [np.flatnonzero(labels == label)[:per_class] for label in classes]
    return images[np.concatenate(chosen)[:GOLDEN_LIMIT]]
