"""Folders of images that are scored more than once, and the tables that come of it."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from pyarrow import parquet

from digitflow.drawing import draw_digits

#: What differs between two runs over the same files.
MOMENTS = ["run_id", "scored_at"]


def make_images(folder: Path, n: int) -> None:
    """Make `n` small images, one of a hundred of them cut off."""
    folder.mkdir()
    contents = []
    for drawn in draw_digits(20, seed=0)[0]:  # in MNIST's form, and so quickly scored
        stream = io.BytesIO()
        Image.fromarray(drawn).save(stream, "PNG")
        contents.append(stream.getvalue())
    for number in range(n):
        content = contents[number % len(contents)]
        (folder / f"{number:05d}.png").write_bytes(content[:-20] if number % 100 == 7 else content)
    settle(folder)


def settle(folder: Path, seconds: int = 1_700_000_000) -> None:
    """Give every file a time that lies well before its scoring, so that its row can be kept."""
    for path in folder.rglob("*"):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def frame_of(path: Path) -> pd.DataFrame:
    frame = parquet.read_table(path).to_pandas()
    words = frame.select_dtypes("category").columns
    frame[words] = frame[words].astype(object)  # the order of the words is nobody's business
    frame["probabilities"] = [None if p is None else p.tobytes() for p in frame["probabilities"]]
    return frame


def same_rows(one: Path, other: Path) -> None:
    """Assert that two tables hold the same but for when and by which run they were scored."""
    pd.testing.assert_frame_equal(
        frame_of(one).drop(columns=MOMENTS), frame_of(other).drop(columns=MOMENTS)
    )


class FailsOnce:
    """Stands for a function of `os`, and fails the n-th time it is called."""

    def __init__(self, function: Callable, number: int, code: int):
        self.function, self.number, self.code = function, number, code
        self.calls = 0

    def __call__(self, *arguments: object, **options: object) -> object:
        self.calls += 1
        if self.calls == self.number:
            raise OSError(self.code, os.strerror(self.code))
        return self.function(*arguments, **options)

    def put_in(self, name: str, patch: pytest.MonkeyPatch) -> None:
        if name != "write":
            patch.setattr(os, name, self)
            return
        failing, open_other = self, Path.open

        class Stream(io.FileIO):
            def write(self, content: bytes) -> int:
                return failing(self, content)

        def open_path(path: Path, mode: str = "r", **options: object) -> io.IOBase:
            return Stream(path, mode) if mode == "wb" else open_other(path, mode, **options)

        patch.setattr(Path, "open", open_path)
