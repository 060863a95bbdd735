"""Figures and numbers into the files of a report, `report.html` foremost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from digitflow import files
from digitflow.evaluation import sections
from digitflow.evaluation.encoding import csv_bytes, json_bytes
from digitflow.evaluation.metrics import classification_table, compute_metrics
from digitflow.evaluation.page import Picture, Table, report_page


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
    disputed: ArrayLike | None = None,
    robustness: Sequence[Mapping[str, Any]] | None = None,
    augmented: tuple[NDArray[np.uint8], ArrayLike] | None = None,
    layers: Sequence[Mapping[str, Any]] | None = None,
    dependence: tuple[ArrayLike, ArrayLike] | None = None,
    comparison: Mapping[str, Any] | None = None,
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
    disputed : array-like of int, optional
        Indices of the samples whose label people do not agree on.
    robustness : sequence of mapping, optional
        As `digitflow.evaluation.corruptions.measure_robustness` returns it.
    augmented : (ndarray of shape (k, height, width), array-like of shape (k, m, height, width))
        Training images and what augmentation makes of each, uint8; optional.
    layers : sequence of mapping, optional
        The network from input to output, each layer with ``name``, ``kind``, ``output_shape``
        (text or sizes), ``parameters`` and ``multiply_adds`` (per image).
    dependence : (array-like of shape (k,), array-like of shape (k, height, width)), optional
        Which samples to explain, and of each how much its answer depends on each place, as from
        `digitflow.models.explaining.dependence_map`.
    comparison : mapping, optional
        What the model is beside the one in use, as `digitflow.learning.promotion.compare_draft`
        returns it.

    Returns
    -------
    dict
        As `digitflow.evaluation.metrics.compute_metrics` returns it.

    Raises
    ------
    UsageError
        If the arrays do not fit each other, or an optional part is not as described.
    OutputError
        If the folder cannot be written to.
    """
    metrics = compute_metrics(labels, probabilities, class_names, disputed)
    predictions = (images, labels, probabilities, class_names)
    classes = classification_table(metrics)
    # First what checks the input, then what only takes time.
    misread = sections.misread(metrics, *predictions)
    about_robustness, about_training, tables = _additions(images, robustness, augmented, layers)
    reasons = [sections.reasons(*predictions, dependence)] if dependence is not None else []
    compared = comparison or {}
    beside = [sections.beside_current(compared)] if "classes" in compared else []
    parts: list[Picture | Table] = [
        misread,
        *reasons,
        sections.confusions(metrics),
        sections.by_class(classes),
        *beside,
        sections.reliability(labels, probabilities),
        sections.selection(labels, probabilities),
        *about_robustness,
        sections.samples(*predictions),
        sections.training(history),
        *about_training,
    ]
    contents = {
        "metrics.json": json_bytes(metrics),
        "history.json": json_bytes({name: list(values) for name, values in history.items()}),
        "classification_report.csv": csv_bytes(classes),
        **{name: csv_bytes(rows) for name, rows in tables.items()},
        **{part.name: part.png for part in parts if isinstance(part, Picture)},
    }
    page = report_page(title, notes, metrics, parts, facts, list(contents))
    for name, content in {**contents, "report.html": page.encode()}.items():
        files.write_bytes(Path(folder) / name, content)
    return metrics


def _additions(
    images: NDArray,
    robustness: Sequence[Mapping[str, Any]] | None,
    augmented: tuple[NDArray[np.uint8], ArrayLike] | None,
    layers: Sequence[Mapping[str, Any]] | None,
) -> tuple[list[Picture | Table], list[Picture | Table], dict[str, list[dict[str, Any]]]]:
    """Return the optional sections on robustness and on training, and their tables by file name."""
    about_robustness: list[Picture | Table] = []
    about_training: list[Picture | Table] = []
    tables = {}
    if robustness is not None:
        about_robustness += sections.robustness(robustness, np.asarray(images)[0])
        tables["robustness.csv"] = [dict(row) for row in robustness]
    if augmented is not None:
        about_training.append(sections.augmentation(*augmented))
    if layers is not None:
        tables["layers.csv"] = sections.layer_rows(layers)
        about_training.append(sections.network(tables["layers.csv"]))
    return about_robustness, about_training, tables
