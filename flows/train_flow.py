"""Train, evaluate, export and register a digit classifier.

python flows/train_flow.py --help
"""

import base64
import csv
import secrets
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_stage import locate_data, prepare_unless_there
from orchestration import HOOKS, check_text, run_script, say  # sets Prefect's defaults: comes first
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from train_options import (
    AtLeastOne,
    Count,
    LearningRate,
    Network,
    Seed,
    Share,
    ValidationFraction,
    parse_arguments,
)

from digitflow.datasets.corrections import check_corrections
from digitflow.datasets.loading import check_dataset, short_name
from digitflow.datasets.preparing import open_prepared
from digitflow.evaluation.metrics import percent
from digitflow.evaluation.selection import STATED_ERROR_RATE
from digitflow.models.registry import check_name, find_model
from digitflow.runs.drafts import working_draft
from digitflow.runs.recording import Run, recording
from digitflow.runs.records import RunRecord
from digitflow.runs.repeating import find_done
from digitflow.runs.training import (
    TRAINING_OPTIONS,
    describe_data,
    new_bundle,
    new_report,
    training_identity,
)


@task
def fit(prepared: str, draft: str, options: dict[str, Any], note: str) -> dict[str, Any]:
    """Fit and calibrate a network; leave it in the draft."""
    # TensorFlow takes seconds to import: only here, where it is needed.
    from digitflow.learning.checkpoints import read_progress
    from digitflow.learning.drafts import CHECKPOINT
    from digitflow.learning.training import (
        TrainingOptions,
        check_teachers,
        fit_draft,
        fitted_before,
    )

    if fitted := fitted_before(Path(draft)):
        say("goes on    after the fit of a run that was killed; --fresh begins anew")
        return fitted
    if epochs := read_progress(Path(draft) / CHECKPOINT).epochs:
        say(f"goes on    after epoch {epochs} of a run that was killed; --fresh begins anew")
    for line in check_teachers(Path(prepared), options["teachers"]):
        say(f"note       {line}")
    return fit_draft(Path(prepared), Path(draft), TrainingOptions(**options), note, verbose=1)


@task
def export(prepared: str, draft: str) -> dict[str, dict[str, float]]:
    """Export the draft to TFLite and compare it with Keras."""
    from digitflow.learning.training import export_draft

    return export_draft(Path(prepared), Path(draft))


@task
def compare(prepared: str, draft: str, name: str) -> dict[str, Any]:
    """Compare the draft with the current version on the validation images."""
    from digitflow.learning.promotion import compare_draft

    return compare_draft(Path(prepared), Path(draft), name)


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


@flow(name="train", **HOOKS)
def train(
    dataset: str = "auto",
    network: Network = "fast",
    epochs: AtLeastOne | None = None,
    batch_size: AtLeastOne | None = None,
    learning_rate: LearningRate | None = None,
    parameters: dict[str, Any] | None = None,
    teachers: Sequence[str] = (),
    drawn_digits: Count = 0,
    outliers: Count = 0,
    error_rate: Share = STATED_ERROR_RATE,
    seed: Seed = 0,
    validation_fraction: ValidationFraction = 0.1,
    corrections: Sequence[str] = (),
    name: str | None = None,
    version: str | None = None,
    promote: bool = True,
    fresh: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Train a digit classifier: data, fit, export, comparison, evaluation, registration.

    Returns the bundle's folder, the model's name and version, and whether it was promoted. A run
    with the same data, options, seed and code as one before is taken from its record, unless it is
    to be `fresh` or its version is named; where that one was killed, this one goes on.

    Args:
        dataset: Name of a data set, or a path; auto takes MNIST where it is within reach.
        network: What to train: fast, robust, accurate or tiny, for what their names say; the others
            are to compare with.
        epochs: Passes over the training data. Empty: the network's recipe.
        batch_size: Images per step. Empty: the network's recipe.
        learning_rate: The highest of the schedule. Empty: the network's recipe.
        parameters: Hyper-parameters in place of the recipe's, as a search's winner has them.
        teachers: Registered models whose answers are to be learned too.
        drawn_digits: How many digits in forms that MNIST lacks are drawn to learn from.
        outliers: How many drawings of no digit are drawn to be unsure of.
        corrections: Files of corrections, as a review leaves them, or folders of such files and of
            class folders, to be learned as well. With a / at its end a folder may be missing.
        error_rate: Share of misread validation images that may be above `uncertain`.
        seed: Of weights, order and augmentation.
        validation_fraction: Share of the training images held out, up to a half.
        name: Of the registered model. Empty: the data set's.
        version: Of the registered model. Empty: date, time and a few random digits.
        promote: Make it the current version, unless it is worse or cannot be compared.
        fresh: Train from the beginning even where a run before did the same, or was killed in it.
        command: What the manifest says that made it.
    """
    given = {
        "dataset": dataset,
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
        "validation_fraction": validation_fraction,
        "corrections": list(corrections),
        "name": name,
        "version": version,
        "promote": promote,
        "fresh": fresh,
    }
    for teacher in teachers:
        find_model(teacher)  # an unknown one is refused before anything is done
    # The last digits keep two runs of one second apart.
    run_version = version or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    report = new_report(name or short_name(dataset), run_version)
    with recording(report, "train", given | {"command": command}) as run:
        with run.stage("data"):
            located = locate_data(dataset, validation_fraction, corrections)
        if located["note"]:
            say(f"note       {located['note']}")
        name = check_name(name or located["name"])
        destination = new_bundle(name, run_version)
        with run.stage("prepare"):
            prepared = prepare_unless_there(located, validation_fraction)
        data = open_prepared(Path(prepared)).facts
        run.note(data=describe_data(data), identity=training_identity(data, given | {"name": name}))
        if not (fresh or version) and (done := find_done(run.facts["identity"])):
            return _take_from(done, run)
        return _train_anew(run, located, prepared, given, destination, command)


def _take_from(done: RunRecord, run: Run) -> dict[str, Any]:
    """Return what a run before gave, and let this one say so."""
    registration, metrics = done.facts["model"], done.facts["metrics"]
    # Without an identity: what did nothing is nothing to take from.
    run.note(outcome=f"taken from {done.name}", model=registration, metrics=metrics, identity=None)
    say(f"same       as {done.name}: data, options, seed and code; --fresh trains again")
    say(f"report     {done.folder.resolve() / 'report.html'}")
    say(f"model      {registration['folder']}")
    say(f"           then {registration['outcome']}")
    return registration


def _train_anew(
    run: Run,
    located: dict[str, Any],
    prepared: str,
    given: dict[str, Any],
    destination: Path,
    command: str,
) -> dict[str, Any]:
    network, dataset, report = given["network"], located["name"], run.folder
    name, version = destination.parent.name, destination.name
    options = {option: given[option] for option in TRAINING_OPTIONS}
    identity, fresh = run.facts["identity"], given["fresh"]
    with working_draft(destination.parent, identity, fresh) as draft:
        with run.stage("fit"):
            fitted = fit(prepared, str(draft), options, located["note"])
        _say_fit(network, fitted)
        with run.stage("export"):
            differences = export(prepared, str(draft))
        _say_export(differences)
        with run.stage("compare"):
            compare(prepared, str(draft), name)
        title = f"{name}@{version}: {network} on {dataset}"
        with run.stage("evaluate"):
            metrics = evaluate(prepared, str(draft), str(report), title)
        say(
            f"test       {percent(metrics['accuracy'])} of {metrics['n']:,} {dataset} test images "
            f"({metrics['errors']} errors)"
        )
        with run.stage("register"):
            registration = register(
                prepared, str(draft), str(destination), command, given["promote"]
            )
    run.note(metrics=metrics, model=registration, outcome=registration["outcome"])
    run.add_output(destination)
    publish(str(report), title, metrics, registration)
    say(f"report     {report / 'report.html'}")
    say(f"model      {registration['folder']}")
    say(f"           {registration['outcome']}")
    return registration


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
        check_text(arguments, "rename it")
        dataset = arguments["dataset"]
        name = check_name(arguments.get("name", short_name(dataset)))
        new_report(name, arguments.get("version", "new"))
        new_bundle(name, arguments.get("version", "new"))
        check_dataset(dataset)
        check_corrections(arguments.get("corrections", ()))
        return train(**arguments, command=command)

    run_script(checked_run)
    say(f"total      {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
