"""A folder of class folders: `root/7/scan.png`, or `root/train/7/…` and `root/test/7/…`.

No image is left out in silence: one that cannot be read, or shows no ink, is an error that names
it. What lies beside the folders is named in the description.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from digitflow.datasets.classes import natural_key
from digitflow.datasets.formats import MAX_BYTES
from digitflow.errors import DatasetError, ImageError
from digitflow.images.normalising import normalise
from digitflow.images.placing import SIDE
from digitflow.images.reading import read_image

#: How the folders of the two parts may be called, in small or capital letters.
_PART_FOLDERS = {"train": ("train", "training"), "test": ("test", "testing")}

_MAX_IMAGES = MAX_BYTES // SIDE**2

# What systems leave in folders without being asked.
_NO_IMAGES = {"thumbs.db", "desktop.ini", "__macosx"}

_NAMED_FAULTS = 3  # of the images that cannot be used, in the message


@dataclass(frozen=True)
class ListedImages:
    """The images of one part, not read yet."""

    paths: Sequence[Path]  # sorted naturally, class by class
    labels: np.ndarray  # (n,) str, the names of their class folders


def list_image_folder(root: Path) -> tuple[dict[str, ListedImages], list[str]]:
    """List the images of a folder, without reading any.

    Returns
    -------
    parts : dict
        ``"train"`` and, where there is a folder for it, ``"test"``.
    left_out : list of str
        What lies beside the class folders, or beside the folders of the two parts.

    Raises
    ------
    DatasetError
        If there are no class folders, one of them is empty, or a folder cannot be read.
    """
    try:
        folders, left_out = _look_into(root)
        parts = {
            part: folder
            for part, names in _PART_FOLDERS.items()
            for name, folder in folders.items()
            if name.lower() in names
        }
        if not parts:
            return {"train": _list_classes(root, folders)}, left_out
        if "train" not in parts:
            raise DatasetError(f"{root}: has {parts['test'].name}/, but no train/; add it")
        left_out += [name for name, folder in folders.items() if folder not in parts.values()]
        listed = {}
        for part, folder in parts.items():
            classes, beside = _look_into(folder)
            left_out += [f"{folder.name}/{name}" for name in beside]
            listed[part] = _list_classes(folder, classes)
    except OSError as error:
        place = error.filename or root
        raise DatasetError(
            f"{place}: cannot be read ({error.strerror}); change its permissions"
        ) from error
    return listed, left_out


def read_images(root: Path, paths: Sequence[Path]) -> np.ndarray:
    """Read images and bring them into the form of MNIST, uint8 (n, 28, 28).

    Raises
    ------
    DatasetError
        If any of them cannot be read or shows no ink.
    """
    images = np.empty((len(paths), SIDE, SIDE), np.uint8)
    faults = []
    # On a terminal only: in a log a bar is noise.
    for number, path in enumerate(tqdm(paths, desc=root.name, leave=False, disable=None)):
        name = os.fspath(path.relative_to(root))
        try:
            normalised = normalise(read_image(path, name).pixels)
        except ImageError as error:
            faults.append(error.message)
            continue
        if normalised.blank:
            faults.append(f"{repr(name)[1:-1]}: shows no ink")
        images[number] = normalised.image
    refuse_faulty(root, faults, len(paths))
    return images


def refuse_faulty(where: Path, faults: Sequence[str], n_images: int) -> None:
    """Refuse images of which some cannot be used, and say which.

    Raises
    ------
    DatasetError
        If there is any fault.
    """
    if faults:
        more = f"; and {len(faults) - _NAMED_FAULTS:,} more" if len(faults) > _NAMED_FAULTS else ""
        raise DatasetError(
            f"{where}: {len(faults):,} of {n_images:,} images cannot be used"
            f" ({'; '.join(faults[:_NAMED_FAULTS])}{more}); mend them or take them away"
        )


def _look_into(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the folders in a folder by name, and the names of what else is in it."""
    entries = _visible(folder)
    folders = {entry.name: Path(entry.path) for entry in entries if entry.is_dir()}
    return folders, [entry.name for entry in entries if entry.name not in folders]


def _list_classes(folder: Path, classes: dict[str, Path]) -> ListedImages:
    if not classes:
        raise DatasetError(
            f"{folder}: holds no folders of images; give each class a folder, as {folder.name}/7/"
        )
    paths: list[Path] = []
    labels: list[str] = []
    for name in sorted(classes, key=natural_key):
        found = sorted(_files(classes[name]), key=lambda path: natural_key(os.fspath(path)))
        if not found:
            raise DatasetError(f"{classes[name]}: holds no images; fill or remove it")
        paths += found
        labels += [name] * len(found)
    if len(paths) > _MAX_IMAGES:
        raise DatasetError(f"{folder}: holds over {_MAX_IMAGES:,} images; give fewer")
    return ListedImages(paths, np.array(labels, str))


def _files(folder: Path) -> Iterator[Path]:
    for entry in _visible(folder):
        # Links are not followed: as an image they are refused, in words.
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name, without what is hidden."""
    with os.scandir(folder) as entries:
        shown = [
            entry
            for entry in entries
            if not entry.name.startswith(".") and entry.name.lower() not in _NO_IMAGES
        ]
    return sorted(shown, key=lambda entry: entry.name)
