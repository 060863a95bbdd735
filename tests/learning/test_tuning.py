import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from digitflow.datasets import preparing
from digitflow.datasets.loading import load_dataset
from digitflow.datasets.preparing import open_prepared, prepare_dataset
from digitflow.errors import TrainingError, UsageError
from digitflow.learning import trials, tuning
from digitflow.learning.descriptions import arguments_of
from digitflow.learning.estimators import make_classifier
from digitflow.learning.networks import NETWORKS
from digitflow.learning.recipes import RECIPES
from digitflow.learning.trials import Candidate, Trial
from digitflow.learning.tuning import Round

RECIPE = RECIPES["ann"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return prepared data without test images: no search may want them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        folder = prepare_dataset("digits").folder
    (folder / "test.npz").unlink()
    return folder


@pytest.fixture
def prepared_by_writer(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return prepared data whose writers are made up: each wrote 20 digits in a row."""

    def load(name: str, split: str = "train"):
        data = load_dataset(name, split)
        return replace(data, writers=(np.arange(len(data)) // 20).astype(np.int32))

    monkeypatch.setattr(preparing, "load_dataset", load)
    return prepare_dataset("digits").folder


def candidates(count: int) -> list[Candidate]:
    return tuning.make_candidates(RECIPE, count, seed=0)


def changed(candidate: Candidate, **told) -> Candidate:
    return candidate._replace(parameters=candidate.parameters | told)


def trial(name: str, accuracy: float, seed: int = 0, error: str = "") -> Trial:
    return Trial(name, 1, seed, accuracy, None if error else 0.1, 1.0, error)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_a_longer_list_of_candidates_begins_with_the_shorter_one():
    few, many = candidates(4), candidates(9)

    assert many[:4] == few
    assert few[0] == Candidate("recipe", few[0].parameters)
    assert [candidate.name for candidate in few[1:]] == ["trial 001", "trial 002", "trial 003"]
    assert len({json.dumps(candidate.parameters) for candidate in many}) == 9
    assert tuning.make_candidates(RECIPE, 4, seed=1)[1:] != few[1:]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_default_candidates_of_every_network_are_ones_it_takes(network: str):
    made = tuning.make_candidates(RECIPES[network], 6, seed=0)

    for candidate in made:
        make_classifier(network, **arguments_of(candidate.parameters)).recipe()
    own = make_classifier(network, **arguments_of(made[0].parameters)).recipe()
    assert vars(own).keys() == vars(RECIPES[network]).keys()
    assert own.augmentation.get_params() == RECIPES[network].augmentation.get_params()
    assert (own.learning_rate, own.batch_size) == (
        RECIPES[network].learning_rate,
        RECIPES[network].batch_size,
    )


@pytest.mark.parametrize(
    ("trials", "epochs", "plan"),
    [
        (20, 5, [(20, 1), (7, 2), (3, 5)]),
        (4, 18, [(4, 2), (2, 6), (2, 18)]),
        (1, 1, [(1, 1), (1, 1), (1, 1)]),
    ],
)
def test_rounds_have_fewer_candidates_and_more_epochs(trials: int, epochs: int, plan):
    rounds = tuning.plan_rounds(trials, epochs, [5, 6])

    assert [(each.size, each.epochs) for each in rounds] == plan
    assert [each.seeds for each in rounds] == [(5,), (5,), (5, 6)]


def test_the_best_go_on_and_the_recipe_in_any_case():
    made = candidates(4)
    scores = [trial("recipe", 0.1), trial("trial 001", 0.5), trial("trial 002", 0.9)]
    scores.append(trial("trial 003", 0, error="the loss stopped being a number"))

    kept = tuning.survivors(made, scores, 2)

    assert [candidate.name for candidate in kept] == ["recipe", "trial 002"]
    assert [c.name for c in tuning.survivors(made, scores, 4)] == [c.name for c in made[:3]]


def test_a_finalist_whose_training_failed_once_cannot_win():
    made = candidates(2)
    scores = [trial("recipe", 0.5), trial("recipe", 0.7, seed=1)]
    scores += [trial("trial 001", 1.0), trial("trial 001", 0, seed=1, error="no number")]

    (entry,) = tuning.rank_finalists(made, scores)

    assert (entry.name, entry.mean) == ("recipe", pytest.approx(0.6))
    assert entry.deviation == pytest.approx(0.1414, abs=1e-4)
    with pytest.raises(TrainingError, match="no candidate could be trained: no number"):
        tuning.rank_finalists(made[1:], scores[2:])


def test_what_was_done_is_not_done_again_and_a_damaged_file_is(prepared: Path, tmp_path: Path):
    made, this = candidates(2), Round(2, 1, (0, 1))
    first = trials.run_round(prepared, tmp_path, "ann", made, this.epochs, this.seeds)
    before = contents(tmp_path)
    assert len(before) == 4

    assert trials.run_round(prepared, tmp_path, "ann", made, this.epochs, this.seeds) == first
    assert contents(tmp_path) == before

    damaged = tmp_path / min(before)
    damaged.write_bytes(damaged.read_bytes()[:-40])
    again = trials.run_round(prepared, tmp_path, "ann", made, this.epochs, this.seeds)

    assert [(t.candidate, t.seed, t.accuracy, t.log_loss) for t in again] == [
        (t.candidate, t.seed, t.accuracy, t.log_loss) for t in first
    ]
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {damaged.name}


def test_a_trial_of_an_older_recipe_is_not_taken_for_the_same(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (made,) = candidates(1)
    (old,) = trials.run_round(prepared, tmp_path, "ann", [made], 1, (0,))
    old_key = trials.search_key(prepared, "ann", made, 1, 0)
    # What no candidate names.
    monkeypatch.setitem(RECIPES, "ann", replace(RECIPE, optimizer="sgd"))

    (new,) = trials.run_round(prepared, tmp_path, "ann", [made], 1, (0,))

    assert new.log_loss != old.log_loss
    assert len(list(tmp_path.iterdir())) == 2
    assert trials.search_key(prepared, "ann", made, 1, 0) != old_key


def test_early_stopping_holds_whole_writers_out(prepared_by_writer: Path, tmp_path: Path):
    stopping = changed(candidates(1)[0], early_stopping=True)

    (trial,) = trials.run_round(prepared_by_writer, tmp_path, "ann", [stopping], 2, (0,))

    data = open_prepared(prepared_by_writer)
    accuracies = [
        make_classifier("ann", early_stopping=True, epochs=2, random_state=0)
        .fit(*data.load("train"), groups=groups)
        .score(*data.load("validation"))
        for groups in (data.load_writers(), None)
    ]
    assert trial.accuracy == accuracies[0]
    assert trial.accuracy != accuracies[1]


def test_two_processes_find_what_one_finds(prepared: Path, tmp_path: Path):
    made, this = candidates(3), Round(3, 1, (0,))

    one = trials.run_round(prepared, tmp_path / "one", "ann", made, this.epochs, this.seeds)
    two = trials.run_round(
        prepared, tmp_path / "two", "ann", made, this.epochs, this.seeds, n_jobs=2
    )

    assert [t.accuracy for t in one] == [t.accuracy for t in two]
    assert [t.log_loss for t in one] == pytest.approx([t.log_loss for t in two], rel=1e-4)


def test_a_training_that_fails_is_a_trial_like_another(prepared: Path, tmp_path: Path):
    made = candidates(2)
    made[1] = changed(made[1], learning_rate=1e30, optimizer="sgd")

    recipe, wild = trials.run_round(prepared, tmp_path, "ann", made, 1, (0,))

    assert recipe.error == ""
    assert recipe.accuracy > 0.5
    assert "use a smaller one" in wild.error
    assert (wild.accuracy, wild.log_loss) == (0, None)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_winner_is_what_make_classifier_takes(prepared: Path, tmp_path: Path):
    made = candidates(2)
    made[1] = changed(made[1], learning_rate=0.00001)
    rounds = [
        trials.run_round(prepared, tmp_path / tuning.TRIALS, "ann", made, this.epochs, this.seeds)
        for this in (Round(2, 1, (0,)), Round(2, 2, (0, 1)))
    ]

    said = tuning.write_search(tmp_path, "ann", made, rounds, {"dataset": "digits"})

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "leaderboard.csv",
        "leaderboard.png",
        "trials",
        "trials.csv",
        "winner.json",
    ]
    assert said["name"] == "recipe"
    assert said == json.loads((tmp_path / "winner.json").read_text())
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 1 + 2 + 4
    network, parameters = tuning.read_winner(tmp_path / tuning.WINNER)
    classifier = make_classifier(network, **arguments_of(parameters), random_state=0)
    data = open_prepared(prepared)
    score = classifier.fit(*data.load("train")).score(*data.load("validation"))
    assert score == rounds[1][0].accuracy


def test_of_equals_the_recipe_wins(tmp_path: Path):
    made = candidates(3)
    last = [trial(candidate.name, 0.9) for candidate in made]

    assert tuning.write_search(tmp_path, "ann", made, [last], {})["name"] == "recipe"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ('{"network": "fast"}', "'parameters'"),
        ('{"network": "fast", "parameters": 3}', "not iterable"),
        ('{"network": "fats", "parameters": {}}', "'fats'"),
        ('{"network": "fast", "parameters": {"epoch": 3}}', "'epoch'"),
        ('{"network": "fast", "parameters": {"epochs": 0}}', "epochs=0"),
        ('{"network": "fast", "parameters": {"augmentation": {"spin": 3}}}', "'spin'"),
    ],
)
def test_a_file_without_a_winner_is_refused(tmp_path: Path, content: str | None, problem: str):
    path = tmp_path / "winner.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(UsageError, match=f"{path}: holds no winner .*{problem}.* one first"):
        tuning.read_winner(path)


def test_the_key_of_a_search_changes_with_what_decides_it(prepared: Path):
    (recipe,) = candidates(1)
    keys = [
        trials.search_key(prepared, network, recipe, epochs, seed)
        for network, epochs, seed in [("ann", 5, 0), ("fast", 5, 0), ("ann", 6, 0), ("ann", 5, 1)]
    ]

    assert len(set(keys)) == 4
    assert keys[0] == trials.search_key(prepared, "ann", recipe, 5, 0)
