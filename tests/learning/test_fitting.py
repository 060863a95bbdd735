import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest

from digitflow import ANNClassifier, CNNClassifier, load_dataset
from digitflow.errors import TrainingError, UsageError
from digitflow.learning.examples import Examples, hold_out

SMALL = {"epochs": 1, "batch_size": 64, "random_state": 0}


def new_ann(**parameters) -> ANNClassifier:
    return ANNClassifier((8,), 0.0, **{**SMALL, "optimizer": "sgd", **parameters})


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:200], data.labels[:200]


@pytest.fixture
def split(digits):
    images, labels = digits
    return images[:150], labels[:150], {"X_val": images[150:], "y_val": labels[150:]}


class Weights(keras.callbacks.Callback):
    """Keep what the network predicts after each epoch, and the learning rate."""

    def __init__(self, images):
        super().__init__()
        self.images = images.astype(np.float32)[..., np.newaxis] / 255
        self.predictions, self.rates = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.predictions.append(np.asarray(self.model(self.images, training=False)))
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_early_stopping_takes_the_weights_of_the_best_epoch(split):
    images, labels, validation = split
    # So high a rate that the loss on the validation images soon rises.
    seen = Weights(validation["X_val"])
    classifier = new_ann(
        epochs=50,
        batch_size=8,
        learning_rate=0.05,
        early_stopping=True,
        n_iter_no_change=2,
        callbacks=[seen],
    )

    classifier.fit(images, labels, **validation)

    losses = classifier.history_["val_loss"]
    best = int(np.argmin(losses))
    assert best == len(losses) - 3 < 47
    found = classifier.predict_proba(validation["X_val"])
    assert np.allclose(found, seen.predictions[best], atol=1e-6)
    assert not np.allclose(found, seen.predictions[-1], atol=1e-6)


def test_early_stopping_holds_a_tenth_out_where_no_validation_is_given(digits):
    classifier = new_ann(early_stopping=True, epochs=2).fit(*digits)

    assert "val_loss" in classifier.history_


def test_plateau_halves_the_rate_where_the_loss_stands_still(split):
    images, labels, validation = split
    seen = Weights(images[:1])
    # The labels say nothing: the loss on others only grows.
    shuffled = np.random.default_rng(0).permutation(labels)
    classifier = new_ann(epochs=16, learning_rate=0.1, schedule="plateau", callbacks=[seen])

    classifier.fit(images, shuffled, **validation)

    assert seen.rates[0] == pytest.approx(0.1)
    assert seen.rates[-1] <= np.float32(0.05)
    assert classifier.history_["learning_rate"][-1] <= 0.1


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", lambda peak, steps: peak / 2])
def test_every_schedule_trains(digits, schedule):
    seen = Weights(digits[0][:1])

    new_ann(epochs=2, learning_rate=0.01, schedule=schedule, callbacks=[seen]).fit(*digits)

    expected = [0.005, 0.005] if callable(schedule) else [None, 0]
    assert seen.rates[1] == pytest.approx(expected[1], abs=1e-6)


@pytest.mark.parametrize(
    "optimizer", ["adam", "adamw", "muon", "sgd", lambda rate: keras.optimizers.RMSprop(rate)]
)
def test_every_optimizer_trains(digits, optimizer):
    history = new_ann(epochs=3, learning_rate=0.005, optimizer=optimizer).fit(*digits).history_

    assert history["loss"][-1] < history["loss"][0]


def test_a_loss_that_runs_away_is_an_error(digits):
    with pytest.raises(TrainingError, match=r"stopped being a number with .*=1e\+30"):
        new_ann(epochs=5, batch_size=16, learning_rate=1e30).fit(*digits)


def test_weights_that_run_away_in_the_last_step_are_an_error(digits):
    # One step: its loss is a number, but not what it leaves.
    told = {"epochs": 1, "batch_size": 1000, "schedule": "constant", "learning_rate": 1e39}
    runaway = new_ann(**told)

    with pytest.raises(TrainingError, match="stopped being a number"):
        runaway.fit(*digits)
    with pytest.raises(TrainingError, match="stopped being a number"):
        runaway.partial_fit(*digits, classes=range(10))
    assert not hasattr(runaway, "network_")


def test_history_opens_as_a_data_frame(split):
    images, labels, validation = split

    classifier = new_ann(epochs=2).fit(images, labels, **validation)

    frame = pd.DataFrame(classifier.history_)
    assert set(frame.columns) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(frame) == 2
    assert frame.dtypes.unique().tolist() == [np.dtype("float64")]
    warm = classifier.set_params(warm_start=True).fit(images, labels)
    assert pd.DataFrame(warm.history_)["val_loss"].isna().tolist() == [False, False, True, True]


def test_validation_images_are_measured_and_not_learned_from(split):
    images, labels, validation = split

    with_them = new_ann().fit(images, labels, **validation)
    without = new_ann().fit(images, labels)

    found = with_them.predict_proba(validation["X_val"])
    assert np.array_equal(found, without.predict_proba(validation["X_val"]))
    codes = validation["y_val"]
    loss = -np.log(found[np.arange(50), codes]).mean()
    assert with_them.history_["val_loss"][-1] == pytest.approx(loss, rel=1e-4)
    assert with_them.history_["val_accuracy"][-1] == pytest.approx(
        with_them.score(validation["X_val"], codes)
    )


def test_validation_images_have_weights_too(split):
    images, labels, validation = split
    first = np.where(np.arange(50) < 25, 1.0, 0.0)

    weighted = new_ann().fit(images, labels, **validation, sample_weight_val=first)
    part = {name: values[:25] for name, values in validation.items()}
    only = new_ann().fit(images, labels, **part)

    assert weighted.history_["val_loss"] == pytest.approx(only.history_["val_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_val": None}, "X_val and y_val belong together"),
        ({"X_val": None}, "X_val and y_val belong together"),
        ({"y_val": [3]}, "inconsistent numbers of samples"),
        ({"X_val": np.zeros((50, 8, 8))}, "images of 8x8 pixels"),
        ({"X_val": np.full((50, 784), np.nan)}, "NaN"),
        ({"y_val": ["x"] * 50}, "y_val holds text"),
        ({"sample_weight_val": -np.ones(50)}, "weights are 0 or more"),
    ],
)
def test_validation_that_does_not_fit_is_refused(split, change, message: str):
    images, labels, validation = split

    with pytest.raises(ValueError, match=message):
        new_ann().fit(images, labels, **{**validation, **change})


def test_a_fraction_is_held_out_and_images_given_come_before_it(split):
    images, labels, validation = split
    counted = []

    class Count(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            counted.append(self.params["steps"])

    new_ann(batch_size=1, callbacks=[Count()], validation_fraction=0.2).fit(images, labels)
    new_ann(batch_size=1, callbacks=[Count()], validation_fraction=0.2).fit(
        images, labels, **validation
    )

    assert counted == [120, 150]


def test_no_writer_is_on_both_sides(digits, monkeypatch):
    from digitflow.learning import classifier as module

    images, labels = digits
    writers = np.array([f"writer {n // 10}" for n in range(200)])
    marked = images.copy()
    marked[:, 0, 0] = np.arange(200) // 10  # the writer, in a corner
    seen = {}

    def record(training):
        parts = training.examples, training.validation
        seen["train"], seen["validation"] = (
            set(np.rint(part.images[:, 0, 0, 0] * 255)) for part in parts
        )
        return run_training(training)

    run_training = module.run_training
    monkeypatch.setattr(module, "run_training", record)
    new_ann(validation_fraction=0.2).fit(marked, labels, groups=writers)

    assert not seen["train"] & seen["validation"]
    assert seen["train"] | seen["validation"] == set(range(20))
    assert len(seen["validation"]) == 4


@pytest.mark.parametrize("groups", [np.arange(199), np.zeros((200, 2))])
def test_groups_that_do_not_fit_are_refused(digits, groups):
    with pytest.raises(ValueError, match="groups"):
        new_ann(validation_fraction=0.2).fit(*digits, groups=groups)


def test_groups_need_something_to_hold_out(digits):
    groups = np.arange(len(digits[1])) // 10

    with pytest.raises(UsageError, match=r"^groups: tell who wrote .* set validation_fraction"):
        new_ann().fit(*digits, groups=groups)


def test_what_weighs_nothing_is_not_counted_as_held_out(digits):
    n = len(digits[1])
    weights = np.where(np.arange(n) % 2, 1.0, 0.0)
    examples = Examples(np.arange(n), digits[1], weights)

    for groups in (None, np.arange(n) // 4):
        train, validation = hold_out(examples, groups, 0.5, 0)
        assert len(validation) == pytest.approx(n / 4, abs=n / 20)
        assert len(train) + len(validation) == n // 2


def test_images_without_weight_do_not_train_nor_count(digits):
    images, labels = digits
    weights = np.where(np.arange(200) < 100, 3.0, 0.0)

    weighted = new_ann(epochs=2).fit(images, labels, sample_weight=weights)
    removed = new_ann(epochs=2).fit(images[:100], labels[:100])

    assert weighted.history_["loss"] == pytest.approx(removed.history_["loss"], rel=1e-4)
    assert np.allclose(weighted.predict_proba(images), removed.predict_proba(images), atol=1e-5)


def test_one_class_with_weight_is_no_classification(digits):
    images, labels = digits

    with pytest.raises(UsageError, match="one class only has weights above 0"):
        new_ann().fit(images, labels, sample_weight=(labels == 3).astype(float))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_predicts_in_float32(digits, precision: str):
    classifier = CNNClassifier(precision=precision, epochs=3, batch_size=32, random_state=0)
    classifier.fit(*digits)

    assert {layer.compute_dtype for layer in classifier.network_.layers} == {"float32"}
    assert {array.dtype for array in classifier.network_.get_weights()} == {np.dtype("float32")}
    assert keras.config.dtype_policy().name == "float32"
    assert classifier.history_["loss"][-1] < classifier.history_["loss"][0]


def test_the_device_is_the_one_asked_for(digits):
    assert new_ann(device="cpu").fit(*digits).score(*digits) >= 0
    if keras.distribution.list_devices("gpu"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="device='gpu': this machine shows no GPU; use"):
        new_ann(device="gpu").fit(*digits)


def test_a_fit_leaves_tensorflow_free_to_draw_without_a_seed():
    script = """
import numpy as np
from digitflow import ANNClassifier
ANNClassifier((4,), 0.0, epochs=1, random_state=0).fit(np.eye(8), [0, 1] * 4)
import tensorflow as tf
tf.random.uniform((2,))
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


class Order(keras.callbacks.Callback):
    """Keep the loss after each batch, by epoch: of fixed weights it tells which images came."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs = [*getattr(self, "epochs", []), []]

    def on_train_batch_end(self, batch, logs=None):
        self.epochs[-1].append(round(float(logs["loss"]), 5))


def order_of(digits, **parameters) -> list[list[float]]:
    order = Order()
    new_ann(batch_size=10, learning_rate=1e-12, callbacks=[order], **parameters).fit(*digits)
    return order.epochs


def test_each_epoch_has_an_order_of_its_own(digits):
    first, second, third = order_of(digits, epochs=3)

    assert len({tuple(first), tuple(second), tuple(third)}) == 3
    # The loss over the whole epoch is that of all images, in whatever order.
    assert first[-1] == pytest.approx(second[-1], abs=1e-4)


def test_the_order_is_that_of_the_seed(digits):
    assert order_of(digits, epochs=2) == order_of(digits, epochs=2)
    assert order_of(digits, epochs=2) != order_of(digits, epochs=2, random_state=1)


def test_parts_are_trained_on_in_different_orders(digits):
    order = Order()
    classifier = new_ann(batch_size=10, learning_rate=1e-12, callbacks=[order])

    classifier.partial_fit(*digits, classes=range(10)).partial_fit(*digits)

    assert order.epochs[0] != order.epochs[1]
