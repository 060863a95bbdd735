"""What every test may use: the shared data, and folders of its own for what is written."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from object_store import ObjectStore, serving

REPOSITORY = Path(__file__).resolve().parents[1]


def _shared_data_folder() -> Path | None:
    candidates = [os.environ.get("DIGITFLOW_DATA"), REPOSITORY.parent / "shared" / "data"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "mnist").is_dir():
            return Path(candidate).resolve()
    return None


# Read before any test changes the environment.
SHARED_DATA = _shared_data_folder()


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder with MNIST and the real digits; skip where this machine has none."""
    if SHARED_DATA is None:
        pytest.skip("needs MNIST: set DIGITFLOW_DATA to a folder that holds mnist/")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point data, reports and models at folders of this test alone."""
    folder = tmp_path_factory.mktemp("work")
    for name in ("cache", "data", "prepared", "reports", "models"):
        monkeypatch.setenv(f"DIGITFLOW_{name.upper()}", str(folder / name))


@pytest.fixture(scope="session")
def fitted():
    """Return a CNN fitted just long enough to be no nonsense, with the data it was fitted on."""
    from digitflow import CNNClassifier, load_dataset

    data = load_dataset("digits")
    classifier = CNNClassifier(epochs=4, batch_size=32, random_state=0)
    return classifier.fit(data.images, data.labels), data


@pytest.fixture(scope="session")
def pristine_bundle(fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small bundle; copy it before changing anything in it."""
    from digitflow.learning.descriptions import describe_estimator
    from digitflow.learning.exporting import write_golden, write_model_files
    from digitflow.models.bundle import write_bundle

    classifier, data = fitted
    folder = tmp_path_factory.mktemp("bundle")
    draft = folder / "draft"
    draft.mkdir()
    write_model_files(classifier, draft, data.images)
    write_golden(draft, data.images[:10], n_classes=10, temperature=1.0)
    manifest = {
        "name": "small",
        "version": "1",
        "estimator": describe_estimator(classifier),
        "class_names": list(data.class_names),
        "temperature": 1.0,
        "thresholds": {"uncertain_below": 0.5},
    }
    return write_bundle(draft, folder / "small" / "1", manifest).folder


@pytest.fixture
def bundle_folder(pristine_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the small bundle that a test may damage."""
    return shutil.copytree(pristine_bundle, tmp_path / "small" / "1")


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for Prefect's database, which the first flow of the session makes."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def store_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], ObjectStore]]:
    with serving(tmp_path_factory.mktemp("server")) as new_bucket:
        yield new_bucket


_numbers = itertools.count()


@pytest.fixture
def store(
    store_server: Callable[[str], ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    """An empty bucket, and the credentials for it in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return store_server(f"bucket-{next(_numbers)}")
