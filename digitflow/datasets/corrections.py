"""Images that people have labelled, to be learned beside a data set: what a review sheet saved."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digitflow.datasets.classes import name_labels
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

    Raises
    ------
    UsageError
        If one is no such list.
    DatasetError
        If a row of it cannot be used.
    """
    for path in map(Path, paths):
        if not is_image_list(path):
            why = "is no CSV list of images with the columns path and label"
            raise UsageError(f"{path}: {why if path.is_file() else 'no such file'}; see --help")
        read_image_list(path)


def read_corrections(paths: Sequence[str | Path], class_names: Sequence[str]) -> Corrections:
    """Read lists of corrections, an image that several of them have only once.

    Parameters
    ----------
    paths : sequence of str or Path
        CSV lists as `digitflow.datasets.image_lists` reads them, by hand or from a review.
    class_names : sequence of str
        Of the data set that they belong to.

    Raises
    ------
    UsageError
        If a file is no such list.
    DatasetError
        If a file or an image cannot be used, a label is no class of the data set, or two rows give
        the same image different labels.
    """
    check_corrections(paths)
    labels: dict[bytes, int] = {}
    index = {name: place for place, name in enumerate(class_names)}
    for path in map(Path, paths):
        listed, _ = read_image_list(path)
        names = name_labels(np.array([row.label for row in listed], str), str(path)).tolist()
        for name, image in zip(names, read_listed_images(path, listed), strict=True):
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
    images = [np.frombuffer(content, np.uint8).reshape(28, 28) for content in labels]
    return Corrections(
        np.array(images, np.uint8).reshape(-1, 28, 28), np.array([*labels.values()], np.int64)
    )
