"""What the tests of whole folders share."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scoring_support import settle
from support import change_manifest

from digitflow.models.registry import find_model


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Nine pictures with ink, one blank, three broken, some of them with odd names."""
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    generator = np.random.default_rng(1)
    names = ["a.png", "-b.png", "=c.png", "new\nline.png", "sub/d.png", "sub/e.png"]
    for name in [*names, os.fsdecode(b"\xff.png"), "g.png", "h.png"]:
        pixels = np.full((40, 40), 255, np.uint8)
        pixels[6:34, 18 : 18 + generator.integers(3, 6)] = 0
        Image.fromarray(pixels).save(folder / name)
    Image.new("L", (30, 30), 255).save(folder / "blank.png")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:-20])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "link.png").symlink_to("a.png")
    os.mkfifo(folder / "pipe.png")
    settle(folder)
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    return folder / "out.parquet"


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    """The shipped model under another version, and so with another `model_id`."""
    folder = shutil.copytree(find_model(None), tmp_path / "mnist" / "other")
    change_manifest(folder, version="other")
    return folder
