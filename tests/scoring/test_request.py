"""What is asked of a run is refused at once where it cannot work."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from digitflow.errors import OutputError, UnknownModelError, UsageError
from digitflow.scoring.dataset import Dataset
from digitflow.scoring.request import check_request
from digitflow.scoring.table import METADATA_KEY


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with one file in it."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"x")
    return folder


def test_paths_are_made_absolute_and_nothing_is_written(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alias").symlink_to(images)
    monkeypatch.chdir(tmp_path)
    request = check_request(Path("alias"), Path("out.parquet"))
    assert (request.images, request.output) == (images, tmp_path / "out.parquet")
    assert request.workers >= 1
    assert [file.path for file in request.found] == [b"a.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alias", "images"]


def test_no_name_is_no_folder(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images)  # as which a script's empty variable would be taken
    with pytest.raises(UsageError, match="no name is given; name a folder of images"):
        check_request("", images.parent / "out.parquet")


def test_the_folder_must_be_one_with_files(images: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    with pytest.raises(UsageError, match="No such file"):
        check_request(tmp_path / "missing", output)
    with pytest.raises(UsageError, match="is not a folder"):
        check_request(images / "a.png", output)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="symbolic links"):
        check_request(tmp_path / "loop", output)
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    (tmp_path / "empty" / ".hidden").write_text("x")
    with pytest.raises(UsageError, match="holds no files"):
        check_request(tmp_path / "empty", output)


def test_a_folder_that_holds_only_the_table_has_no_files(images: Path) -> None:
    (images / "a.png").unlink()
    with pytest.raises(UsageError, match="holds no files"):
        check_request(images, images / "out.parquet")


def test_the_output_must_be_a_place_for_a_table(images: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist; make it first"):
        check_request(images, tmp_path / "missing" / "out.parquet")
    with pytest.raises(OutputError, match="is a folder; name a file in it"):
        check_request(images, tmp_path)
    with pytest.raises(OutputError, match="exists and is not a scored table"):
        check_request(images, images / "a.png")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="exists and is not a scored table"):
        check_request(images, tmp_path / "pipe")


@pytest.mark.parametrize("end", ["/", "//", "/."])
def test_an_output_that_is_written_as_a_folder_is_a_dataset(
    images: Path, tmp_path: Path, end: str
) -> None:
    request = check_request(images, f"{tmp_path}/out{end}")
    assert request.dataset == Dataset(tmp_path / "out")
    assert request.output == tmp_path / "out"
    assert check_request(images, f"{tmp_path}/out").dataset is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
    with pytest.raises(OutputError, match=r"holds a\.png, which is no part"):
        check_request(images, f"{images}{end}")


def test_model_and_workers_must_be_there(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError):
        check_request(images, tmp_path / "out.parquet", model="nonesuch")
    with pytest.raises(UsageError, match="workers is 0; it must be at least 1"):
        check_request(images, tmp_path / "out.parquet", workers=0)


def test_parts_lie_by_day_or_in_one_folder(images: Path, tmp_path: Path) -> None:
    dataset = check_request(images, f"{tmp_path}/out/", partition_by="day").dataset
    assert dataset == Dataset(tmp_path / "out", by_day=True)
    with pytest.raises(UsageError, match="partition_by is 'week'; it can be 'day'"):
        check_request(images, f"{tmp_path}/out/", partition_by="week")


@pytest.mark.parametrize("facts", [{"run": None}, {"model": ["small"]}, {"model": {}, "run": 5}])
def test_facts_of_someone_else_are_no_scored_table(
    images: Path, tmp_path: Path, facts: dict
) -> None:
    output = tmp_path / "out.parquet"
    content = pa.table({"a": [1]}).replace_schema_metadata({METADATA_KEY: json.dumps(facts)})
    parquet.write_table(content, output)
    with pytest.raises(OutputError, match="exists and is not a scored table"):
        check_request(images, output)
