import csv
import hashlib
from pathlib import Path

import pytest

from digitflow.datasets.catalogue import (
    BALANCED,
    DATASETS,
    MNIST_DISPUTED,
    MNIST_WRITERS,
    RemoteFile,
    find_info,
)
from digitflow.errors import UsageError

# As the publishers of QMNIST give them.
QMNIST_MD5 = {
    "qmnist-train-labels-idx2-int.gz": "0058f8dd561b90ffdd0f734c6a30e5e4",
    "qmnist-test-labels-idx2-int.gz": "5b5b05890a5e13444e108efe57b788aa",
}


def test_each_entry_can_be_found_by_its_name() -> None:
    for name, info in DATASETS.items():
        assert find_info(name) is info
        assert info.name == name
        for mirror in info.mirrors:
            assert mirror.startswith("https://")
            assert mirror.endswith("/")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'mnits': unknown; did you mean 'mnist'"):
        find_info("mnits")
    with pytest.raises(
        UsageError, match=r"'xyz': unknown; known are auto, mnist, digits, qmnist, "
    ):
        find_info("xyz")


def test_the_files_are_those_that_are_listed(shared_data: Path) -> None:
    for info in (DATASETS["mnist"], MNIST_WRITERS):
        for file in info.files:
            content = (shared_data / info.name / file.name).read_bytes()
            assert len(content) == file.size
            assert hashlib.sha256(content).hexdigest() == file.sha256
            if file.name in QMNIST_MD5:
                assert hashlib.md5(content).hexdigest() == QMNIST_MD5[file.name]


def test_every_file_can_be_checked() -> None:
    for info in DATASETS.values():
        for file in info.files:
            assert (len(file.sha256), len(file.md5)) in {(64, 0), (0, 32)}
            int(file.sha256 or file.md5, 16)
    with pytest.raises(UsageError, match=r"images\.gz: has no digest"):
        RemoteFile("images.gz", size=10)


def test_balanced_letters_are_those_of_emnist() -> None:
    assert len(BALANCED) == len(set(BALANCED)) == 47
    # Its authors' mapping: 35 is Z, 36 to 46 are a b d e f g h n q r t.
    assert (BALANCED[9], BALANCED[10], BALANCED[35], BALANCED[36]) == ("9", "A", "Z", "a")
    assert BALANCED[46] == "t"


def test_disputed_are_the_test_images_whose_label_most_people_did_not_confirm(
    shared_data: Path,
) -> None:
    with (shared_data / "mnist-label-errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    unconfirmed = [int(row["t10k_index"]) for row in rows if row["majority"] != "given"]
    assert list(MNIST_DISPUTED) == unconfirmed
