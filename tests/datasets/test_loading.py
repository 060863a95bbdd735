import dataclasses
import gzip
import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from datasets.mirror import Mirror, running_mirror, sending

from digitflow.datasets import loading
from digitflow.datasets.catalogue import DATASETS, MNIST_WRITERS, RemoteFile
from digitflow.datasets.loading import load_dataset, resolve_dataset
from digitflow.datasets.preparing import prepare_dataset
from digitflow.errors import DatasetUnavailableError, UsageError

TRAIN_DIGEST = "d18cfd466eb143ac1097fde604dba9eec4116885869d04cc648b510949f9e88c"
TEST_DIGEST = "a0863a96c44e5666edbb30c4071ee79ca0514c621e6349c5967fc78e7305c891"


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def small_mnist() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return MNIST's four files and QMNIST's two, with few images, by name."""
    generator = np.random.default_rng(0)
    mnist, writers = {}, {}
    for prefix, split, n in (("train", "train", 30), ("t10k", "test", 10)):
        images = generator.integers(0, 256, (n, 28, 28), np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        rows = generator.integers(0, 9, (2 * n, 8)).astype(">i4")
        mnist[f"{prefix}-images-idx3-ubyte.gz"] = idx(images)
        mnist[f"{prefix}-labels-idx1-ubyte.gz"] = idx(labels)
        writers[f"qmnist-{split}-labels-idx2-int.gz"] = idx(rows, code=0x0C)
    return mnist, writers


MNIST_FILES, WRITER_FILES = small_mnist()


@pytest.fixture(autouse=True)
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Serve the small MNIST from this machine, and let nothing ask anyone else."""
    monkeypatch.setenv("no_proxy", "*")
    with running_mirror() as running:
        for name, content in (MNIST_FILES | WRITER_FILES).items():
            running.answers[name] = sending(content)
        mirrors = (running.url,)
        monkeypatch.setitem(
            DATASETS, "mnist", dataclasses.replace(DATASETS["mnist"], mirrors=mirrors)
        )
        monkeypatch.setattr(
            loading, "MNIST_WRITERS", dataclasses.replace(MNIST_WRITERS, mirrors=mirrors)
        )
        yield running


@pytest.fixture
def small(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the small MNIST the one that is looked for, and return the empty cache."""

    def listed(contents: dict[str, bytes]) -> tuple[RemoteFile, ...]:
        return tuple(
            RemoteFile(name, hashlib.sha256(content).hexdigest(), len(content))
            for name, content in contents.items()
        )

    info = dataclasses.replace(DATASETS["mnist"], files=listed(MNIST_FILES))
    monkeypatch.setitem(DATASETS, "mnist", info)
    writers = dataclasses.replace(loading.MNIST_WRITERS, files=listed(WRITER_FILES))
    monkeypatch.setattr(loading, "MNIST_WRITERS", writers)
    return Path(os.environ["DIGITFLOW_DATA"])


def put(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def shared_cache(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIGITFLOW_DATA", str(shared_data))
    return shared_data


@pytest.mark.parametrize(
    ("split", "n", "n_writers", "digest"),
    [("train", 60_000, 539, TRAIN_DIGEST), ("test", 10_000, 297, TEST_DIGEST)],
)
def test_mnist(
    shared_cache: Path, mirror: Mirror, split: str, n: int, n_writers: int, digest: str
) -> None:
    dataset = load_dataset("mnist", split)
    assert (dataset.name, dataset.split, dataset.note) == ("mnist", split, "")
    assert len(dataset) == n
    assert dataset.images.shape == (n, 28, 28)
    assert (dataset.images.dtype, dataset.labels.dtype) == (np.uint8, np.int64)
    assert dataset.class_names == tuple("0123456789")
    assert np.bincount(dataset.labels).min() > 0.08 * n
    assert dataset.writers is not None
    assert dataset.writers.dtype == np.int32
    assert dataset.writers.shape == (n,)
    assert len(np.unique(dataset.writers)) == n_writers
    assert dataset.digest == digest
    assert mirror.asked == []


def test_no_writer_of_mnist_is_in_both_parts(shared_cache: Path) -> None:
    train, test = (load_dataset("mnist", split).writers for split in ("train", "test"))
    assert train is not None
    assert test is not None
    assert not np.isin(train, test).any()


def test_the_rows_with_the_writers_are_those_of_the_images(shared_cache: Path) -> None:
    rows = loading.read_idx(shared_cache / "qmnist" / "qmnist-test-labels-idx2-int.gz", ndim=2)
    np.testing.assert_array_equal(rows[:10_000, 0], load_dataset("mnist", "test").labels)


def test_digits(mirror: Mirror) -> None:
    train, test = load_dataset("digits"), load_dataset("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert set(train.labels) == set(test.labels) == set(range(10))
    assert (train.note, train.writers) == ("", None)
    assert "scikit-learn" in train.source
    assert train.digest != test.digest
    assert mirror.asked == []


def test_the_arrays_are_not_writeable(small: Path) -> None:
    for dataset in (load_dataset("mnist"), load_dataset("digits")):
        for array in (dataset.images, dataset.labels, dataset.writers):
            assert array is None or not array.flags.writeable


def test_the_digest_is_that_of_images_and_labels(small: Path) -> None:
    dataset = load_dataset("mnist")
    content = dataset.images.tobytes() + dataset.labels.astype("<i8").tobytes()
    assert dataset.digest == hashlib.sha256(content).hexdigest()


def test_mnist_is_downloaded_once_with_its_writers(small: Path, mirror: Mirror) -> None:
    train = load_dataset("mnist", "train")
    assert sorted(mirror.asked) == sorted(f"/{name}" for name in MNIST_FILES | WRITER_FILES)
    test = load_dataset("mnist", "test")
    assert len(mirror.asked) == 6
    assert (len(train), len(test)) == (30, 10)
    assert train.writers is not None
    assert train.writers.shape == (30,)
    assert test.writers is not None
    assert test.writers.shape == (10,)


def test_a_flipped_byte_in_the_cache_is_mended(small: Path, mirror: Mirror) -> None:
    wanted = load_dataset("mnist").digest
    path = small / "mnist" / "train-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    mirror.asked.clear()
    assert load_dataset("mnist").digest == wanted
    assert mirror.asked == ["/train-labels-idx1-ubyte.gz"]
    assert path.read_bytes() == MNIST_FILES[path.name]


def test_nobody_is_asked_for_writers_alone(small: Path, mirror: Mirror) -> None:
    put(small / "mnist", MNIST_FILES)
    assert load_dataset("mnist").writers is None
    assert mirror.asked == []


def test_what_is_prepared_without_writers_says_so(small: Path, mirror: Mirror) -> None:
    put(small / "mnist", MNIST_FILES)
    without = prepare_dataset("mnist")
    assert without.facts["validation"] == "random, stratified: the writers are not known"
    assert mirror.asked == []
    put(small / "qmnist", WRITER_FILES)
    assert prepare_dataset("mnist").folder != without.folder


def test_writers_that_cannot_be_had_are_done_without(small: Path, mirror: Mirror) -> None:
    for name in WRITER_FILES:
        del mirror.answers[name]
    dataset = load_dataset("mnist")
    assert dataset.writers is None
    assert len(dataset) == 30


def test_damaged_writers_are_not_used(small: Path) -> None:
    put(small / "mnist", MNIST_FILES)
    put(small / "qmnist", {name: content + b"\0" for name, content in WRITER_FILES.items()})
    assert load_dataset("mnist").writers is None


def go_offline(mirror: Mirror) -> None:
    mirror.shutdown()
    mirror.socket.close()


def test_mnist_offline_says_where_it_could_be_put(small: Path, mirror: Mirror) -> None:
    go_offline(mirror)
    with pytest.raises(DatasetUnavailableError) as caught:
        load_dataset("mnist")
    message = str(caught.value)
    assert message.startswith(f"MNIST is not in {small / 'mnist'} (put train-images-idx3-ubyte.gz,")
    assert f"cannot be downloaded ({mirror.url}: Connection refused)" in message
    assert "\n" not in message
    assert not small.joinpath("mnist").exists()


def test_auto_offline_falls_back_and_says_so(small: Path, mirror: Mirror) -> None:
    go_offline(mirror)
    name, note = resolve_dataset("auto")
    assert name == "digits"
    assert note.startswith(f"MNIST is not in {small / 'mnist'} ")
    assert note.endswith(
        f"and cannot be downloaded ({mirror.url}: Connection refused): scikit-learn's 1,797 small"
        " digits stand in for MNIST, figures are not comparable with MNIST"
    )
    dataset = load_dataset("auto", "test")
    assert (dataset.name, dataset.note) == ("digits", note)


def test_auto_falls_back_where_the_cache_cannot_be_written(small: Path) -> None:
    small.parent.mkdir(exist_ok=True)
    small.write_text("a file")
    name, note = resolve_dataset("auto")
    assert name == "digits"
    assert "mnist: cannot be written" in note


def test_auto_takes_mnist_from_the_cache_or_the_mirror(small: Path, mirror: Mirror) -> None:
    assert resolve_dataset("auto") == ("mnist", "")
    assert len(mirror.asked) == 6
    go_offline(mirror)
    dataset = load_dataset()
    assert (dataset.name, dataset.note, len(dataset)) == ("mnist", "", 30)


def test_a_name_is_resolved_to_itself_without_a_download(small: Path, mirror: Mirror) -> None:
    assert resolve_dataset("mnist") == ("mnist", "")
    assert resolve_dataset("digits") == ("digits", "")
    assert mirror.asked == []


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'digits'"):
        load_dataset("digit")
    with pytest.raises(UsageError, match="did you mean 'auto'"):
        resolve_dataset("autos")
    with pytest.raises(UsageError, match="split 'validation': unknown; use train or test"):
        load_dataset("digits", "validation")


def test_scikit_learn_is_loaded_only_for_its_digits() -> None:
    code = (
        "import sys, digitflow.datasets.loading, digitflow.datasets.splitting;"
        "sys.exit(any(name in sys.modules for name in ('sklearn', 'pandas', 'tensorflow')))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
