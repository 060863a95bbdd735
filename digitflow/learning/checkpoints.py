"""A fit that was killed goes on where its last finished epoch ended."""

import hashlib
import io
import json
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from digitflow import files
from digitflow.datasets.loading import digest_of
from digitflow.errors import UsageError
from digitflow.learning.fitting import Training, join_histories, run_training

# What reading a damaged archive raises, beside what any file may.
_BROKEN = (EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
# What a checkpoint holds beside arrays.
_FACTS = ("fingerprint", "history", "seconds", "memory")
# What Keras' early stopping and plateau remember between epochs.
_MEMORY = ("best", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


def check_checkpoint(path: Any, random_state: Any) -> None:
    """Refuse a file that cannot be one, or a fit that no second process could repeat.

    Raises
    ------
    UsageError
        If the path is none, or the random state no integer.
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"checkpoint={path!r}: must be the path of a file")
    if not isinstance(random_state, Integral):
        raise UsageError(
            f"checkpoint={str(path)!r}: needs a random_state that is an integer, to know the "
            "same fit again"
        )


def check_names(hyper_parameters: Mapping[str, Any]) -> None:
    """Refuse a function without a name: another process could not tell it from others.

    Raises
    ------
    UsageError
        With the hyper-parameter's name.
    """
    for name, value in hyper_parameters.items():
        if "<lambda>" in getattr(value, "__qualname__", ""):
            raise UsageError(
                f"{name}: a lambda has no name to know the same fit again by, which checkpoint "
                "needs; define the function with def"
            )


class Progress(NamedTuple):
    """How far a fit has come."""

    epochs: int  # finished
    seconds: float  # that they took


def read_progress(path: Path) -> Progress:
    """Return how far the fit of a checkpoint has come; nowhere where there is no file.

    Raises
    ------
    UsageError
        If the file cannot be read.
    """
    if not path.exists():
        return Progress(0, 0.0)
    facts, _, _ = _read(path)
    return Progress(len(facts["history"]["loss"]), facts["seconds"])


class Checkpoint(keras.callbacks.Callback):
    """Keep the state of a training in a file, replaced in one step after each epoch.

    The file holds arrays and JSON: reading it cannot run code. It must stand last among the
    callbacks, so that what it brings back is not reset by the others.

    Parameters
    ----------
    path : Path
        The file, by custom `.npz`.
    watched : sequence of keras.callbacks.Callback
        Those whose memory belongs to the state: early stopping, plateau.
    """

    def __init__(self, path: Path, watched: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self.path = path
        self.watched = watched
        self.history: dict[str, list[float]] = {}
        self.memory: list[dict[str, Any]] = []
        self.best_weights: list[np.ndarray] = []
        self.seconds = 0.0  # of the fits before this one

    def open(self, model: keras.Model, fingerprint: str) -> dict[str, list[float]]:
        """Bring a model to the state in the file, if there is one, and return the history so far.

        Parameters
        ----------
        model : keras.Model
            Compiled.
        fingerprint : str
            A digest of all that decides what the fit gives.

        Raises
        ------
        UsageError
            If the file cannot be read, or is of another fit.
        """
        self.fingerprint = fingerprint
        self.started = time.perf_counter()
        if not self.path.exists():
            return {}
        facts, state, self.best_weights = _read(self.path)
        if facts["fingerprint"] != self.fingerprint:
            raise UsageError(
                f"{self.path}: is the checkpoint of a fit with other data or hyper-parameters; "
                "delete it, or name another file"
            )
        for variable, value in zip(_variables(model), state, strict=True):
            variable.assign(value)
        self.history, self.memory = facts["history"], facts["memory"]
        self.seconds = facts["seconds"]
        return {name: list(values) for name, values in self.history.items()}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Give the other callbacks their memory back."""
        for callback, memory in zip(self.watched, self.memory, strict=False):
            vars(callback).update(memory)
            if self.best_weights and hasattr(callback, "best_weights"):
                callback.best_weights = self.best_weights

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the state."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        facts = {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "seconds": self.seconds + time.perf_counter() - self.started,
            "memory": [
                {name: _plain(vars(callback)[name]) for name in _MEMORY if name in vars(callback)}
                for callback in self.watched
            ],
        }
        arrays = {
            f"state_{number:04d}": keras.ops.convert_to_numpy(variable)
            for number, variable in enumerate(_variables(self.model))
        }
        for callback in self.watched:
            for number, array in enumerate(getattr(callback, "best_weights", None) or []):
                arrays[f"best_{number:04d}"] = np.asarray(array)
        stream = io.BytesIO()
        np.savez(stream, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
        files.write_bytes(self.path, stream.getvalue())

    def remove(self) -> None:
        """Delete the file: the fit is done."""
        self.path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]]:
    try:
        content = io.BytesIO(path.read_bytes())
        with np.load(content, allow_pickle=False) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
            facts = {name: facts[name] for name in _FACTS}
            names = sorted(arrays.files)
            state = [arrays[name] for name in names if name.startswith("state_")]
            best = [arrays[name] for name in names if name.startswith("best_")]
    except (OSError, ValueError, LookupError, TypeError, *_BROKEN) as error:
        raise UsageError(
            f"{path}: is no checkpoint ({error}); delete it, or name another file"
        ) from error
    return facts, state, best


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]


def _plain(value: Any) -> float | int | None:
    """Return a number as JSON knows it; Keras 3 keeps some as arrays."""
    return None if value is None else np.asarray(value).item()


def _fingerprint(
    training: Training, teachers: Sequence[keras.Model], told: Mapping[str, str]
) -> str:
    """Return a digest of all that decides what a fit gives."""
    parts = [part for part in (training.examples, training.validation) if part is not None]
    seen = [part.arrays() for part in parts] + [teacher.get_weights() for teacher in teachers]
    facts = {
        "hyper_parameters": dict(told),
        "recipe": {name: name_of(value) for name, value in vars(training.recipe).items()},
        "shapes": [tuple(variable.shape) for variable in training.model.variables],
        "seed": training.seed,
        "seen": [digest_of(*arrays) for arrays in seen],
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def name_of(value: Any) -> str:
    """Return a text that is the same in another process: a function's has no address."""
    return getattr(value, "__qualname__", None) or repr(value)


def run_resumable(
    path: Path,
    training: Training,
    watched: Sequence[keras.callbacks.Callback],
    teachers: Sequence[keras.Model],
    told: Mapping[str, str],
) -> dict[str, list[float]]:
    """Run a training that keeps its state in a file, from where the file has it.

    Parameters
    ----------
    path : Path
        The file; it is deleted when the training is done.
    training : Training
    watched : sequence of keras.callbacks.Callback
        Those of the training whose memory belongs to its state.
    teachers : sequence of keras.Model
    told : mapping of str to str
        The hyper-parameters that decide what the training gives, by `name_of`.

    Raises
    ------
    UsageError
        If the file cannot be read, or is of another training.
    TrainingError
        If the loss stops being a number.
    """
    checkpoint = Checkpoint(path, watched)
    history = checkpoint.open(training.model, _fingerprint(training, teachers, told))
    training = replace(training, callbacks=[*training.callbacks, checkpoint])
    # Even where no epoch is left: early stopping then brings the best weights back.
    more = run_training(training, initial_epoch=len(history.get("loss", ())))
    checkpoint.remove()
    return join_histories(history, more)
