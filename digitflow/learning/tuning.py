"""Search for a network's hyper-parameters: random candidates, fewer of them at more epochs.

Successive halving as in Li et al., "Hyperband" (2018), and scikit-learn's `HalvingRandomSearchCV`,
which cannot be used here: it keeps all in memory until its end, so that a killed search starts
anew, and it trains the finalists with one seed. Here each training leaves a small file.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import loguniform
from sklearn.model_selection import ParameterSampler

from digitflow.datasets.preparing import open_prepared
from digitflow.errors import TrainingError, UsageError
from digitflow.evaluation.encoding import csv_bytes
from digitflow.evaluation.leaderboard import Entry, write_leaderboard
from digitflow.files import write_bytes, write_text
from digitflow.learning.augmentation import Augmentation
from digitflow.learning.descriptions import arguments_of
from digitflow.learning.estimators import make_classifier
from digitflow.learning.recipes import Recipe
from digitflow.learning.training import TrainingOptions, make_estimator
from digitflow.learning.trials import Candidate, Trial

#: The candidate that is the network's recipe as it stands; it is never left out.
RECIPE = "recipe"

TRIALS, TRIALS_CSV, WINNER = "trials", "trials.csv", "winner.json"

_FACTOR = 3  # a round has a third of the candidates of the one before, at three times the epochs
_ROUNDS = 3

_AMOUNTS = tuple(Augmentation().get_params())


class Round(NamedTuple):
    """A round of a search."""

    size: int  # candidates that enter it
    epochs: int
    seeds: tuple[int, ...]  # each candidate is trained with each


def recipe_for(prepared: Path, network: str) -> Recipe:
    """Return how the training flow would train a network on this data."""
    n_images = open_prepared(prepared).facts["splits"]["train"]["n"]
    return make_estimator(TrainingOptions(network=network), n_images).recipe()


def make_candidates(recipe: Recipe, count: int, seed: int) -> list[Candidate]:
    """Return the recipe and `count - 1` random candidates around it.

    The same seed gives the same candidates, and a larger count the same ones and more.
    """
    tuned = ("learning_rate", "batch_size", "label_smoothing")
    own = {name: getattr(recipe, name) for name in tuned} | recipe.augmentation.get_params()
    drawn = [{}, *ParameterSampler(_space_around(recipe), count - 1, random_state=seed)]
    names = [RECIPE, *(f"trial {number:03d}" for number in range(1, count))]
    return [
        Candidate(name, _grouped(own | {key: _plain(value) for key, value in values.items()}))
        for name, values in zip(names, drawn, strict=True)
    ]


def plan_rounds(trials: int, epochs: int, seeds: Sequence[int]) -> list[Round]:
    """Return the rounds of a search: the last one at full epochs and with all seeds."""
    return [
        Round(
            size=max(math.ceil(trials / _FACTOR**number), min(trials, 2)),
            epochs=math.ceil(epochs / _FACTOR ** (_ROUNDS - 1 - number)),
            seeds=tuple(seeds) if number == _ROUNDS - 1 else tuple(seeds[:1]),
        )
        for number in range(_ROUNDS)
    ]


def survivors(
    candidates: Sequence[Candidate], trials: Sequence[Trial], size: int
) -> list[Candidate]:
    """Return the best candidates of a round, and the recipe in any case, in their own order."""
    best = sorted(trials, key=lambda trial: -trial.accuracy)  # stable: of equals the first
    names = list(dict.fromkeys(trial.candidate for trial in best if not trial.error))
    others = [name for name in names if name != RECIPE]
    kept = {RECIPE, *others[: max(size - 1, 1)]}
    return [candidate for candidate in candidates if candidate.name in kept]


def rank_finalists(candidates: Sequence[Candidate], trials: Sequence[Trial]) -> list[Entry]:
    """Return the mean of each candidate over its seeds, as rows of a leaderboard.

    A candidate of which one training failed is left out.

    Raises
    ------
    TrainingError
        If none is left.
    """
    rows = []
    for candidate in candidates:
        own = [trial for trial in trials if trial.candidate == candidate.name]
        scores = [trial.accuracy for trial in own]
        if not any(trial.error for trial in own):
            spread = statistics.stdev(scores) if len(scores) > 1 else None
            seconds = round(statistics.fmean(trial.seconds for trial in own), 2)
            parameters = shown(candidate.parameters)
            rows.append(
                Entry(candidate.name, parameters, statistics.fmean(scores), spread, seconds)
            )
    if not rows:
        raise TrainingError(f"no candidate could be trained: {trials[-1].error}")
    return rows


def write_search(
    folder: Path,
    network: str,
    candidates: Sequence[Candidate],
    rounds: Sequence[Sequence[Trial]],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the leaderboard, the table of all trials and the winner of a search.

    The leaderboard has those that reached the last round: scores of fewer epochs cannot be
    compared with theirs. Where two are equal the recipe comes first, then the lower number.

    Parameters
    ----------
    folder : Path
    network : str
    candidates : sequence of Candidate
        All of them.
    rounds : sequence of sequence of Trial
        The trials of each round.
    facts : mapping
        What else the winner's file is to say.

    Returns
    -------
    dict
        What `winner.json` says: `network`, `parameters` (see `read_winner`), `name`, `accuracy`,
        `standard_deviation`, `recipe_accuracy`, `seeds`, and the facts.
    """
    of = {candidate.name: candidate for candidate in candidates}
    last = rounds[-1]
    finalists = [
        candidate for candidate in candidates if candidate.name in {t.candidate for t in last}
    ]
    ranked = write_leaderboard(
        folder, rank_finalists(finalists, last), score_name="validation accuracy"
    )
    best = ranked[0]
    parameters = of[best.name].parameters | {"epochs": last[0].epochs}
    winner = {
        "network": network,
        "parameters": parameters,
        "name": best.name,
        "accuracy": best.mean,
        "standard_deviation": best.deviation,
        "recipe_accuracy": next((row.mean for row in ranked if row.name == RECIPE), None),
        "seeds": sorted({trial.seed for trial in last}),
        **facts,
    }
    rows = [
        {"round": number, **asdict(trial), **_flat(of[trial.candidate].parameters)}
        for number, trials in enumerate(rounds, start=1)
        for trial in trials
    ]
    write_bytes(folder / TRIALS_CSV, csv_bytes(rows))
    write_text(folder / WINNER, json.dumps(winner, indent=1) + "\n")
    return winner


def read_winner(path: Path) -> tuple[str, dict[str, Any]]:
    """Return network and hyper-parameters of a `winner.json`, as `TrainingOptions` takes them.

    Raises
    ------
    UsageError
        If the file holds none that could be trained.
    """
    try:
        winner = json.loads(path.read_text())
        network, parameters = str(winner["network"]), dict(winner["parameters"])
        make_classifier(network, **arguments_of(parameters)).recipe()
        return network, parameters
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: holds no winner of a search ({error}); run one first") from error


def shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters as people want to read them: short, without what is off."""
    return {
        name: float(f"{value:.3g}") if isinstance(value, float) else value
        for name, value in _flat(parameters).items()
        if name not in _AMOUNTS or value
    }


def _space_around(recipe: Recipe) -> dict[str, Any]:
    """Return what is searched, as `ParameterSampler` takes it; amounts of augmentation among it.

    Of lists alone, another count would draw other candidates: one is a distribution.
    """
    return {
        "learning_rate": loguniform(recipe.learning_rate / 4, recipe.learning_rate * 4),
        "batch_size": [max(1, recipe.batch_size // 2), recipe.batch_size, 2 * recipe.batch_size],
        "label_smoothing": [0.0, 0.05, 0.1, 0.15],
        "shift": [0, 1, 2, 3],
        "rotation": [0, 5, 10, 15],
        "zoom": [0.0, 0.05, 0.1, 0.15],
        "shear": [0, 4, 8],
    }


def _grouped(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat hyper-parameters with the amounts of augmentation in a dict of their own."""
    own = {name: value for name, value in values.items() if name not in _AMOUNTS}
    amounts = {name: values[name] for name in _AMOUNTS if name in values}
    return own | {"augmentation": amounts}


def _flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters with the amounts of augmentation among them."""
    own = {name: value for name, value in parameters.items() if name != "augmentation"}
    return own | parameters["augmentation"]


def _plain(value: Any) -> Any:
    """Return a drawn value as JSON has it; numpy's numbers become Python's."""
    return value.item() if hasattr(value, "item") else value
