"""Search for a network's hyper-parameters; a leaderboard and the winner go to reports/.

python flows/tune_flow.py --help
"""

import argparse
import base64
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_stage import locate_data, prepare_unless_there
from orchestration import HOOKS, check_text, run_script, say  # sets Prefect's defaults: comes first
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from train_options import (
    NETWORK_NAMES,
    AtLeastOne,
    Network,
    Seed,
    ValidationFraction,
    add_data_options,
    positive,
)

from digitflow import settings
from digitflow.datasets.loading import check_dataset
from digitflow.datasets.preparing import open_prepared
from digitflow.evaluation.metrics import percent
from digitflow.models.registry import check_name
from digitflow.runs.recording import recording
from digitflow.runs.training import describe_data

if TYPE_CHECKING:  # these import TensorFlow, which takes seconds: only in the tasks that need it
    from digitflow.learning.trials import Candidate, Trial
    from digitflow.learning.tuning import Round

Plan = tuple[str, list["Candidate"], list["Round"]]


@task
def plan(
    prepared: str, network: str, trials: int, epochs: int | None, seeds: int, seed: int
) -> Plan:
    """Return the name of the search, what it tries, and in which rounds."""
    from digitflow.learning import trials as trainings
    from digitflow.learning import tuning

    recipe = tuning.recipe_for(Path(prepared), network)
    epochs = epochs or recipe.epochs
    candidates = tuning.make_candidates(recipe, trials, seed)
    rounds = tuning.plan_rounds(trials, epochs, [(seed + n) % 2**32 for n in range(seeds)])
    key = trainings.search_key(Path(prepared), network, candidates[0], epochs, seed)
    return key, candidates, rounds


@task
def run_round(
    prepared: str, trials: str, network: str, candidates: Any, this: Any, jobs: int
) -> "list[Trial]":
    """Train and judge the candidates of a round, but for those that were done before."""
    from digitflow.learning import trials as trainings

    return trainings.run_round(
        Path(prepared), Path(trials), network, candidates, this.epochs, this.seeds, jobs
    )


@task
def write(
    report: str, network: str, candidates: Any, rounds: Any, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write leaderboard, table of trials and winner; return the winner."""
    from digitflow.learning import tuning

    return tuning.write_search(Path(report), network, candidates, rounds, facts)


@task
def publish(report: str, title: str, winner: dict[str, Any]) -> None:
    """Show the leaderboard in Prefect."""
    picture = base64.b64encode(Path(report, "leaderboard.png").read_bytes()).decode()
    create_markdown_artifact(
        key="tuning-leaderboard",
        description=title,
        markdown=f"# {title}\n\nWinner: **{winner['name']}**, {percent(winner['accuracy'])} of the "
        f"validation images\n\n`{winner['parameters']}`\n\nReport: `{report}`\n\n"
        f"![leaderboard](data:image/png;base64,{picture})",
    )


@flow(name="tune", **HOOKS)
def tune(
    dataset: str = "auto",
    network: Network = "fast",
    trials: AtLeastOne = 20,
    epochs: AtLeastOne | None = None,
    seeds: AtLeastOne = 3,
    seed: Seed = 0,
    validation_fraction: ValidationFraction = 0.1,
    jobs: AtLeastOne = 1,
    name: str | None = None,
) -> dict[str, Any]:
    """Search for hyper-parameters: data, rounds of trials, leaderboard.

    Returns what `winner.json` says. The same call after a kill goes on where it was.

    Args:
        dataset: Name of a data set, or a path; auto takes MNIST where it is within reach.
        network: What to tune: fast, robust, accurate or tiny, for what their names say; the others
            are to compare with.
        trials: Candidates in the first round, recipe included.
        epochs: Of the last round. Empty: the network's recipe.
        seeds: Trainings of each finalist.
        seed: Of candidates, weights and order.
        validation_fraction: Share of the training images held out, up to a half.
        jobs: Trainings at the same time, a process each.
        name: Of the folder in reports/. Empty: data set, network and a digest of the search.
    """
    if name:  # may come from a form; it becomes a folder's
        check_name(name, "name of the search")
    from digitflow.learning.tuning import TRIALS, survivors

    given = {
        "dataset": dataset,
        "network": network,
        "trials": trials,
        "epochs": epochs,
        "seeds": seeds,
        "seed": seed,
        "validation_fraction": validation_fraction,
        "jobs": jobs,
        "name": name,
    }
    located = locate_data(dataset, validation_fraction)
    if located["note"]:
        say(f"note       {located['note']}")
    prepared = prepare_unless_there(located, validation_fraction)

    key, candidates, rounds = plan(prepared, network, trials, epochs, seeds, seed)
    report = settings.reports_folder().resolve() / (
        name or f"tune-{located['name']}-{network}-{key}"
    )
    with recording(report, "tune", given) as run:
        run.note(data=describe_data(open_prepared(Path(prepared)).facts))
        done: list[list[Trial]] = []
        left = candidates
        for number, this in enumerate(rounds, start=1):
            left = survivors(left, done[-1], this.size) if done else left
            before = _count(report / TRIALS)
            with run.stage(f"round {number}"):
                trained = run_round(prepared, str(report / TRIALS), network, left, this, jobs)
            done.append(trained)
            _say_round(number, this, trained, _count(report / TRIALS) - before)
        facts = {"dataset": located["dataset"], "validation_fraction": validation_fraction}
        with run.stage("write"):
            winner = write(str(report), network, candidates, done, facts)
        run.note(metrics=winner, outcome=f"winner {winner['name']}")
    publish(str(report), f"{network} on {located['name']}", winner)
    _say_winner(winner, report)
    return winner


def _count(trials: Path) -> int:
    return len(list(trials.glob("*.json")))


def _say_round(number: int, this: "Round", trials: "Sequence[Trial]", trained: int) -> None:
    best = max(trials, key=lambda trial: trial.accuracy)
    failed = sum(bool(trial.error) for trial in trials)
    again = len(trials) - trained
    notes = (
        f"; {again} taken from before" if again else "",
        f"; {failed} failed: {next(t.error for t in trials if t.error)}" if failed else "",
    )
    epochs = f"{this.epochs} epoch{'s' if this.epochs > 1 else ''}"
    say(
        f"round {number}    {len(trials)} trainings of {epochs}; best {percent(best.accuracy)} "
        f"({best.candidate}){''.join(notes)}"
    )


def _say_winner(winner: dict[str, Any], report: Path) -> None:
    from digitflow.learning.tuning import shown

    spread = winner["standard_deviation"]
    deviation = "" if spread is None else f" ± {100 * spread:.2f}"
    than = ""
    if winner["name"] != "recipe" and winner["recipe_accuracy"] is not None:
        than = f"; the recipe {percent(winner['recipe_accuracy'])}"
    say(
        f"winner     {winner['name']}: {percent(winner['accuracy'])}{deviation} of the validation "
        f"images, which chose it{than}"
    )
    values = shown(winner["parameters"])
    say(f"           {', '.join(f'{name}={value}' for name, value in values.items())}")
    say(f"report     {report / 'leaderboard.png'}")
    words = ["python", "flows/train_flow.py", "--dataset", winner["dataset"]]
    words += ["--parameters", str(report / "winner.json")]
    # The same split: otherwise the new model could know what judged the search.
    words += ["--validation-fraction", f"{winner['validation_fraction']:g}"]
    say(f"train it   {shlex.join(words)}")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(
        description="Search for a network's hyper-parameters: random candidates beside the "
        "network's recipe, a third of them going on at three times the epochs, twice; judged on "
        "held-out writers of the training images, never on test images. Leaves leaderboard.csv, "
        "leaderboard.png, trials.csv and winner.json in reports/. The same command after a kill "
        "goes on where it was; with more trials it keeps those done.",
        epilog="Exit codes: 0 done; 1 no candidate could be trained, or Prefect's server is not "
        "there; 2 wrong usage; 5 data unavailable or damaged; 6 output cannot be written; 130 "
        "interrupted; 143 terminated.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--network", choices=NETWORK_NAMES, default="fast", help="to tune")
    whole = positive(int)
    parser.add_argument(
        "--trials", type=whole, default=20, help="candidates in the first round, recipe included"
    )
    parser.add_argument(
        "--epochs",
        type=whole,
        default=argparse.SUPPRESS,
        help="of the last round (default: what train_flow.py would take)",
    )
    parser.add_argument("--seeds", type=whole, default=3, help="trainings of each finalist")
    parser.add_argument(
        "--jobs", type=whole, default=1, help="trainings at the same time, a process each"
    )
    parser.add_argument(
        "--name",
        default=argparse.SUPPRESS,
        help="of the folder in reports/ (default: data set, network and a digest of the search)",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Run the flow as a script."""
    arguments = vars(parse_arguments())
    started = time.perf_counter()

    def checked_run() -> dict[str, Any]:
        # Before Prefect's server is started: what cannot work is said at once.
        check_text(arguments, "rename it")
        check_name(arguments.get("name", "default"), "name of the search")
        check_dataset(arguments["dataset"])
        return tune(**arguments)

    run_script(checked_run)
    say(f"total      {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
