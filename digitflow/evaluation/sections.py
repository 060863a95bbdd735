"""The sections of the report, one function each: a picture or a table, with words about it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow.errors import UsageError
from digitflow.evaluation import plots
from digitflow.evaluation.calibration import reliability_bins
from digitflow.evaluation.corruptions import (
    SEVERITIES,
    UNCHANGED,
    accuracy_by_corruption,
    mean_corrupted_accuracy,
)
from digitflow.evaluation.encoding import png_bytes
from digitflow.evaluation.explanation import dependence_figure
from digitflow.evaluation.metrics import most_confused, percent
from digitflow.evaluation.page import Picture, Table
from digitflow.evaluation.predictions import check_predictions, predictions_of
from digitflow.evaluation.selection import risk_coverage

#: What `network` must be told of each layer; multiply-adds are per image.
LAYER_KEYS = ("name", "kind", "output_shape", "parameters", "multiply_adds")


def misread(
    metrics: Mapping[str, Any],
    images: NDArray,
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
) -> Picture:
    """Return the mistakes, the surest first."""
    figure = plots.misclassified_figure(images, labels, probabilities, class_names)
    return Picture(
        "misclassified.png",
        "Misread",
        "The surest mistakes first: what it is, what was read, and how confidently.",
        "Misread digits, surest mistakes first; "
        f"{metrics['errors']:,} of {metrics['n']:,} misread. {_confusions_in_words(metrics)}",
        png_bytes(figure),
    )


def confusions(metrics: Mapping[str, Any]) -> Picture:
    """Return the confusion matrix."""
    names, words = metrics["class_names"], _confusions_in_words(metrics)
    result = f"{metrics['errors']:,} of {metrics['n']:,} misread"
    score = f"{result}, accuracy {percent(metrics['accuracy'])}"
    return Picture(
        "confusion_matrix.png",
        "Confusions",
        f"{words} Each row is a true class, each column what was read.",
        f"Confusion matrix of {len(names)} classes; {result}. {words}",
        png_bytes(plots.confusion_matrix_figure(metrics["confusion_matrix"], names, score)),
    )


def by_class(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the classification report."""
    explanation = (
        "Recall: the share of a class that was read as it. Precision: the share of what was read"
        " as a class that is of it. Support: how many samples there are."
    )
    return Table("By class", explanation, rows)


def beside_current(comparison: Mapping[str, Any]) -> Table:
    """Return what the model loses and gains beside the one in use, class by class."""
    whole = {
        "class": "all",
        "images": comparison["n"],
        "lost": comparison["lost"],
        "gained": comparison["gained"],
        "distance before": "",
        "now": "",
        "p": f"{comparison['p_worse']:.2g}",
    }
    by_class = [
        {
            "class": row["name"],
            "images": row["n"],
            "lost": row["lost"],
            "gained": row["gained"],
            "distance before": f"{row['before']:.4f}",
            "now": f"{row['now']:.4f}",
            "p": f"{row['p_worse']:.2g}",
        }
        for row in comparison["classes"]
    ]
    explanation = (
        f"The outcome: {comparison['reason']}. Below, the validation images. Lost: read rightly by"
        " the current version only; gained: by the new one only. Distance: the mean squared"
        " distance of the probabilities from the truth. p: how likely chance alone makes the new"
        " one so much worse; of all images by McNemar's test on errors, of a class by random flips"
        " of signs on distances, corrected for the number of classes."
    )
    return Table("Beside the current version", explanation, [whole, *by_class])


def reliability(labels: ArrayLike, probabilities: ArrayLike) -> Picture:
    """Return the picture of how far a confidence can be taken at its word."""
    true, checked = check_predictions(labels, probabilities)
    predicted, confidence = predictions_of(checked)
    bins = reliability_bins(predicted == true, confidence)
    top = np.flatnonzero(bins.count)[-1]
    surest = (
        f"The {bins.count[top]:,} surest samples have a mean confidence of"
        f" {percent(bins.confidence[top])}, and {percent(bins.accuracy[top])} of them are right."
    )
    return Picture(
        "reliability.png",
        "Can the confidence be trusted?",
        "Of the samples read with a confidence of 80 %, 80 % should be right: the points should lie"
        f" on the dashed line. {surest}",
        f"Reliability diagram: share that is right over confidence, in bins. {surest}",
        png_bytes(plots.reliability_figure(labels, probabilities)),
    )


def selection(labels: ArrayLike, probabilities: ArrayLike) -> Picture:
    """Return the picture of what refusing the least sure gains."""
    curve = risk_coverage(labels, probabilities)
    words = (
        f"Mistakes: {percent(curve.risk_at(1.0))} if everything is accepted,"
        f" {percent(curve.risk_at(0.99))} if only the surest 99 % are,"
        f" {percent(curve.risk_at(0.95))} if only the surest 95 %."
    )
    return Picture(
        "risk_coverage.png",
        "What if the least sure were left to people?",
        f"{words} The lower the curve, the better the confidence tells mistakes apart.",
        f"Risk-coverage curve: mistakes among the accepted over the share accepted. {words}",
        png_bytes(plots.risk_coverage_figure(labels, probabilities)),
    )


def robustness(rows: Sequence[Mapping[str, Any]], example: NDArray) -> tuple[Picture, Table]:
    """Return accuracies under corruptions, as a picture and as a table.

    Raises
    ------
    UsageError
        If the rows are not those of `measure_robustness`.
    """
    accuracies = accuracy_by_corruption(rows)
    (clean,) = accuracies.pop(UNCHANGED)
    worst = min(accuracies, key=lambda name: accuracies[name][-1])
    words = (
        f"{percent(clean, 1)} are read right as they are,"
        f" {percent(mean_corrupted_accuracy(rows), 1)} on average over all corruptions;"
        f" at severity 5 {worst} is the worst with {percent(accuracies[worst][-1], 1)}."
    )
    picture = Picture(
        "robustness.png",
        "Robustness",
        f"{rows[0]['n']:,} samples, corrupted just before the network sees them. {words}",
        f"Table of digits under {len(accuracies)} corruptions in five severities. {words}",
        png_bytes(plots.robustness_figure(rows, _as_uint8(example))),
    )
    columns = [f"severity {severity}" for severity in SEVERITIES]
    table = [
        {"corruption": name, **dict(zip(columns, values, strict=True)), "mean": np.mean(values)}
        for name, values in accuracies.items()
    ]
    return picture, Table("Robustness in numbers", "Accuracy under each corruption.", table)


def samples(
    images: NDArray, labels: ArrayLike, probabilities: ArrayLike, class_names: Sequence[str]
) -> Picture:
    """Return samples of every class."""
    figure = plots.sample_predictions_figure(images, labels, probabilities, class_names)
    return Picture(
        "sample_predictions.png",
        "Samples",
        "Samples of every class, right or wrong as they come. A thick frame and a cross mark"
        " what was misread.",
        "Digits of every class, each with its true class, what was read, and the confidence.",
        png_bytes(figure),
    )


def reasons(
    images: NDArray,
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    dependence: tuple[ArrayLike, ArrayLike],
) -> Picture:
    """Return digits, each beside what its answer rests on.

    Raises
    ------
    UsageError
        If there is not one map of its image's size for each sample.
    """
    chosen, maps = np.asarray(dependence[0], np.int64), np.asarray(dependence[1])
    shown = np.asarray(images)[chosen]
    if len(chosen) == 0 or maps.shape != shown.shape:
        raise UsageError(
            f"dependence: maps {maps.shape} for images {shown.shape}; give one of its size for each"
        )
    true, checked = check_predictions(labels, probabilities)
    predicted = predictions_of(checked)[0]
    captions = [
        f"{class_names[true[i]]} read as {class_names[predicted[i]]}"
        if true[i] != predicted[i]
        else f"{class_names[true[i]]}, {percent(checked[i].max())}"
        for i in chosen
    ]
    return Picture(
        "reasons.png",
        "What answers rest on",
        "Spot by spot each digit was changed, ink erased and gaps filled: the brighter a place, the"
        " more the answer loses by it. The surest mistakes first, then the least sure answers.",
        f"{len(chosen)} digits, each beside a map of the places that its answer depends on:"
        f" {'; '.join(captions)}.",
        png_bytes(dependence_figure(shown, maps, captions)),
    )


def training(history: Mapping[str, Sequence[float]]) -> Picture:
    """Return the training curves."""
    return Picture(
        "training_history.png",
        "Training",
        "Loss and accuracy after each epoch. The accuracy axis is stretched towards 100 %.",
        _history_in_words(history),
        png_bytes(plots.training_history_figure(history)),
    )


def augmentation(originals: NDArray[np.uint8], augmented: ArrayLike) -> Picture:
    """Return digits beside what augmentation makes of them."""
    return Picture(
        "augmentation.png",
        "Augmentation",
        "What is done to the training images, drawn anew each time, so that the network never sees"
        " quite the same digit twice. Each should still be the digit at the left.",
        f"{len(originals)} training digits at the left, each followed by randomly changed versions"
        " of itself.",
        png_bytes(plots.augmentation_figure(originals, augmented)),
    )


def layer_rows(layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the layers with the output shape as text, such as ``12 × 12 × 24``.

    Raises
    ------
    UsageError
        If there is no layer, or one lacks any of `LAYER_KEYS`.
    """
    if not layers or any(key not in layer for layer in layers for key in LAYER_KEYS):
        raise UsageError(f"layers: give at least one, each with {', '.join(LAYER_KEYS)}")
    rows = [{key: layer[key] for key in LAYER_KEYS} for layer in layers]
    for row in rows:
        row |= {key: int(row[key]) for key in ("parameters", "multiply_adds")}
        if not isinstance(row["output_shape"], str):
            row["output_shape"] = " × ".join(str(size) for size in row["output_shape"])
    return rows


def network(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the layer table, with totals, from what `layer_rows` returns."""
    totals = {key: sum(row[key] for row in rows) for key in ("parameters", "multiply_adds")}
    total = {"name": "total", "kind": "", "output_shape": "", **totals}
    table = [
        {key.replace("multiply_", "multiply-").replace("_", " "): row[key] for key in LAYER_KEYS}
        for row in [*rows, total]
    ]
    explanation = (
        f"{totals['parameters']:,} parameters and {totals['multiply_adds']:,} multiply-adds per"
        " image, layer by layer from the image to the probabilities."
    )
    return Table("Network", explanation, table)


def _confusions_in_words(metrics: Mapping[str, Any]) -> str:
    pairs = [
        f"{true} read as {predicted} ({count:,})"
        for true, predicted, count in most_confused(metrics)
    ]
    return f"Most often: {', '.join(pairs)}." if pairs else "There is no mistake."


def _history_in_words(history: Mapping[str, Sequence[float]]) -> str:
    names = {"accuracy": "training accuracy", "val_accuracy": "validation accuracy"}
    last = [
        f"{names[key]} {percent(history[key][-1])}" for key in names if len(history.get(key, ()))
    ]
    epochs = max((len(values) for values in history.values()), default=0)
    return (
        f"Training curves over {epochs} epochs{'; at the end ' if last else ''}{', '.join(last)}."
    )


def _as_uint8(image: NDArray) -> NDArray[np.uint8]:
    image = image[..., 0] if image.ndim == 3 else image
    if image.dtype == np.uint8:
        return image
    brightest = 255 if np.issubdtype(image.dtype, np.integer) or image.max() > 1 else 1
    return np.rint(image * (255 / brightest)).astype(np.uint8)
