"""Training runs: where they go, what their records say of the data, and which are the same.

Light, so that a run that was done before is found without TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digitflow import settings
from digitflow.errors import OutputError
from digitflow.models.bundle import load_bundle
from digitflow.models.registry import check_name, find_model
from digitflow.runs.records import came_to_nothing
from digitflow.runs.repeating import identity_of

#: Options of a run that `digitflow.learning.training.TrainingOptions` takes.
TRAINING_OPTIONS = (
    *("network", "epochs", "batch_size", "learning_rate", "parameters", "teachers"),
    *("drawn_digits", "outliers", "error_rate", "seed"),
)


def describe_data(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record says of prepared data: names, numbers and digests.

    Parameters
    ----------
    facts : mapping
        Of the prepared data, as `digitflow.datasets.preparing` keeps them.
    """
    kept = ("name", "source", "digest", "corrections", "validation", "splits", "writers")
    return {name: facts[name] for name in kept}


def training_identity(facts: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Return a digest of all that decides which model a training run leaves, and where.

    Parameters
    ----------
    facts : mapping
        Of the prepared data.
    given : mapping
        The flow's parameters: `TRAINING_OPTIONS`, the model's `name`, and whether to `promote`.

    Raises
    ------
    UnknownModelError, BundleError
        If a teacher is missing or damaged.
    """
    options = {name: given[name] for name in TRAINING_OPTIONS}
    # A teacher's name may mean another version tomorrow.
    options["teachers"] = [load_bundle(find_model(name)).model_id for name in given["teachers"]]
    data = {name: facts[name] for name in ("name", "class_names", "splits", "writers")}
    return identity_of(
        {"data": data, "options": options, "name": given["name"], "promote": given["promote"]}
    )


def new_report(name: str, version: str) -> Path:
    """Return where the report of a model's new version goes.

    A run that failed or was killed may be tried again under its name.

    Raises
    ------
    UsageError
        If the name or the version cannot be one.
    OutputError
        If the version has a report, unless that is of a run that came to nothing.
    """
    check_name(version, "version")
    report = settings.reports_folder().resolve() / f"{version}-{check_name(name)}"
    if report.exists() and not came_to_nothing(report):
        raise OutputError(f"{report}: exists already; choose another --version or remove it")
    return report


def new_bundle(name: str, version: str) -> Path:
    """Return where the bundle of a model's new version goes.

    Raises
    ------
    OutputError
        If the version is there already.
    """
    destination = settings.models_folder().resolve() / name / version
    if destination.exists():
        raise OutputError(f"{destination}: exists already; choose another --version or remove it")
    return destination
