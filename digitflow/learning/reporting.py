"""The stage of a training run that measures the draft of a model and writes the report."""

from pathlib import Path
from typing import Any

import numpy as np

from digitflow.datasets.preparing import PreparedData, open_prepared
from digitflow.evaluation.calibration import apply_temperature
from digitflow.evaluation.corruptions import measure_robustness
from digitflow.evaluation.metrics import percent
from digitflow.evaluation.report import write_report
from digitflow.learning.augmentation import augment
from digitflow.learning.descriptions import Estimator
from digitflow.learning.drafts import library_versions, load_draft, read_draft, update_draft
from digitflow.learning.layer_table import layer_table
from digitflow.learning.training import STATED_REJECTION_RATE
from digitflow.models.explaining import dependence_map

_N_AUGMENTED = 10  # training images in the picture of the augmentation
_N_VARIANTS = 8  # of each
_N_EXPLAINED = 8  # test images whose answers are explained


def evaluate_draft(prepared: Path, draft: Path, report: Path, title: str) -> dict[str, Any]:
    """Measure the draft on the test images and write the report.

    Returns
    -------
    dict
        The metrics, as `compute_metrics` returns them.
    """
    data = open_prepared(prepared)
    facts, estimator = read_draft(draft), load_draft(draft)
    images, labels = data.load("test")
    probabilities = apply_temperature(estimator.predict_proba(images), facts["temperature"])
    metrics = write_report(
        report,
        title=title,
        facts=_report_facts(data, facts),
        notes=_notes(facts),
        images=images,
        labels=labels,
        probabilities=probabilities,
        class_names=data.facts["class_names"],
        history=facts["history"],
        disputed=data.facts["disputed"] or None,
        robustness=measure_robustness(estimator.predict_proba, images, labels),
        augmented=_augmented(estimator, *data.load("train")),
        layers=layer_table(estimator.network_),
        comparison=facts["comparison"],
        dependence=_dependence(estimator, images, labels, probabilities),
    )
    update_draft(draft, {"metrics": metrics})
    return metrics


def _notes(facts: dict[str, Any]) -> list[str]:
    """Return what a reader of the report must know before anything else."""
    comparison = facts["comparison"]
    beaten = [] if comparison["deserves"] else [f"Not to be promoted: {comparison['reason']}."]
    return [*([facts["note"]] if facts["note"] else []), *beaten]


def _augmented(
    estimator: Estimator, images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return training images of different classes and what the recipe makes of each, if it does."""
    augmentation = estimator.recipe().augmentation
    if not augmentation.is_on():
        return None
    first = np.unique(labels, return_index=True)[1][:_N_AUGMENTED]
    originals = images[first]
    variants = [augment(originals, augmentation, seed) for seed in range(_N_VARIANTS)]
    return originals, np.stack(variants, axis=1)


def _dependence(
    estimator: Estimator, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the worst answers, and on what in the image each of them rests."""
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    # The surest mistakes first, then the least sure of the right answers.
    worst = np.lexsort((np.where(wrong, -confidence, confidence), ~wrong))[:_N_EXPLAINED]
    maps = [dependence_map(estimator.predict_proba, images[place]) for place in worst]
    return worst, np.stack(maps)


def _report_facts(data: PreparedData, facts: dict[str, Any]) -> dict[str, str]:
    splits = data.facts["splits"]
    estimator = facts["estimator"]
    network = estimator["parameters"].get("network") or facts["options"]["network"]
    recipe = ", ".join(f"{name}={value}" for name, value in estimator["recipe"].items())
    options = facts["options"]
    teachers = ", ".join(options["teachers"])
    drawn = [("digits", options["drawn_digits"]), ("pictures of none", options["outliers"])]
    learned = ", ".join(f"{count:,} {what}" for what, count in drawn if count)
    return {
        "Data set": data.facts["source"],
        "Images": ", ".join(f"{split} {splits[split]['n']:,}" for split in splits),
        "Validation": data.facts["validation"],
        "Estimator": f"{estimator['class']}, network {network}",
        "Recipe": recipe,
        **({"Drawn, learned as well": learned} if learned else {}),
        **({"Teachers": teachers} if teachers else {}),
        "Beside the current version": facts["comparison"]["reason"],
        "Fit": f"{facts['seconds']:.0f} s",
        "Temperature": f"{facts['temperature']:.3f} (fitted on the validation images)",
        "Uncertain below": (
            f"{facts['thresholds']['uncertain_below']:.3f}, so that at most "
            f"{percent(facts['thresholds']['stated_error_rate'])} of the other validation images "
            "are read wrongly"
        ),
        "Rejected below": (
            f"a familiarity of {facts['thresholds']['rejected_below']:.3f}, which at most "
            f"{percent(STATED_REJECTION_RATE, 1)} of the validation images are below"
        ),
        **{
            f"TFLite {file}": (
                f"{percent(row['accuracy'])} of the test images, {row['size'] / 1000:.0f} kB, "
                f"predictions unlike Keras': {row['changed']}"
            )
            for file, row in facts["tflite"].items()
        },
        "Libraries": ", ".join(f"{name} {v}" for name, v in library_versions().items()),
    }
