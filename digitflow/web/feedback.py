"""Corrected images, kept as class folders that `load_dataset` reads: `root/7/<digest>.png`.

What is stored is what was read, encoded anew: never the bytes that came. Several servers may share
a folder; one at a time writes to it.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from digitflow.errors import OutputError
from digitflow.files import as_output_error, replacing, sync

# A class's name that can name its folder; these others `load_dataset` takes for parts.
_FOLDER_NAME = re.compile(r"(?!(?:train|test)(?:ing)?$)[^\W_](?:[\w .+-]{0,98}\w)?", re.IGNORECASE)

# What a server leaves that is killed while it writes.
_LEFTOVER = re.compile(r"\.[0-9a-f]{40}\.[0-9a-f]{16}")

_BLOCK = 4096  # bytes; a file takes whole ones on a disk


class StoreFullError(OutputError):
    """The store holds as much as it may."""


class FeedbackStore:
    """A folder of corrected images, up to a cap.

    Parameters
    ----------
    folder : Path
        A folder for nothing else; made if need be.
    cap : int
        Bytes that it may take on the disk.

    Raises
    ------
    OutputError
        If the folder cannot be made, read or written to.
    """

    def __init__(self, folder: Path, cap: int) -> None:
        self._folder = folder
        self._cap = cap
        self._size_note = folder / ".size"
        with as_output_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._sweep()
                self._note_size(self._count_size())

    def store(self, pixels: np.ndarray, label: str, notes: Mapping[str, str]) -> str:
        """Store an image under its right label, and return the file's name.

        An image is stored once: its last label takes the place of another before.

        Parameters
        ----------
        pixels : ndarray of shape (rows, columns), uint8
        label : str
            A name for which `can_name_folder` is true.
        notes : mapping of str to str
            Kept as texts of the PNG file.

        Raises
        ------
        StoreFullError
            If there is no room for it.
        OutputError
            If it cannot be written.
        """
        # The shape too: the same bytes in rows of another length are another image.
        digest = hashlib.sha256(b"%d %d " % pixels.shape + pixels.tobytes())
        name = f"{digest.hexdigest()}.png"
        content = _png(pixels, notes)
        with as_output_error(self._folder), self._locked():
            path = self._folder / label / name
            before = next(self._folder.glob(f"*/{name}"), None)
            if before is None:
                self._write(path, content)
            elif before != path:
                _move(before, path)
        return name

    def _locked(self) -> FileLock:
        # A new one each time, as no process can hand its locks to another.
        return FileLock(self._folder / ".lock")

    def _write(self, path: Path, content: bytes) -> None:
        size = self._noted_size() + _whole_blocks(len(content))
        if size > self._cap:
            raise StoreFullError(f"{self._folder}: holds all of the {self._cap:,} bytes it may")
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        self._note_size(size)

    def _sweep(self) -> None:
        """Remove what killed servers left; `load_dataset` refuses empty class folders."""
        for folder in self._folder.iterdir():
            if folder.is_dir():
                for path in folder.iterdir():
                    if _LEFTOVER.fullmatch(path.name):
                        path.unlink()
                _remove_if_empty(folder)

    def _count_size(self) -> int:
        return sum(map(_size_on_disk, self._folder.glob("*/*.png")))

    def _note_size(self, size: int) -> None:
        """Note in a file, because several servers may share the folder, how much is stored."""
        self._size_note.write_text(f"{size}\n")

    def _noted_size(self) -> int:
        try:
            return int(self._size_note.read_text())
        except (FileNotFoundError, ValueError):  # someone tidied up, or the disk was full
            return self._count_size()


def can_name_folder(label: str) -> bool:
    """Tell whether a class's name can be that of a folder of its images."""
    return _FOLDER_NAME.fullmatch(label) is not None


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    sync(target.parent)
    sync(path.parent)
    _remove_if_empty(path.parent)


def _png(pixels: np.ndarray, notes: Mapping[str, str]) -> bytes:
    texts = PngInfo()
    for key, value in notes.items():
        texts.add_text(key, value)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=texts)
    return stream.getvalue()


def _size_on_disk(path: Path) -> int:
    return _whole_blocks(path.stat().st_size)


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
