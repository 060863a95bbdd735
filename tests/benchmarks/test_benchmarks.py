import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import joblib
import keras
import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from digitflow import Augmentation, load_dataset, make_classifier
from digitflow.learning.descriptions import describe_estimator

Script = Callable[..., None]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two fitted classifiers, as `accuracy.py --keep` leaves them."""
    folder = tmp_path_factory.mktemp("kept")
    data = load_dataset("digits")
    for seed in (0, 1):
        classifier = make_classifier("ann", epochs=1, random_state=seed)
        joblib.dump(classifier.fit(data.images, data.labels), folder / f"ann-{seed}.joblib")
    return folder


def refusal(run: Callable[[], None]) -> str:
    """Return the line with which a script ends."""
    with pytest.raises(SystemExit) as raised:
        run()
    message = str(raised.value)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def test_the_page_of_figures_is_that_of_the_results(repository: Path, module):
    tables = module("tables")

    written = tables.accuracy_page(tables.read_results(tables.DOCS / "results"))

    assert written == (repository / "docs" / "accuracy.md").read_text()


def test_each_seed_is_recorded_once(script: Script, tmp_path: Path, capsys):
    command = ["accuracy.py", "ann", "--dataset", "digits", "--epochs", "1"]
    command += ["--results", tmp_path, "--keep", tmp_path / "kept", "--seeds"]

    script(*command, "3")
    script(*command, "3", "4")

    assert "ann seed 3: recorded before" in capsys.readouterr().out
    content = json.loads((tmp_path / "ann.json").read_text())
    assert [run["seed"] for run in content["runs"]] == [3, 4]
    assert content["summary"]["n"] == 2
    for run in content["runs"]:
        assert run["accuracy"] == pytest.approx(1 - len(run["misread"]) / 360)
        assert run["command"].startswith("python benchmarks/accuracy.py ann")
        assert run["cores"] >= 1
        assert run["device"]
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == ["ann-3.joblib", "ann-4.joblib"]


def test_a_fit_that_was_killed_records_no_seconds(script: Script, tmp_path: Path, capsys, module):
    class Killed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    data = load_dataset("digits")
    classifier = make_classifier("ann", epochs=2, random_state=0, callbacks=[Killed()])
    classifier.set_params(checkpoint=tmp_path / "ann-0.checkpoint.npz")
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(data.images, data.labels)
    command = ["accuracy.py", "ann", "--dataset", "digits", "--epochs", "2"]

    script(*command, "--seeds", "0", "--keep", tmp_path, "--results", tmp_path)

    content = json.loads((tmp_path / "ann.json").read_text())
    assert content["runs"][0]["epochs"] == 2
    assert content["runs"][0]["fit_seconds"] is None
    assert content["summary"]["fit_seconds"] is None
    assert "fit in parts" in capsys.readouterr().out
    tables = module("tables")
    assert "| in parts " in tables.accuracy_page(tables.read_results(tmp_path))


@pytest.fixture
def recorded(kept: Path, tmp_path: Path) -> Path:
    """Return a result file with one run, as `accuracy.py ann --dataset digits --epochs 1` does."""
    run = {
        "seed": 0,
        "command": "python benchmarks/accuracy.py ann --seeds 0 --dataset digits --epochs 1",
        "estimator": describe_estimator(joblib.load(kept / "ann-0.joblib")),
    }
    target = tmp_path / "ann.json"
    target.write_text(json.dumps({"data": "digits", "summary": {}, "runs": [run]}))
    return target


ANN = ["accuracy.py", "ann", "--dataset", "digits", "--epochs", "1"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--epochs", "2"], "epochs=1, but this one has 2"),
        (["--dataset", "mnist"], "data='digits', but this one has 'mnist'"),
        (["--teachers", "a.joblib"], "teachers=[], but this one has ['a.joblib']"),
    ],
)
def test_trainings_are_not_mixed_under_one_name(
    script: Script, recorded: Path, words: list[str], what: str, capsys
):
    before = recorded.read_text()
    results = ["--results", recorded.parent]

    script(*ANN, *results)
    message = refusal(lambda: script(*ANN, *words, *results))

    assert "ann seed 0: recorded before" in capsys.readouterr().out
    assert str(recorded) in message
    assert what in message
    assert "--name" in message
    assert recorded.read_text() == before


def test_another_network_or_recipe_is_not_mixed_in(script: Script, recorded: Path):
    words = ["--dataset", "digits", "--epochs", "1", "--name", "ann", "--results", recorded.parent]

    assert "class='ANNClassifier'" in refusal(lambda: script("accuracy.py", "fast", *words))
    assert "ann.json: holds runs with" in refusal(lambda: script("accuracy.py", "mlp", *words))
    content = json.loads(recorded.read_text())
    content["runs"][-1]["estimator"]["recipe"]["augmentation"]["shift"] = 3
    recorded.write_text(json.dumps(content))
    assert "augmentation={" in refusal(lambda: script("accuracy.py", "ann", *words))


def test_what_a_network_learned_from_counts(script: Script, recorded: Path):
    recorded.write_text(recorded.read_text().replace("--epochs 1", "--epochs 1 --teachers a b"))

    message = refusal(lambda: script(*ANN, "--results", recorded.parent))

    assert "teachers=['a', 'b'], but this one has []" in message


@pytest.mark.parametrize("content", ['{"data": "mnist", "networks": []}', "[]", '{"runs'])
def test_a_file_without_runs_is_left_alone(script: Script, tmp_path: Path, content: str):
    (tmp_path / "ann.json").write_text(content)

    assert "ann.json: holds no runs" in refusal(
        lambda: script("accuracy.py", "ann", "--results", tmp_path)
    )
    assert (tmp_path / "ann.json").read_text() == content


def test_a_missing_teacher_is_named(script: Script, tmp_path: Path):
    words = ["--teachers", tmp_path / "none.joblib", "--results", tmp_path]

    assert "none.joblib: cannot be read" in refusal(lambda: script("accuracy.py", "ann", *words))


def test_the_vote_is_that_of_scikit_learn(script: Script, kept: Path, tmp_path: Path, module):
    script(
        *["vote.py", "ann", "--seeds", "0", "1", "--dataset", "digits"],
        *["--kept", kept, "--results", tmp_path],
    )

    data, test = load_dataset("digits"), load_dataset("digits", split="test")
    fitted = [FrozenEstimator(joblib.load(kept / f"ann-{seed}.joblib")) for seed in (0, 1)]
    members = [(str(seed), member) for seed, member in enumerate(fitted)]
    vote = VotingClassifier(members, voting="soft").fit(data.images, data.labels)
    content = json.loads((tmp_path / "ann_vote.json").read_text())
    wrong = np.flatnonzero(vote.predict(test.images) != test.labels)
    assert 0 < len(wrong) < 360
    assert content["misread"] == wrong.tolist()
    assert content["accuracy"] == pytest.approx(1 - len(wrong) / 360)
    assert [member["seed"] for member in content["members"]] == [0, 1]
    for member, classifier in zip(content["members"], fitted, strict=True):
        assert member["accuracy"] == pytest.approx(classifier.score(test.images, test.labels))
    command = "python benchmarks/vote.py ann --seeds 0 1 --dataset digits --kept FOLDER"
    assert content["command"] == command
    assert content["libraries"]["digitflow"]
    tables = module("tables")
    page = tables.accuracy_page(tables.read_results(tmp_path))
    assert "## Soft vote" in page
    assert f"| {len(wrong)} " in page
    assert f"[ann_vote](results/ann_vote.json) | {command} |" in page


def test_what_cannot_vote_is_named(script: Script, kept: Path, tmp_path: Path):
    data = load_dataset("digits")
    few = data.labels < 2
    others = {
        "missing": None,
        "text": b"no pickle",
        "foreign": LogisticRegression(),
        "unfitted": make_classifier("ann"),
        "classes": make_classifier("ann", epochs=1).fit(data.images[few], data.labels[few]),
    }
    messages = {}
    for name, other in others.items():
        joblib.dump(joblib.load(kept / "ann-0.joblib"), tmp_path / f"{name}-0.joblib")
        member = tmp_path / f"{name}-1.joblib"
        if isinstance(other, bytes):
            member.write_bytes(other)
        elif other is not None:
            joblib.dump(other, member)
        words = [name, "--seeds", "0", "1", "--kept", tmp_path, "--results", tmp_path]
        messages[name] = refusal(lambda words=words: script("vote.py", *words))
        assert str(member) in messages[name]

    assert "cannot be read (No such file or directory); fit it" in messages["missing"]
    assert "cannot be read" in messages["text"]
    assert "no fitted classifier of digitflow, but a LogisticRegression" in messages["foreign"]
    assert "no fitted classifier" in messages["unfitted"]
    assert "knows the classes [0, 1], but" in messages["classes"]
    assert not list(tmp_path.glob("*.json"))


def test_no_member_has_two_votes(script: Script, kept: Path, tmp_path: Path):
    words = ["ann", "--seeds", "0", "0", "--kept", kept, "--results", tmp_path]

    assert "named twice" in refusal(lambda: script("vote.py", *words))


def test_clocks_of_two_networks_stand_side_by_side(script: Script, tmp_path: Path, capsys, module):
    output, few = tmp_path / "clocks.json", tmp_path / "few.npz"
    data = load_dataset("digits")
    images, labels = data.images[:300], data.labels[:300]
    np.savez(few, x_train=images, y_train=labels, x_test=images[:50], y_test=labels[:50])

    script(
        *["training.py", "--dataset", few, "--networks", "fast", "ann", "--seed", "7"],
        *["--output", output],
    )

    content = json.loads(output.read_text())
    fast, ann = content["networks"]
    assert fast["fit_seconds"] > 0
    assert ann["compile_seconds"] > 0
    assert fast["epochs"] == 4
    assert content["cores"] >= 1
    assert content["device"]
    assert content["command"].endswith(f"--networks fast ann --dataset {few} --seed 7")
    tables = module("tables")
    table = tables.clocks_table(content)
    assert table in capsys.readouterr().out
    page = tables.accuracy_page(tables.read_results(tmp_path))
    assert "## Seconds to an accuracy" in page
    assert table in page


def test_a_clock_counts_training_batches_only(module, monkeypatch: pytest.MonkeyPatch):
    training = module("training")
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Passing(keras.callbacks.Callback):
        """Let a second pass in each batch, a thousand in each validation."""

        def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
            clock.now += 1

        def on_test_begin(self, logs: dict | None = None) -> None:
            clock.now += 1000

    data = load_dataset("digits")
    images, labels = data.images[:200], data.labels[:200]
    stopwatch = training.Stopwatch("ann", data)
    classifier = make_classifier("ann", epochs=3, callbacks=[Passing(), stopwatch])
    classifier.fit(images[:160], labels[:160], X_val=images[160:], y_val=labels[160:])

    assert stopwatch.compile_seconds == 1
    assert stopwatch.fit_seconds == 3 * 5 - 1
    assert clock.now > 3000


def test_what_is_reached_is_shown_with_its_ratio(module):
    networks = [
        {
            "network": name,
            "data_seconds": 0.1,
            "compile_seconds": 2.0,
            "epochs": 5,
            "reached": reached,
        }
        for name, reached in [
            ("fast", {"99.0%": {"seconds": 20.0, "epochs": 2}}),
            ("conv5", {"99.0%": {"seconds": 250.0, "epochs": 4}}),
        ]
    ]
    content = {"data": "mnist", "seed": 0, "accuracies": ["99.0%", "99.4%"], "cores": 2}

    table = module("tables").clocks_table(content | {"networks": networks, "device": "A GPU"})

    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert ["to 99.0%", "20.0 s, epoch 2", "250.0 s, epoch 4", "12.5"] in cells
    assert ["to 99.4%", "not in 5 epochs", "not in 5 epochs", ""] in cells
    assert table.startswith("mnist, seed 0, 2 cores, A GPU:")


def test_the_share_of_each_augmentation_is_measured(script: Script, tmp_path: Path, capsys, module):
    output = tmp_path / "augmentation.json"

    script("augmentation.py", "--networks", "fast", "--rounds", "2", "--output", output)

    content = json.loads(output.read_text())
    (fast,) = content["steps"]
    assert fast["batch_size"] == 256
    assert fast["step_milliseconds"] > 0
    every = {"nothing", *Augmentation().get_params(), "all together", "as in the recipe"}
    assert fast["shares"].keys() == every
    assert all(0 < share < 1 for share in fast["shares"].values())
    assert content["cores"] >= 1
    tables = module("tables")
    table = tables.augmentation_table(content)
    assert table in capsys.readouterr().out
    assert table in tables.accuracy_page(tables.read_results(tmp_path))
