import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from digitflow import ANNClassifier, load_dataset
from digitflow.errors import UsageError

FIT = """
import os, sys, keras
from digitflow import ANNClassifier, load_dataset

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == int(sys.argv[1]):
            os._exit(9)
    def on_train_end(self, logs=None):
        os._exit(9)

data = load_dataset("digits")
classifier = ANNClassifier((8,), 0.0, callbacks=[Kill()], **eval(sys.argv[2]))
classifier.fit(data.images[:100], data.labels[:100])
"""
KILLED = 9


class Epochs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(epoch)
        self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:100], data.labels[:100]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "fit.npz"


def parameters(path: Path, **others) -> dict:
    small = {"epochs": 5, "batch_size": 100, "random_state": 0, "checkpoint": str(path)}
    return {**small, **others}


def kill_a_fit(path: Path, before_epoch: int = 2, **others) -> dict:
    told = parameters(path, **others)
    run = subprocess.run([sys.executable, "-c", FIT, str(before_epoch), repr(told)], check=False)
    assert run.returncode == KILLED
    assert path.exists()
    return told


def new_ann(told: dict, *callbacks) -> ANNClassifier:
    return ANNClassifier((8,), 0.0, callbacks=callbacks, **told)


def undisturbed(told: dict, digits) -> ANNClassifier:
    return new_ann({**told, "checkpoint": None}).fit(*digits)


@pytest.mark.parametrize("batch_size", [100, 16])
def test_a_killed_fit_goes_on_as_if_nothing_had_happened(digits, path, batch_size: int):
    told = kill_a_fit(path, batch_size=batch_size)
    epochs = Epochs()

    resumed = new_ann(told, epochs).fit(*digits)

    assert epochs.seen == [2, 3, 4]
    assert not path.exists()
    whole = undisturbed(told, digits)
    assert resumed.history_["loss"] == pytest.approx(whole.history_["loss"], rel=1e-5)
    assert np.allclose(resumed.predict_proba(digits[0]), whole.predict_proba(digits[0]), atol=1e-5)


def test_a_fit_killed_after_its_last_epoch_is_done(digits, path):
    told = kill_a_fit(path, before_epoch=5)
    epochs = Epochs()

    resumed = new_ann(told, epochs).fit(*digits)

    assert epochs.seen == []
    assert len(resumed.history_["loss"]) == 5
    assert not path.exists()
    whole = undisturbed(told, digits)
    assert np.allclose(resumed.predict_proba(digits[0]), whole.predict_proba(digits[0]), atol=1e-5)


@pytest.mark.parametrize(
    "others",
    [
        # The rate is so high that the first epoch of the two sees the best weights.
        {
            "epochs": 9,
            "early_stopping": True,
            "n_iter_no_change": 3,
            "validation_fraction": 0.2,
            "optimizer": "sgd",
            "learning_rate": 20.0,
        },
        {"epochs": 12, "schedule": "plateau", "optimizer": "sgd", "learning_rate": 20.0},
        {"schedule": "one_cycle", "learning_rate": 0.05},
    ],
    ids=["early stopping", "plateau", "one cycle"],
)
def test_what_watches_the_epochs_remembers_them(digits, path, others):
    told = kill_a_fit(path, **others)
    first, second = Epochs(), Epochs()

    resumed = new_ann(told, first).fit(*digits)
    whole = new_ann({**told, "checkpoint": None}, second).fit(*digits)

    assert first.seen == second.seen[2:]
    assert first.rates == pytest.approx(second.rates[2:], rel=1e-4)
    assert resumed.history_["loss"] == pytest.approx(whole.history_["loss"], rel=1e-3)
    assert np.allclose(resumed.predict_proba(digits[0]), whole.predict_proba(digits[0]), atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.1},
        {"epochs": 6},
        {"random_state": 1},
        {"class_weight": {3: 2.0}},
        {"precision": "mixed_bfloat16"},
        {"early_stopping": True},
    ],
    ids=str,
)
def test_the_checkpoint_of_another_fit_is_refused_and_kept(digits, path, change):
    with pytest.raises(KeyboardInterrupt):
        new_ann(parameters(path), Interrupt()).fit(*digits)
    before = path.read_bytes()

    with pytest.raises(UsageError, match=r"fit.npz: is the checkpoint of a fit with other"):
        new_ann(parameters(path, **change)).fit(*digits)
    assert path.read_bytes() == before


def test_the_checkpoint_of_other_data_or_another_network_is_refused(digits, path):
    with pytest.raises(KeyboardInterrupt):
        new_ann(parameters(path), Interrupt()).fit(*digits)
    images, labels = digits

    with pytest.raises(UsageError, match="other data"):
        new_ann(parameters(path)).fit(images[::-1], labels)
    with pytest.raises(UsageError, match="other data"):
        new_ann(parameters(path)).fit(images, labels, X_val=images, y_val=labels)
    with pytest.raises(UsageError, match="other data"):
        ANNClassifier((9,), 0.0, **parameters(path)).fit(images, labels)
    with pytest.raises(UsageError, match="other data"):
        ANNClassifier((8,), 0.5, **parameters(path)).fit(images, labels)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_damaged_checkpoint_is_refused(digits, path):
    told = parameters(path)
    with pytest.raises(KeyboardInterrupt):
        new_ann(told, Interrupt()).fit(*digits)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    damaged = [b"", b"nonsense", whole[:100], whole[: len(whole) // 2], whole[:-1], bytes(flipped)]

    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"fit.npz: is no checkpoint .*; delete it"):
            new_ann(told).fit(*digits)

    np.savez(path, something=np.ones(3))
    with pytest.raises(UsageError, match="is no checkpoint"):
        new_ann(told).fit(*digits)
    np.savez(path, facts=np.frombuffer(b"[1]", np.uint8))
    with pytest.raises(UsageError, match="is no checkpoint"):
        new_ann(told).fit(*digits)


def test_a_pickle_in_a_checkpoint_is_not_loaded(digits, path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(path.with_name("trapped")),)

    np.savez(path, facts=np.array([Trap()], object))

    with pytest.raises(UsageError, match="is no checkpoint"):
        new_ann(parameters(path)).fit(*digits)
    assert not path.with_name("trapped").exists()


@pytest.mark.long
def test_no_file_is_left_by_a_fit_that_ends(digits, path):
    new_ann(parameters(path, epochs=2)).fit(*digits)

    assert list(path.parent.iterdir()) == []


def test_a_function_without_a_name_cannot_be_known_again(digits, path):
    unnamed = new_ann(parameters(path, optimizer=lambda rate: keras.optimizers.SGD(rate)))

    with pytest.raises(UsageError, match=r"^optimizer: a lambda has no name"):
        unnamed.fit(*digits)


def test_a_checkpoint_knows_its_teachers(digits, path):
    images, labels = digits[0].reshape(-1, 28, 28), digits[1]
    small = {"epochs": 3, "dropout": 0.0, "random_state": 0}
    teachers = [
        ANNClassifier((4,), **{**small, "random_state": seed}).fit(images, labels)
        for seed in range(2)
    ]

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    stopped = ANNClassifier((8,), checkpoint=path, callbacks=[Stop()], **small)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(images, labels, teachers=teachers[:1])

    resumed = ANNClassifier((8,), checkpoint=path, **small)
    for others in ([], teachers[1:], teachers):
        with pytest.raises(UsageError, match="of a fit with other data"):
            resumed.fit(images, labels, teachers=others)
    resumed.fit(images, labels, teachers=teachers[:1])
    assert len(resumed.history_["loss"]) == 3
