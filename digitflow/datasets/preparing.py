"""A data set made ready for training: split and stored, so that stages pass paths, no arrays."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digitflow import settings
from digitflow.datasets.corrections import Corrections, read_corrections
from digitflow.datasets.loading import Dataset, digest_of, load_dataset
from digitflow.datasets.splitting import split_by_writer
from digitflow.errors import DatasetError, OutputError
from digitflow.files import building_folder

#: Goes up when the same input would be prepared otherwise.
_RECIPE = 4

_FACTS = "facts.json"
_FACTS_KEYS = {
    "name",
    "source",
    "digest",
    "corrections",
    "class_names",
    "validation",
    "splits",
    "disputed",
    "writers",
}
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PreparedData:
    """A prepared data set on disk."""

    folder: Path  # where the splits lie
    # Name, digest, source, class names; how many `corrections` are learned as well; for each split
    # n and digest; `disputed`, the indices of the test images whose label is known to be disputed;
    # `writers`, the digest of who wrote the training images, or None.
    facts: Mapping[str, Any]

    def load(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return images, uint8 (n, 28, 28), and labels, int64 (n,), of a split.

        Raises
        ------
        DatasetError
            If the content is not, byte for byte, what was stored.
        """
        digest = self.facts["splits"][split]["digest"]
        images, labels = self._read(split, ["images", "labels"], digest)
        return images, labels

    def load_writers(self) -> np.ndarray | None:
        """Return who wrote each training image, (n,) int32; None where nobody knows.

        Raises
        ------
        DatasetError
            If the content is not, byte for byte, what was stored.
        """
        digest = self.facts["writers"]
        return None if digest is None else self._read("train", ["writers"], digest)[0]

    def _read(self, split: str, names: Sequence[str], digest: str) -> list[np.ndarray]:
        path = self.folder / f"{split}.npz"
        try:
            # numpy leaves a file of its own open where it fails.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                found = [arrays[name] for name in names]
        except Exception as error:
            # On damaged files zipfile, zlib and numpy raise almost anything.
            why = str(error).partition("\n")[0][:200]
            raise _damaged(self.folder, f"{path.name} cannot be read ({why})") from error
        if digest_of(*found) != digest:
            raise _damaged(self.folder, f"the content of {path.name} is not what {_FACTS} says")
        return found


def prepared_location(
    name: str | Path,
    validation_fraction: float,
    seed: int = 0,
    corrections: Sequence[str | Path] = (),
) -> Path:
    """Return where a prepared data set is or will be: a digest of all that decides it is the name.

    Raises
    ------
    DatasetUnavailableError, DatasetError, UsageError
        As `load_dataset` does.
    """
    train, test = load_dataset(name), load_dataset(name, "test")
    corrected = read_corrections(corrections, train.class_names)
    return _location(train, test, corrected, validation_fraction, seed)


def prepare_dataset(
    name: str | Path,
    validation_fraction: float = 0.1,
    seed: int = 0,
    corrections: Sequence[str | Path] = (),
) -> PreparedData:
    """Split a data set into train, validation and test, and store them.

    Whole writers are held out for validation where the writers are known, because a random split
    flatters: the network would have seen the hands it is asked to read. What was prepared before
    is taken as it is, unless it is damaged: then it is made again.

    Parameters
    ----------
    name : str or Path
        A data set of the catalogue, or the path of one's own: see `load_dataset`.
    validation_fraction : float
        Share of the training images to hold out, in (0, 0.5].
    seed : int
        Decides which images are held out.
    corrections : sequence of str or Path
        Lists of labelled images, as `read_corrections` takes them. They are learned beside the
        training images, and decide neither what is held out nor what is measured: models made with
        and without them are judged on the same images. One that is held out already is left out.

    Raises
    ------
    DatasetUnavailableError, DatasetError, UsageError
        As `load_dataset`, `split_by_writer` and `read_corrections` do.
    OutputError
        If the prepared data cannot be written.
    """
    train, test = load_dataset(name), load_dataset(name, "test")
    corrected = read_corrections(corrections, train.class_names)
    folder = _location(train, test, corrected, validation_fraction, seed)
    if folder.exists() and not is_prepared(folder):
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        try:
            _store(folder, train, test, corrected, validation_fraction, seed)
        except OutputError:
            # Where another run stored the same in the meantime, that is as good.
            if not folder.exists():
                raise
    return open_prepared(folder)


def open_prepared(folder: Path) -> PreparedData:
    """Return a prepared data set that `prepare_dataset` stored.

    Raises
    ------
    DatasetError
        If the folder holds none, or what it says of itself is damaged.
    """
    try:
        facts = json.loads((folder / _FACTS).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"holds no prepared data ({error})") from error
    if not _are_facts(facts):
        raise _damaged(folder, f"{_FACTS} does not say what it should")
    return PreparedData(folder, facts)


def find_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Return in what the data of two models differ, if figures of the two cannot be compared.

    Parameters
    ----------
    old : mapping
        Facts of prepared data as a model's manifest has them; they may be incomplete.
    new : mapping
        Those of another.

    Returns
    -------
    str or None
        What the old model was, for example "made with other validation images".
    """
    if old.get("name") != new["name"]:
        return f"trained on {old.get('name', 'unknown data')}, this one on {new['name']}"
    for split in ("validation", "test"):
        if old.get("splits", {}).get(split) != new["splits"][split]:
            return f"made with other {split} images"
    return None


def _damaged(folder: Path, problem: str) -> DatasetError:
    return DatasetError(f"{folder}: {problem}; remove {folder}, and it is made again")


def _are_facts(facts: object) -> bool:
    """Tell whether all is there that a reader takes for granted."""
    if not isinstance(facts, dict) or not facts.keys() >= _FACTS_KEYS:
        return False
    splits = facts["splits"]
    return isinstance(splits, dict) and all(
        isinstance(splits.get(split), dict) and splits[split].keys() >= {"n", "digest"}
        for split in SPLITS
    )


def is_prepared(folder: Path) -> bool:
    """Tell whether a folder holds prepared data, whole and undamaged."""
    try:
        data = open_prepared(folder)
        for split in SPLITS:
            data.load(split)
        data.load_writers()
    except DatasetError:
        return False
    return True


def _location(
    train: Dataset, test: Dataset, corrected: Corrections, validation_fraction: float, seed: int
) -> Path:
    writers = None if train.writers is None else digest_of(train.writers)
    content = [_digest(train, corrected), test.digest, writers, train.class_names]
    recipe = json.dumps([_RECIPE, *content, validation_fraction, seed])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return settings.prepared_folder().resolve() / f"{train.name}-{key}"


def _digest(train: Dataset, corrected: Corrections) -> str:
    """Return the digest of all that is learned from or held out of it, 64 hexadecimal digits."""
    if len(corrected.labels) == 0:
        return train.digest
    return hashlib.sha256(f"{train.digest} {corrected.digest}".encode()).hexdigest()


def _store(
    folder: Path,
    train: Dataset,
    test: Dataset,
    corrected: Corrections,
    validation_fraction: float,
    seed: int,
) -> None:
    kept, held_out, by_writer = split_by_writer(
        train.labels, train.writers, validation_fraction, seed
    )
    splits = {
        "train": {"images": train.images[kept], "labels": train.labels[kept]},
        "validation": {"images": train.images[held_out], "labels": train.labels[held_out]},
        "test": {"images": test.images, "labels": test.labels},
    }
    corrected = corrected.without(splits["validation"]["images"]).without(test.images)
    learned = splits["train"]
    learned["images"] = np.concatenate([learned["images"], corrected.images])
    learned["labels"] = np.concatenate([learned["labels"], corrected.labels])
    facts: dict[str, Any] = {
        "name": train.name,
        "source": train.source,
        "digest": _digest(train, corrected),
        "corrections": len(corrected.labels),
        "class_names": list(train.class_names),
        "validation": _describe_validation(by_writer, train.writers is not None),
        "validation_fraction": validation_fraction,
        "seed": seed,
        "disputed": test.disputed.tolist(),
        "writers": None,
        "splits": {
            split: {"n": len(part["labels"]), "digest": digest_of(part["images"], part["labels"])}
            for split, part in splits.items()
        },
    }
    if train.writers is not None:
        # Who wrote a corrected image is not known: each is of a writer of its own.
        unknown = train.writers.max() + 1 + np.arange(len(corrected.labels), dtype=np.int32)
        learned["writers"] = np.append(train.writers[kept], unknown)
        facts["writers"] = digest_of(learned["writers"])
    with building_folder(folder) as temporary:
        for split, part in splits.items():
            np.savez(temporary / f"{split}.npz", allow_pickle=False, **part)
        (temporary / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def _describe_validation(by_writer: bool, writers_are_known: bool) -> str:
    if by_writer:
        return "whole writers"
    why = "too few" if writers_are_known else "not known"
    return f"random, stratified: the writers are {why}"
