"""Figures and numbers into the files of a report, `report.html` foremost."""

import csv
import io
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from digitflow import files
from digitflow.evaluation import plots
from digitflow.evaluation.drawing import DPI
from digitflow.evaluation.metrics import classification_table, compute_metrics, percent
from digitflow.evaluation.page import Picture, confusions_in_words, report_page


def write_report(
    folder: str | Path,
    *,
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
    images: NDArray,
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    history: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """Write numbers, pictures and a page that shows them; the same input gives the same bytes.

    Parameters
    ----------
    folder : path
        Made where it does not exist. Files of an earlier report in it are replaced, each in one
        step, `report.html` last.
    title : str
    facts : mapping of str to str
        What a reader should know about the run: data set, network, seed, ...
    notes : sequence of str
        Warnings, shown at the top of the page.
    images : ndarray of shape (n, height, width), uint8 or floating
        Bright ink on black.
    labels : array-like of shape (n,), integer
    probabilities : array-like of shape (n, k), floating
    class_names : sequence of k distinct str
    history : mapping of str to sequence of float
        As Keras names its metrics, one value per epoch; may be empty.

    Returns
    -------
    dict
        As `digitflow.evaluation.metrics.compute_metrics` returns it.

    Raises
    ------
    UsageError
        If the arrays do not fit each other.
    OutputError
        If the folder cannot be written to.
    """
    metrics = compute_metrics(labels, probabilities, class_names)
    table = classification_table(metrics)
    pictures = _pictures(metrics, images, labels, probabilities, class_names, history)
    contents: dict[str, bytes] = {
        "metrics.json": _json(metrics),
        "classification_report.csv": _csv(table),
        "history.json": _json({name: list(values) for name, values in history.items()}),
        **{picture.name: picture.png for picture in pictures},
    }
    page = report_page(title, notes, metrics, table, facts, pictures, list(contents))
    for name, content in {**contents, "report.html": page.encode()}.items():
        files.write_bytes(Path(folder) / name, content)
    return metrics


def _pictures(
    metrics: Mapping[str, Any],
    images: NDArray,
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    history: Mapping[str, Sequence[float]],
) -> list[Picture]:
    predictions = (images, labels, probabilities, class_names)
    result = f"{metrics['errors']:,} of {metrics['n']:,} misread"
    score = f"{result}, accuracy {percent(metrics['accuracy'])}"
    confusions = confusions_in_words(metrics)
    matrix = plots.confusion_matrix_figure(metrics["confusion_matrix"], class_names, score)
    return [
        Picture(
            "misclassified.png",
            "Misread",
            "The surest mistakes first: what it is, what was read, and how confidently.",
            f"Misread digits, surest mistakes first; {result}. {confusions}",
            _png(plots.misclassified_figure(*predictions)),
        ),
        Picture(
            "confusion_matrix.png",
            "Confusions",
            f"{confusions} Each row is a true class, each column what was read.",
            f"Confusion matrix of {len(class_names)} classes; {result}. {confusions}",
            _png(matrix),
        ),
        Picture(
            "training_history.png",
            "Training",
            "Loss and accuracy after each epoch. The accuracy axis is stretched towards 100 %.",
            _history_in_words(history),
            _png(plots.training_history_figure(history)),
        ),
        Picture(
            "sample_predictions.png",
            "Samples",
            "Samples of every class, right or wrong as they come. A thick frame and a cross mark"
            " what was misread.",
            "Digits of every class, each with its true class, what was read, and the confidence.",
            _png(plots.sample_predictions_figure(*predictions)),
        ),
    ]


def _history_in_words(history: Mapping[str, Sequence[float]]) -> str:
    names = {"accuracy": "training accuracy", "val_accuracy": "validation accuracy"}
    last = [
        f"{names[key]} {percent(history[key][-1])}" for key in names if len(history.get(key, ()))
    ]
    epochs = max((len(values) for values in history.values()), default=0)
    return (
        f"Training curves over {epochs} epochs{'; at the end ' if last else ''}{', '.join(last)}."
    )


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A class name may be in a script that matplotlib's own font does not have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # The name of the software would make the bytes depend on matplotlib's version.
        figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


def _json(value: Mapping[str, Any]) -> bytes:
    return (
        json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


def _plain(value: Any) -> Any:
    """Return the value with what JSON knows: plain floats, and null for those not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | int):
        return value
    return float(value) if math.isfinite(value) else None


def _csv(table: Sequence[Mapping[str, str | float | int]]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue().encode()
