"""Train, evaluate, export and register a digit classifier.

python flows/train_flow.py --help
"""

import base64
import csv
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration import is_transient, run_script, say  # sets Prefect's defaults: comes first
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.context import TaskRunContext
from train_options import parse_arguments

from digitflow import settings
from digitflow.datasets.loading import check_dataset, resolve_dataset, short_name
from digitflow.datasets.preparing import (
    is_prepared,
    open_prepared,
    prepare_dataset,
    prepared_location,
)
from digitflow.errors import OutputError
from digitflow.evaluation.metrics import percent
from digitflow.evaluation.selection import STATED_ERROR_RATE
from digitflow.models.registry import check_name, find_model


@task(retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=is_transient)
def locate_data(dataset: str, validation_fraction: float) -> dict[str, str]:
    """Make sure the data set is there.

    Returns what to load, a name or a path; what it is called; for a stand-in, a note why it is
    one; and where it is or will be prepared.
    """
    dataset, note = resolve_dataset(dataset)
    prepared = prepared_location(dataset, validation_fraction)
    name = short_name(dataset)
    return {"dataset": dataset, "name": name, "note": note, "prepared": str(prepared)}


def _key_of_prepared(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    # The folder's name is a digest of the input.
    return f"prepare-{parameters['located']['prepared']}"


@task(cache_key_fn=_key_of_prepared, persist_result=True, result_serializer="json")
def prepare(located: dict[str, str], validation_fraction: float) -> str:
    """Split the data set and store the parts; return their folder."""
    return str(prepare_dataset(located["dataset"], validation_fraction).folder)


@task
def fit(prepared: str, draft: str, options: dict[str, Any], note: str) -> dict[str, Any]:
    """Fit and calibrate a network; leave it in the draft."""
    # TensorFlow takes seconds to import: only here, where it is needed.
    from digitflow.learning.training import TrainingOptions, check_teachers, fit_draft

    for line in check_teachers(Path(prepared), options["teachers"]):
        say(f"note       {line}")
    return fit_draft(Path(prepared), Path(draft), TrainingOptions(**options), note, verbose=1)


@task
def export(prepared: str, draft: str) -> dict[str, dict[str, float]]:
    """Export the draft to TFLite and compare it with Keras."""
    from digitflow.learning.training import export_draft

    return export_draft(Path(prepared), Path(draft))


@task
def evaluate(prepared: str, draft: str, report: str, title: str) -> dict[str, Any]:
    """Measure the draft on the test images and write the report."""
    from digitflow.learning.reporting import evaluate_draft

    return evaluate_draft(Path(prepared), Path(draft), Path(report), title)


@task
def register(
    prepared: str, draft: str, destination: str, command: str, promote: bool
) -> dict[str, Any]:
    """Make a bundle of the draft, and promote it if it is not worse than the current one."""
    from digitflow.learning.registering import register_draft

    return register_draft(
        Path(prepared), Path(draft), Path(destination), command=command, may_promote=promote
    )


@task
def publish(report: str, title: str, metrics: dict[str, Any], registration: dict[str, Any]) -> None:
    """Show the report in Prefect: a Markdown and a table artifact."""
    picture = base64.b64encode(Path(report, "confusion_matrix.png").read_bytes()).decode()
    create_markdown_artifact(
        key="training-report",
        description=title,
        markdown=f"# {title}\n\n**{percent(metrics['accuracy'])}** of {metrics['n']:,} test images "
        f"({metrics['errors']} errors)\n\nModel `{registration['model']}`: "
        f"{registration['outcome']}\n\nReport: `{report}/report.html`\n\n"
        f"![confusion matrix](data:image/png;base64,{picture})",
    )
    with Path(report, "classification_report.csv").open(newline="") as stream:
        create_table_artifact(
            key="training-classes", description=title, table=list(csv.DictReader(stream))
        )


@flow(name="train")
def train(
    dataset: str = "auto",
    network: str = "fast",
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    parameters: dict[str, Any] | None = None,
    teachers: Sequence[str] = (),
    drawn_digits: int = 0,
    outliers: int = 0,
    error_rate: float = STATED_ERROR_RATE,
    seed: int = 0,
    validation_fraction: float = 0.1,
    name: str | None = None,
    version: str | None = None,
    promote: bool = True,
    command: str = "",
) -> dict[str, Any]:
    """Train a digit classifier: data, fit, export, evaluation, registration.

    Returns the bundle's folder, the model's name and version, and whether it was promoted.

    Args:
        dataset: Name of a data set, or a path; auto takes MNIST where it is within reach.
        network: What to train, as fast, robust, accurate, tiny or wide_ann.
        epochs: Passes over the training data. Empty: the network's recipe.
        batch_size: Images per step. Empty: the network's recipe.
        learning_rate: The highest of the schedule. Empty: the network's recipe.
        parameters: Hyper-parameters in place of the recipe's, as a search's winner has them.
        teachers: Registered models whose answers are to be learned too.
        drawn_digits: How many digits in forms that MNIST lacks are drawn to learn from.
        outliers: How many drawings of no digit are drawn to be unsure of.
        error_rate: Share of misread validation images that may be above `uncertain`.
        seed: Of weights, order and augmentation.
        validation_fraction: Share of the training images held out, up to a half.
        name: Of the registered model. Empty: the data set's.
        version: Of the registered model. Empty: date, time and a few random digits.
        promote: Make it the current version, unless it is worse or cannot be compared.
        command: What the manifest says that made it.
    """
    for teacher in teachers:
        find_model(teacher)  # an unknown one is refused before anything is done
    located = locate_data(dataset, validation_fraction)
    dataset, note = located["name"], located["note"]
    if note:
        say(f"note       {note}")
    name = check_name(name or dataset)
    # The last digits keep two runs of one second apart.
    version = version or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    report, destination = _new_places(name, version)
    draft = destination.with_name(f".draft-{version}-{secrets.token_hex(4)}")
    options = {
        "network": network,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "parameters": parameters or {},
        "teachers": list(teachers),
        "drawn_digits": drawn_digits,
        "outliers": outliers,
        "error_rate": error_rate,
        "seed": seed,
    }

    # What Prefect remembers counts only as long as it is still there.
    is_there = is_prepared(Path(located["prepared"]))
    prepare_unless_there = prepare.with_options(refresh_cache=not is_there)
    state = prepare_unless_there(located, validation_fraction, return_state=True)
    prepared = state.result()
    say_data(prepared, reused=state.name == "Cached")
    try:
        fitted = fit(prepared, str(draft), options, note)
        _say_fit(network, fitted)
        _say_export(export(prepared, str(draft)))
        title = f"{name}@{version}: {network} on {dataset}"
        metrics = evaluate(prepared, str(draft), str(report), title)
        say(
            f"test       {percent(metrics['accuracy'])} of {metrics['n']:,} {dataset} test images "
            f"({metrics['errors']} errors)"
        )
        registration = register(prepared, str(draft), str(destination), command, promote)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    publish(str(report), title, metrics, registration)
    say(f"report     {report / 'report.html'}")
    say(f"model      {registration['folder']}")
    say(f"           {registration['outcome']}")
    return registration


def _new_places(name: str, version: str) -> tuple[Path, Path]:
    """Return where report and bundle go; refuse a version that is there already."""
    check_name(version, "version")
    report = settings.reports_folder().resolve() / f"{version}-{name}"
    destination = settings.models_folder().resolve() / name / version
    for place in (report, destination):
        if place.exists():
            raise OutputError(f"{place}: exists already; choose another --version or remove it")
    return report, destination


def say_data(prepared: str, reused: bool) -> None:
    """Say which data will be trained on."""
    facts = open_prepared(Path(prepared)).facts
    sizes = ", ".join(f"{part['n']:,} {split}" for split, part in facts["splits"].items())
    again = "; prepared before, taken from the cache" if reused else ""
    say(f"data       {facts['name']}: {sizes} images; validation: {facts['validation']}{again}")


def _say_fit(network: str, fitted: dict[str, Any]) -> None:
    epochs = f"{fitted['epochs']} epoch{'s' if fitted['epochs'] > 1 else ''}"
    say(
        f"fit        {network}, {epochs} in {fitted['seconds']:.0f} s; "
        f"{percent(fitted['validation_accuracy'])} of the validation images"
    )


def _say_export(differences: dict[str, dict[str, float]]) -> None:
    for file, row in differences.items():
        say(
            f"export     {file}: {row['size'] / 1000:.0f} kB, {percent(row['accuracy'])} of the "
            f"test images, predictions unlike Keras': {row['changed']}"
        )


def main() -> None:
    """Run the flow as a script."""
    arguments = vars(parse_arguments())
    command = shlex.join(["python", "flows/train_flow.py", *sys.argv[1:]])
    started = time.perf_counter()

    def checked_run() -> dict[str, Any]:
        # Before Prefect's server is started: what cannot work is said at once.
        dataset = arguments["dataset"]
        name = check_name(arguments.get("name", short_name(dataset)))
        _new_places(name, arguments.get("version", "new"))
        check_dataset(dataset)
        return train(**arguments, command=command)

    run_script(checked_run)
    say(f"total      {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
