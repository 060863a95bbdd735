import dataclasses
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from datasets.mirror import Mirror, running_mirror, sending
from datasets.samples import csv_text, drawn, libsvm, packed_idx, write_images, write_zip

from digitflow.datasets import loading
from digitflow.datasets.catalogue import DATASETS, MNIST_DISPUTED, MNIST_WRITERS, RemoteFile
from digitflow.datasets.loading import check_dataset, load_dataset, resolve_dataset, short_name
from digitflow.datasets.preparing import prepare_dataset
from digitflow.errors import DatasetError, DatasetUnavailableError, UsageError

TRAIN_DIGEST = "d18cfd466eb143ac1097fde604dba9eec4116885869d04cc648b510949f9e88c"
TEST_DIGEST = "a0863a96c44e5666edbb30c4071ee79ca0514c621e6349c5967fc78e7305c891"


def small_mnist() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return MNIST's four files and QMNIST's two, with few images, by name."""
    generator = np.random.default_rng(0)
    mnist, writers = {}, {}
    for prefix, split, n in (("train", "train", 30), ("t10k", "test", 10)):
        images = generator.integers(0, 256, (n, 28, 28), np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        rows = generator.integers(0, 9, (2 * n, 8))
        mnist[f"{prefix}-images-idx3-ubyte.gz"] = packed_idx(images)
        mnist[f"{prefix}-labels-idx1-ubyte.gz"] = packed_idx(labels)
        writers[f"qmnist-{split}-labels-idx2-int.gz"] = packed_idx(rows)
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


def listed(contents: dict[str, bytes]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in contents.items()
    )


@pytest.fixture
def small(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the small MNIST the one that is looked for, and return the empty cache."""
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
    assert dataset.disputed.tolist() == (list(MNIST_DISPUTED) if split == "test" else [])
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
        for array in (dataset.images, dataset.labels, dataset.writers, dataset.disputed):
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


@pytest.fixture
def published(mirror: Mirror, monkeypatch: pytest.MonkeyPatch):
    """Give what makes files those of a data set of the catalogue, to be had from the mirror."""

    def publish(name: str, contents: dict[str, bytes]) -> None:
        for file, content in contents.items():
            mirror.answers[file] = sending(content)
        info = dataclasses.replace(DATASETS[name], files=listed(contents), mirrors=(mirror.url,))
        monkeypatch.setitem(DATASETS, name, info)

    return publish


def test_qmnist(published, mirror: Mirror) -> None:
    images = drawn(12)
    rows = np.stack([np.arange(12) % 10, np.full(12, 4), np.arange(12) + 500], axis=1)
    contents = {}
    for split, n in (("train", 8), ("test", 12)):
        contents[f"qmnist-{split}-images-idx3-ubyte.gz"] = packed_idx(images[:n])
        contents[f"qmnist-{split}-labels-idx2-int.gz"] = packed_idx(rows[:n])
    published("qmnist", contents)
    train, test = load_dataset("qmnist"), load_dataset("qmnist", "test")
    assert sorted(mirror.asked) == sorted(f"/{name}" for name in contents)
    np.testing.assert_array_equal(test.images, images)
    assert test.labels.tolist() == rows[:, 0].tolist()
    assert test.writers is not None
    assert (test.writers.tolist(), test.writers.dtype) == (rows[:, 2].tolist(), np.int32)
    assert test.disputed.tolist() == list(MNIST_DISPUTED)
    assert (len(train), train.disputed.tolist()) == (8, [])
    assert (test.name, test.class_names) == ("qmnist", tuple("0123456789"))


@pytest.mark.parametrize(
    ("name", "stored", "names"),
    [("letters", [1, 26], ["A", "Z"]), ("balanced", [0, 46], ["0", "t"]), ("digits", [0, 9], "09")],
)
def test_emnist(
    published, mirror: Mirror, tmp_path: Path, name: str, stored: list[int], names: list[str]
) -> None:
    images = drawn(2)
    transposed = np.ascontiguousarray(images.transpose(0, 2, 1))
    members = {}
    for split in ("train", "test"):
        start = f"gzip/emnist-{name}-{split}"
        members[f"{start}-images-idx3-ubyte.gz"] = packed_idx(transposed)
        members[f"{start}-labels-idx1-ubyte.gz"] = packed_idx(np.array(stored, np.uint8))
    write_zip(tmp_path / "gzip.zip", members)
    published(f"emnist-{name}", {"gzip.zip": (tmp_path / "gzip.zip").read_bytes()})
    for split in ("train", "test"):
        dataset = load_dataset(f"emnist-{name}", split)
        np.testing.assert_array_equal(dataset.images, images)
        assert [dataset.class_names[label] for label in dataset.labels] == list(names)
        assert (dataset.name, dataset.writers) == (f"emnist-{name}", None)
    assert mirror.asked == ["/gzip.zip"]
    # The three parts share the one file.
    assert [path.name for path in Path(os.environ["DIGITFLOW_DATA"]).iterdir()] == ["emnist"]


def test_usps(published) -> None:
    ink = np.where(drawn(3)[:, 6:22, 6:22] > 100, 1.0, -1.0)
    published("usps", {"usps.bz2": libsvm(ink, [1, 4, 10]), "usps.t.bz2": libsvm(ink[:1], [2])})
    train, test = load_dataset("usps"), load_dataset("usps", "test")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 3, 9], [1])
    assert train.images.shape == (3, 28, 28)
    assert "USPS, train" in train.source


def test_every_name_of_the_catalogue_has_a_loader() -> None:
    assert set(loading._LOADERS) == set(DATASETS)


def test_a_path_is_loaded_prepared_and_named(tmp_path: Path, mirror: Mirror) -> None:
    path = tmp_path / "my scans.csv"
    path.write_text(csv_text(drawn(40), ["a", "b"] * 20))
    check_dataset(path)
    assert short_name(str(path)) == short_name(path) == "my-scans"
    assert resolve_dataset(path) == (str(path), "")
    dataset = load_dataset(str(path))
    assert (dataset.name, dataset.class_names, len(dataset)) == ("my-scans", ("a", "b"), 32)
    assert (dataset.note, dataset.writers, dataset.disputed.tolist()) == ("", None, [])
    assert "CSV file 'my scans.csv', train; the test part is a fixed 20%" in dataset.source
    prepared = prepare_dataset(path)
    assert prepared.folder.name.startswith("my-scans-")
    assert prepared.facts["class_names"] == ["a", "b"]
    assert prepared.facts["source"] == dataset.source
    assert mirror.asked == []


def test_a_name_of_the_catalogue_comes_before_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, {f"digits/{n % 2}/{n}.png": image for n, image in enumerate(drawn(40))})
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("digits")) == 1437
    for path in ("./digits", Path("digits"), tmp_path / "digits"):
        assert len(load_dataset(path)) == 32
        assert load_dataset(path).name == "own-digits"
    Path("digits").rename("scans")
    assert resolve_dataset("scans") == (str(tmp_path / "scans"), "")


@pytest.mark.parametrize("load", [load_dataset, check_dataset], ids=["load", "check"])
def test_paths_without_a_data_set_are_refused(tmp_path: Path, load) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    for path in (tmp_path / "absent", "absent/folder", "absent.csv", Path("absent")):
        with pytest.raises(UsageError, match="no such file or folder; give a folder of class fold"):
            load(path)
    with pytest.raises(UsageError, match=r"notes\.txt': is not a data set; give a folder of class"):
        load(tmp_path / "notes.txt")
    with pytest.raises(DatasetError, match="holds no folders of images"):
        load(tmp_path)
    with pytest.raises(UsageError, match="dataset '': unknown"):
        load("")


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
