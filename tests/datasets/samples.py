"""Small data sets made on the fly: drawn digits, and the files they come in."""

import bz2
import gzip
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from digitflow.datasets.mnist_form import bring_to_mnist_form


def drawn(n: int, seed: int = 0) -> np.ndarray:
    """Draw different figures in the form of MNIST, uint8 (n, 28, 28)."""
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(n):
        image = Image.new("L", (80, 80))
        points = [tuple(point) for point in generator.integers(10, 70, (4, 2)).tolist()]
        ImageDraw.Draw(image).line(points, fill=255, width=8, joint="curve")
        images.append(np.asarray(image))
    return bring_to_mnist_form(np.stack(images))


def idx(array: np.ndarray) -> bytes:
    """Return an array as the content of an IDX file."""
    code = 0x08 if array.dtype == np.uint8 else 0x0C
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + (array if code == 0x08 else array.astype(">i4")).tobytes()


def packed_idx(array: np.ndarray) -> bytes:
    return gzip.compress(idx(array), mtime=0)


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def csv_text(images: np.ndarray, labels: list[str], header: bool = True) -> str:
    """Return what Kaggle's `train.csv` looks like."""
    lines = ["label," + ",".join(f"pixel{number}" for number in range(784))] if header else []
    for image, label in zip(images, labels, strict=True):
        lines.append(f"{label}," + ",".join(map(str, image.ravel().tolist())))
    return "\n".join(lines) + "\n"


def libsvm(images: np.ndarray, labels: list[int]) -> bytes:
    """Return images, (n, 16, 16) of -1..1, as LIBSVM packs USPS."""
    lines = []
    for image, label in zip(images, labels, strict=True):
        pixels = (f"{index}:{value:g}" for index, value in enumerate(image.ravel(), start=1))
        lines.append(f"{label} " + " ".join(pixels) + " \n")
    return bz2.compress("".join(lines).encode())


def write_images(root: Path, images: Mapping[str, np.ndarray]) -> None:
    """Write images, by their path below the root."""
    for name, image in images.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
