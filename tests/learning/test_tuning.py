import json
from pathlib import Path

import pytest

from digitflow.datasets.preparing import open_prepared, prepare_dataset
from digitflow.errors import TrainingError, UsageError
from digitflow.learning import trials, tuning
from digitflow.learning.augmentation import Augmentation
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


def candidates(count: int, **told) -> list[Candidate]:
    return tuning.make_candidates(RECIPE, count, seed=0, **told)


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


def test_a_space_of_ones_own_may_name_any_hyper_parameter():
    _, made = candidates(2, space={"hidden_layers": [[32]], "elastic": [2.0], "optimizer": ["sgd"]})

    arguments = arguments_of(made.parameters)
    assert arguments["hidden_layers"] == (32,)
    assert arguments["optimizer"] == "sgd"
    assert arguments["augmentation"].elastic == 2.0
    assert arguments["learning_rate"] == RECIPE.learning_rate


@pytest.mark.parametrize(("count", "space"), [(0, None), (3, {})])
def test_a_search_of_nothing_is_refused(count: int, space):
    with pytest.raises(UsageError, match="at least"):
        candidates(count, space=space)


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


def test_two_processes_find_what_one_finds(prepared: Path, tmp_path: Path):
    made, this = candidates(3), Round(3, 1, (0,))

    one = trials.run_round(prepared, tmp_path / "one", "ann", made, this.epochs, this.seeds)
    two = trials.run_round(
        prepared, tmp_path / "two", "ann", made, this.epochs, this.seeds, n_jobs=2
    )

    assert [t.accuracy for t in one] == [t.accuracy for t in two]
    assert [t.log_loss for t in one] == pytest.approx([t.log_loss for t in two], rel=1e-4)


def test_a_training_that_fails_is_a_trial_like_another(prepared: Path, tmp_path: Path):
    made = candidates(2, space={"learning_rate": [1e30], "optimizer": ["sgd"]})

    recipe, wild = trials.run_round(prepared, tmp_path, "ann", made, 1, (0,))

    assert recipe.error == ""
    assert recipe.accuracy > 0.5
    assert "use a smaller one" in wild.error
    assert (wild.accuracy, wild.log_loss) == (0, None)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_winner_is_what_make_classifier_takes(prepared: Path, tmp_path: Path):
    made = candidates(2, space={"learning_rate": [0.00001], "shift": [1]})
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
    network, parameters = tuning.read_winner(tmp_path)
    classifier = make_classifier(network, **parameters, random_state=0)
    assert isinstance(classifier.recipe().augmentation, Augmentation)
    data = open_prepared(prepared)
    score = classifier.fit(*data.load("train")).score(*data.load("validation"))
    assert score == rounds[1][0].accuracy


def test_of_equals_the_recipe_wins(tmp_path: Path):
    made = candidates(3)
    last = [trial(candidate.name, 0.9) for candidate in made]

    assert tuning.write_search(tmp_path, "ann", made, [last], {})["name"] == "recipe"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"network": "fast"}'])
def test_a_folder_without_a_winner_is_refused(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "winner.json").write_text(content)

    with pytest.raises(UsageError, match="holds no winner of a search"):
        tuning.read_winner(tmp_path)


def test_the_key_of_a_search_changes_with_what_decides_it(prepared: Path):
    keys = [
        trials.search_key(prepared, *told)
        for told in [("ann", 5, 0), ("fast", 5, 0), ("ann", 6, 0), ("ann", 5, 1)]
    ]

    assert len(set(keys)) == 4
    assert keys[0] == trials.search_key(prepared, "ann", 5, 0)
