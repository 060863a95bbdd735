"""A data set made ready for training: split and stored, so that stages pass paths, no arrays."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digitflow import settings
from digitflow.datasets.loading import Dataset, load_dataset
from digitflow.datasets.splitting import split_by_writer
from digitflow.errors import DatasetError
from digitflow.files import building_folder

#: Goes up when the same input would be prepared otherwise.
_RECIPE = 1

_FACTS = "facts.json"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PreparedData:
    """A prepared data set on disk."""

    folder: Path  # where the splits lie
    facts: Mapping[str, Any]  # name, digest, source, class names, and for each split n and digest

    def load(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return images, uint8 (n, 28, 28), and labels, int64 (n,), of a split."""
        with np.load(self.folder / f"{split}.npz", allow_pickle=False) as arrays:
            return arrays["images"], arrays["labels"]


def prepared_location(name: str, validation_fraction: float, seed: int = 0) -> Path:
    """Return where a prepared data set is or will be: a digest of all that decides it is the name.

    Raises
    ------
    DatasetUnavailableError, DatasetError, UsageError
        As `load_dataset` does.
    """
    return _location(load_dataset(name), load_dataset(name, "test"), validation_fraction, seed)


def prepare_dataset(name: str, validation_fraction: float = 0.1, seed: int = 0) -> PreparedData:
    """Split a data set into train, validation and test, and store them.

    Whole writers are held out for validation where the writers are known, because a random split
    flatters: the network would have seen the hands it is asked to read. What was prepared before
    is taken as it is.

    Parameters
    ----------
    name : str
        A data set of the catalogue.
    validation_fraction : float
        Share of the training images to hold out, in (0, 0.5].
    seed : int
        Decides which images are held out.

    Raises
    ------
    DatasetUnavailableError, DatasetError, UsageError
        As `load_dataset` and `split_by_writer` do.
    """
    train, test = load_dataset(name), load_dataset(name, "test")
    folder = _location(train, test, validation_fraction, seed)
    if not folder.is_dir():
        _store(folder, train, test, validation_fraction, seed)
    return open_prepared(folder)


def open_prepared(folder: Path) -> PreparedData:
    """Return a prepared data set that `prepare_dataset` stored.

    Raises
    ------
    DatasetError
        If the folder holds none.
    """
    try:
        facts = json.loads((folder / _FACTS).read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{folder}: holds no prepared data ({error}); remove it, and it is made again"
        ) from error
    return PreparedData(folder, facts)


def _location(train: Dataset, test: Dataset, validation_fraction: float, seed: int) -> Path:
    recipe = json.dumps([_RECIPE, train.digest, test.digest, validation_fraction, seed])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return settings.prepared_folder().resolve() / f"{train.name}-{key}"


def _store(
    folder: Path, train: Dataset, test: Dataset, validation_fraction: float, seed: int
) -> None:
    kept, held_out = split_by_writer(train.labels, train.writers, validation_fraction, seed)
    splits = {
        "train": (train.images[kept], train.labels[kept]),
        "validation": (train.images[held_out], train.labels[held_out]),
        "test": (test.images, test.labels),
    }
    facts = {
        "name": train.name,
        "source": train.source,
        "digest": train.digest,
        "class_names": list(train.class_names),
        "validation": "whole writers" if train.writers is not None else "random, stratified",
        "validation_fraction": validation_fraction,
        "seed": seed,
        "splits": {
            split: {"n": len(labels), "digest": _digest(images, labels)}
            for split, (images, labels) in splits.items()
        },
    }
    with building_folder(folder) as temporary:
        for split, (images, labels) in splits.items():
            np.savez(temporary / f"{split}.npz", images=images, labels=labels)
        (temporary / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def _digest(images: np.ndarray, labels: np.ndarray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    digest.update(np.ascontiguousarray(labels, np.int64).tobytes())
    return digest.hexdigest()
