"""The light image, made without a container engine: its Dockerfile followed in a plain folder.

What it is made of, and what runs in it, sees this folder alone: what the light installation lacks
is missing here too.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pyarrow.parquet as pq
import pytest
from dockerfile import Builder, Image, read_stages, words_of
from plain_base import make_base

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

_USER = 10001  # the Dockerfile's
_TOKEN = "0123456789abcdef0123456789abcdef"
_LEFT_OUT = (
    *("tensorflow", "keras", "scikeras", "sklearn", "scipy", "pandas", "matplotlib", "seaborn"),
    *("prefect", "sqlalchemy", "requests", "pip"),
)
_MEGABYTES = 400  # at most; docs/containers.md has what was measured


def _can_lock_in() -> bool:
    try:
        tried = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False)
    except FileNotFoundError:
        return False
    return os.geteuid() == 0 and tried.returncode == 0


@pytest.fixture(scope="module")
def image(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if not _can_lock_in():
        pytest.skip("needs Linux, root and mount name spaces: chroot and unshare")
    folder = tmp_path_factory.mktemp("image")
    try:
        wheels = _fetch_wheels(repository, folder / "wheels")
        base = make_base(folder / "python-slim")
        # The steps of the Dockerfile need no network: all that they may take lies in a folder.
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_ROOT_USER_ACTION": "ignore"}
        pip["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        yield Builder(repository, folder, base, {"/wheels": wheels}, pip).build("light")
    finally:
        shutil.rmtree(folder)


def _fetch_wheels(repository: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    command += ["--only-binary", ":all:", "-r", "requirements-light.txt", "-c", "constraints.txt"]
    subprocess.run([*command, "hatchling"], cwd=repository, check=True)
    return folder


@pytest.fixture
def work(tmp_path: Path, repository: Path) -> Path:
    """Return a folder to be mounted, which belongs to the image's user, with two images."""
    images = tmp_path / "work" / "images"
    images.mkdir(parents=True)
    shutil.copy(repository / "tests/images/seven.png", images)
    (images / "empty.png").touch()
    os.chown(images.parent, _USER, _USER)
    return images.parent


def run(image: Image, work: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = image.command(words, {"/digits": work}, read_only=True)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_nothing_of_training_or_prefect_is_there(image: Image, work: Path):
    script = (
        "import os; from importlib.util import find_spec; "
        f"print(os.getuid(), os.getpid(), [name for name in {_LEFT_OUT} if find_spec(name)])"
    )

    done = run(image, work, "/opt/digitflow/bin/python", "-I", "-c", script)

    # As the user of the image, and as process number 1.
    assert (done.stdout.strip(), done.stderr) == (f"{_USER} 1 []", "")


def test_it_is_as_small_as_the_documentation_says(image: Image):
    files = (image.root / "opt/digitflow").rglob("*")
    size = sum(file.lstat().st_blocks * 512 for file in files)

    print(f"\n/opt/digitflow: {size / 1e6:.0f} MB")
    assert size < _MEGABYTES * 1e6


def test_a_folder_is_scored(image: Image, work: Path):
    done = run(image, work, "digitflow", "score", "images", "table.parquet")

    assert done.returncode == 3, done.stderr  # an empty file is no image
    assert done.stderr == ""
    table = pq.read_table(work / "table.parquet").select(["path", "status", "label"])
    assert table.to_pylist() == [
        {"path": "empty.png", "status": "error", "label": None},
        {"path": "seven.png", "status": "ok", "label": "7"},
    ]
    assert sorted(file.name for file in work.iterdir()) == ["images", "table.parquet"]


def test_the_shipped_model_is_whole(image: Image, work: Path):
    done = run(image, work, "digitflow", "models", "verify", "mnist")

    assert (done.returncode, done.stderr) == (0, "")
    assert "whole" in done.stdout


def test_what_needs_more_says_so(image: Image, work: Path):
    done = run(image, work, "digitflow", "predict", "images/seven.png", "--explain", "why.png")

    assert done.returncode == 2
    assert done.stderr.startswith("error: this needs matplotlib, which is not installed")


def test_it_does_not_serve_without_a_token(image: Image, work: Path, repository: Path):
    stage = read_stages(repository / "Dockerfile")["light"]

    done = run(image, work, *words_of(stage.last("CMD")))

    assert done.returncode == 2
    assert "DIGITFLOW_TOKEN" in done.stderr


@contextmanager
def serving(image: Image, work: Path, words: list[str]) -> Iterator[tuple[str, int]]:
    """Run the image's server; give its address and its process."""
    command = image.command(words, {"/digits": work}, read_only=True, DIGITFLOW_TOKEN=_TOKEN)
    pipe, log = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=log, text=True) as process:
        address = re.search(r"http://0\.0\.0\.0(:\d+)", process.stdout.readline())
        assert address
        # What `unshare` started: process number 1 of the image, whose end is that of all others.
        server = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        try:
            yield f"http://127.0.0.1{address[1]}", server
            assert process.wait(60) == 143
        finally:
            if process.poll() is None:
                os.kill(server, signal.SIGKILL)


def test_it_serves_who_has_the_token_and_ends_when_told(image: Image, work: Path, repository: Path):
    stage = read_stages(repository / "Dockerfile")["light"]
    words = [*words_of(stage.last("CMD")), "--port", "0"]

    with serving(image, work, words) as (url, server):
        picture = (work / "images/seven.png").read_bytes()
        headers = {"Content-Type": "image/png"}
        with pytest.raises(HTTPError, match="401"):
            urlopen(Request(f"{url}/v1/predict", picture, headers), timeout=30)
        headers["Authorization"] = f"Bearer {_TOKEN}"
        with urlopen(Request(f"{url}/v1/predict", picture, headers), timeout=30) as answer:
            assert json.load(answer)["digits"][0]["label"] == "7"

        port = url.rpartition(":")[2]
        health = words_of(stage.last("HEALTHCHECK"))
        asked = [word.replace("127.0.0.1:8000", f"127.0.0.1:{port}") for word in health]
        assert asked != health
        assert run(image, work, *asked).returncode == 0
        os.kill(server, signal.SIGTERM)  # as an engine does
    assert run(image, work, *asked).returncode == 1
