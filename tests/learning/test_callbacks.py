import copy
import importlib.util
import pickle
import sys

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar as ScikitLearnProgressBar
from sklearn.callback import ScoringMonitor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from digitflow import ANNClassifier, load_dataset
from digitflow.errors import TrainingError

needs_rich = pytest.mark.skipif(
    importlib.util.find_spec("rich") is None, reason="scikit-learn's bar needs rich"
)


def new_ann(**parameters) -> ANNClassifier:
    small = {"epochs": 3, "batch_size": 64, "random_state": 0, "optimizer": "sgd"}
    return ANNClassifier((8,), 0.0, **{**small, **parameters})


def weights_of(classifier) -> np.ndarray:
    return np.concatenate([array.ravel() for array in classifier.network_.get_weights()])


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:100].reshape(-1, 784), data.labels[:100]


class Epochs(keras.callbacks.Callback):
    """Any callback of Keras: it counts, and may stop the fit."""

    def __init__(self, stop_after: int = 100):
        super().__init__()
        self.stop_after = stop_after
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(sorted(logs))
        self.model.stop_training = epoch + 1 >= self.stop_after


def test_any_callback_of_keras_is_called_and_may_stop_the_fit(digits):
    epochs = Epochs(stop_after=2)

    classifier = new_ann(callbacks=[epochs]).fit(*digits)

    assert epochs.seen == [["accuracy", "loss"]] * 2
    assert len(classifier.history_["loss"]) == 2


def test_a_fitted_estimator_with_callbacks_is_cloned_and_stored(digits):
    classifier = new_ann(callbacks=[keras.callbacks.EarlyStopping("loss"), Epochs()]).fit(*digits)

    again = clone(classifier).fit(*digits)
    stored = pickle.loads(pickle.dumps(classifier))

    for copied in (again, stored, copy.deepcopy(classifier)):
        assert np.array_equal(weights_of(copied), weights_of(classifier))


def test_a_callback_that_raises_ends_the_fit_and_leaves_nothing(digits):
    class Broken(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("no more")

    classifier = new_ann(callbacks=[Broken()])

    with pytest.raises(RuntimeError, match="no more"):
        classifier.fit(*digits)
    assert vars(classifier).keys() == classifier.get_params(deep=False).keys()


class Terminal:
    """What tqdm takes for a terminal."""

    def __init__(self, is_terminal: bool):
        self.is_terminal = is_terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(("verbose", "is_terminal"), [(0, True), (1, True), (1, False), (2, True)])
def test_a_bar_is_shown_on_a_terminal_only(digits, monkeypatch, verbose: int, is_terminal: bool):
    terminal = Terminal(is_terminal)
    monkeypatch.setattr(sys, "stderr", terminal)

    new_ann(verbose=verbose).fit(*digits)

    if verbose and is_terminal:
        assert "training" in terminal.text
        assert "100%" in terminal.text or "6/6" in terminal.text
    else:
        assert terminal.text == ""


def test_the_bar_of_a_fit_that_fails_is_closed(digits, monkeypatch):
    terminal = Terminal(True)
    monkeypatch.setattr(sys, "stderr", terminal)

    with pytest.raises(TrainingError):
        new_ann(verbose=1, learning_rate=1e30, batch_size=8).fit(*digits)

    assert terminal.text.endswith("\r")  # the line is cleared


def test_a_scoring_monitor_sees_each_epoch_and_changes_nothing(digits):
    monitor = ScoringMonitor(scoring="accuracy")

    classifier = new_ann().set_callbacks(monitor).fit(*digits)

    rows = monitor.get_logs().data
    epochs = [row for row in rows if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in epochs] == [0, 1, 2]
    assert epochs[-1]["accuracy"] == classifier.score(*digits)
    assert [row["accuracy"] for row in rows if row["task_name"] == "fit"] == [
        classifier.score(*digits)
    ]
    assert np.array_equal(weights_of(classifier), weights_of(new_ann().fit(*digits)))
    again = classifier.fit(*digits)
    assert np.array_equal(weights_of(again), weights_of(new_ann().fit(*digits)))


def test_a_fitted_estimator_with_a_monitor_is_stored(digits):
    classifier = new_ann().set_callbacks(ScoringMonitor(scoring="accuracy")).fit(*digits)

    stored = pickle.loads(pickle.dumps(classifier))

    assert np.array_equal(stored.predict(digits[0]), classifier.predict(digits[0]))


class StopAfterTwo:
    """A callback of scikit-learn's protocol that asks the fit to end."""

    def setup(self, estimator, context):
        self.events = ["setup"]

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        self.events.append(f"end {context.task_name}")
        return context.task_name == "epoch" and context.task_id == 1


def test_a_callback_of_scikit_learn_may_stop_the_fit(digits):
    stop = StopAfterTwo()

    classifier = new_ann(epochs=9).set_callbacks(stop).fit(*digits)

    assert len(classifier.history_["loss"]) == 2
    epoch = ["begin epoch", "end epoch"]
    assert stop.events == ["setup", "begin fit", *epoch, *epoch, "end fit", "teardown"]


def test_callbacks_are_torn_down_where_a_fit_fails(digits):
    stop = StopAfterTwo()
    classifier = new_ann(learning_rate=1e30, batch_size=8).set_callbacks(stop)

    with pytest.raises(TrainingError):
        classifier.fit(*digits)

    assert stop.events[-1] == "teardown"
    assert not hasattr(classifier, "_callback_fit_ctx")


def test_a_monitor_works_inside_a_pipeline(digits):
    monitor = ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(FunctionTransformer(), new_ann().set_callbacks(monitor))

    pipeline.fit(*digits)

    assert monitor.get_logs().data[-1]["accuracy"] == pipeline.score(*digits)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_monitor_works_inside_a_grid_search(digits, n_jobs: int):
    monitor = ScoringMonitor(scoring="accuracy")
    classifier = new_ann(epochs=2).set_callbacks(monitor)
    search = GridSearchCV(classifier, {"batch_size": [32, 64]}, cv=2, n_jobs=n_jobs)

    search.fit(*digits)

    runs = monitor.get_logs(select="all")
    epochs = [row for run in runs for row in run.data if row["task_name"] == "epoch"]
    assert len(epochs) == 2 * (2 * 2 + 1)  # the refit at the end


@needs_rich
@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_the_bar_of_scikit_learn_works_alone_and_in_a_search(digits, capsys, n_jobs):
    estimator = new_ann(epochs=2)
    if n_jobs:
        estimator = GridSearchCV(estimator, {}, cv=2, n_jobs=n_jobs)

    estimator.set_callbacks(ScikitLearnProgressBar(max_propagation_depth=None)).fit(*digits)

    assert f"{type(estimator).__name__} - fit" in capsys.readouterr().out
