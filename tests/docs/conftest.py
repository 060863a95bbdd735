"""A desk with what the pages of the documentation speak of, and what answers beside it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from documents import environment_of, run_commands
from object_store import ObjectStore
from PIL import Image
from served import serving

from digitflow import load_dataset


@pytest.fixture(scope="session")
def full_desk(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Return a folder with what the pages speak of: pictures, tables, lists."""
    desk = tmp_path_factory.mktemp("desk")
    examples = repository / "digitflow" / "web" / "page" / "examples"
    pictures = {"photo.jpg": "photo.jpg", "form.png": "number.png", "letter.png": "star.png"}
    for name, example in (pictures | {"a.png": "seven.png", "b.png": "seven.png"}).items():
        shutil.copy(examples / example, desk / name)
    (desk / "note.txt").write_text("no picture")
    Image.new("L", (64, 48), 255).save(desk / "blank.png")
    for folder in ("images", "checked", "inbox/2026-01-05", "inbox/2026-02-01"):
        shutil.copytree(examples, desk / folder)
    data = load_dataset("digits")
    for folder, names in (("my-digits", "01"), ("my-letters", "ab")):
        for image, label in zip(data.images, data.labels, strict=True):
            if label < 2:
                place = desk / folder / names[label]
                place.mkdir(parents=True, exist_ok=True)
                name = f"{len(list(place.iterdir()))}.png"
                Image.fromarray(255 - np.kron(image, np.ones((4, 4), np.uint8))).save(place / name)
    (desk / "out-answers.csv").write_text("path,label\na.png,7\nphoto.jpg,2\nb.png,7\n")
    (desk / "flows").symlink_to(repository / "flows")
    (desk / "nights").mkdir()
    tables = ["out", "old", "tonight", "nights/2026-10-01", "nights/2026-10-02"]
    score = "digitflow score images/ out.parquet"
    copies = [f"cp out.parquet {name}.parquet" for name in tables[1:]]
    drift = "digitflow drift old.parquet --against old.parquet --json > october.json"
    run_commands([[score, *copies, drift]], desk, environment_of(desk))
    return desk


@pytest.fixture
def desk(full_desk: Path, tmp_path: Path) -> Path:
    return shutil.copytree(full_desk, tmp_path / "desk", symlinks=True)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as server:
        yield server.url


@pytest.fixture(scope="session")
def bucket(store_server: Callable[[str], ObjectStore], full_desk: Path) -> dict[str, str]:
    """Return what a shell needs to find the buckets that the pages name."""
    store = store_server("bucket")
    store_server("other")
    store.put_folder(full_desk / "images", "scans")
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
