"""Images that people have labelled, to be learned beside a data set: from reviews and servers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digitflow.datasets.classes import name_labels
from digitflow.datasets.image_folders import list_image_folder, read_images
from digitflow.datasets.image_lists import is_image_list, read_image_list, read_listed_images
from digitflow.datasets.loading import digest_of
from digitflow.errors import DatasetError, UsageError


@dataclass(frozen=True)
class Corrections:
    """Labelled images in the form of MNIST, each once."""

    images: np.ndarray  # (n, 28, 28), uint8
    labels: np.ndarray  # (n,), int64, indices into the data set's classes

    @property
    def digest(self) -> str:
        """SHA-256 of images and labels, 64 hexadecimal digits."""
        return digest_of(self.images, self.labels)

    def without(self, images: np.ndarray) -> "Corrections":
        """Return those that are none of the images given, uint8 (m, 28, 28)."""
        known = {image.tobytes() for image in images}
        kept = [place for place, image in enumerate(self.images) if image.tobytes() not in known]
        return Corrections(self.images[kept], self.labels[kept])


def check_corrections(paths: Sequence[str | Path]) -> None:
    """Refuse files that hold no list of images and labels, without looking at any image.

    Parameters
    ----------
    paths : sequence of str or Path
        As `read_corrections` takes them.

    Raises
    ------
    UsageError
        If one is no such list.
    DatasetError
        If a row of it cannot be used.
    """
    for path in (each for given in paths for each in _lists(given)):
        if not is_image_list(path):
            why = "is no CSV list of images with the columns path and label"
            raise UsageError(f"{path}: {why if path.is_file() else 'no such file'}; see --help")
        read_image_list(path)


def read_corrections(paths: Sequence[str | Path], class_names: Sequence[str]) -> Corrections:
    """Read corrections, an image that is in several places only once.

    Parameters
    ----------
    paths : sequence of str or Path
        CSV lists as `digitflow.datasets.image_lists` reads them, by hand or from a review; and
        folders of such lists, of class folders (`7/scan.png`) as a server leaves them, or of both.
        A folder may be empty, and one that is written with a slash at its end not be there yet.
    class_names : sequence of str
        Of the data set that they belong to.

    Raises
    ------
    UsageError
        If a file is no such list.
    DatasetError
        If a file or an image cannot be used, a label is no class of the data set, or the same
        image has different labels.
    """
    check_corrections(paths)
    labels: dict[bytes, int] = {}
    index = {name: place for place, name in enumerate(class_names)}
    for path, names, images in (part for given in paths for part in _read(given)):
        for name, image in zip(name_labels(names, str(path)).tolist(), images, strict=True):
            if name not in index:
                raise DatasetError(
                    f"{path}: {name!r} is no class of the data set, which has "
                    f"{', '.join(class_names[:12])}; mend the label or leave the row out"
                )
            if labels.setdefault(image.tobytes(), index[name]) != index[name]:
                other = class_names[labels[image.tobytes()]]
                raise DatasetError(
                    f"{path}: the same image is {name!r} here and {other!r} before; decide for one"
                )
    found = [np.frombuffer(content, np.uint8).reshape(28, 28) for content in labels]
    return Corrections(
        np.array(found, np.uint8).reshape(-1, 28, 28), np.array([*labels.values()], np.int64)
    )


def _read(given: str | Path) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Give labels and images of each list, and of the class folders, with where they are."""
    for path in _lists(given):
        listed, _ = read_image_list(path)
        yield path, np.array([row.label for row in listed], str), read_listed_images(path, listed)
    folder = Path(given)
    if folder.is_dir() and any(entry.is_dir() for entry in folder.glob("[!.]*")):
        for part in list_image_folder(folder)[0].values():
            yield folder, part.labels, read_images(folder, part.paths)


def _lists(given: str | Path) -> list[Path]:
    """Return the lists that a path means: itself, or those in the folder that it is."""
    path = Path(given)
    if path.is_dir():
        return sorted(path.glob("[!.]*.csv"))
    may_be_missing = str(given).endswith("/") and not path.exists()
    return [] if may_be_missing else [path]
