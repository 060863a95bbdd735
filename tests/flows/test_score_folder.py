"""The scoring flow as a user runs it: a script, a temporary Prefect server, real files."""

import json
import os
import sqlite3
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from object_store import ObjectStore
from PIL import Image

from digitflow import settings
from digitflow.files import sha256_of


@pytest.fixture
def run_flow(repository: Path, tmp_path: Path, prefect_home: Path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(repository / "flows" / "score_folder.py"), *arguments],
            cwd=tmp_path,
            env=os.environ | {"PREFECT_HOME": str(prefect_home)},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_a_folder_becomes_a_table_and_a_summary(fitted, run_flow, tmp_path: Path, prefect_home):
    _, data = fitted
    folder = tmp_path / "images"
    folder.mkdir()
    for place in range(20):
        Image.fromarray(data.images[place]).save(folder / f"{data.labels[place]}-{place}.png")
    (folder / "notes.txt").write_text("not an image")

    done = run_flow("images", "out.parquet")

    assert done.returncode == 3  # done, but one file could not be read
    assert done.stderr == ""
    for said in ["21 in 21 rows", "ok ", "error 1", "images/s", "mnist@pretrained", "out.parquet"]:
        assert said in done.stdout
    table = pd.read_parquet(tmp_path / "out.parquet").set_index("path")
    assert len(table) == 21
    (run_id,) = table["run_id"].unique()
    record = json.loads((settings.reports_folder() / run_id / "run.json").read_text())
    assert (record["kind"], record["state"]) == ("score", "completed")
    assert record["metrics"]["statuses"]["error"] == 1
    assert record["outputs"][0]["sha256"] == sha256_of(tmp_path / "out.parquet")
    assert table.loc["notes.txt", "status"] == "error"
    read = table[table["label"].notna()]["label"].astype(str)
    assert sum(name.split("-")[0] == label for name, label in read.items()) >= 18
    with sqlite3.connect(f"file:{prefect_home}/prefect.db?mode=ro", uri=True) as database:
        keys = {key for (key,) in database.execute("select key from artifact")}
    assert "scoring-summary" in keys


def test_too_many_errors_fail_the_flow_and_a_summary_is_left(
    fitted, run_flow, tmp_path: Path, prefect_home: Path
):
    _, data = fitted
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(data.images[0]).save(folder / "a.png")
    (folder / "notes.txt").write_text("not an image")
    options = ["images", "out.parquet", "--max-error-rate", "0.4", "--summary", "summary.json"]

    done = run_flow(*options)

    assert done.returncode == 3
    assert done.stderr.startswith("error: 1 of 2 files could not be read, a share above 0.4; ")
    assert done.stderr.count("\n") == 1
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 2
    assert json.loads((tmp_path / "summary.json").read_text())["error_rate"] == 0.5
    with sqlite3.connect(f"file:{prefect_home}/prefect.db?mode=ro", uri=True) as database:
        states = [state for (state,) in database.execute("select state_type from flow_run")]
    assert "FAILED" in states
    (record,) = settings.reports_folder().glob("*/run.json")
    assert json.loads(record.read_text())["state"] == "failed"

    options[1], options[3] = "scored/", "0.5"
    again = run_flow(*options, "--fresh", "--keep-removed", "--partition-by", "day")
    assert (again.returncode, again.stderr) == (0, "")
    assert "scored/ (1 part, 1 written)" in again.stdout
    assert len(list(tmp_path.glob("scored/added_on=*/part-*.parquet"))) == 1


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["images", "out.parquet", "--summary", "images/s.json"], 2, "among the images"),
        (["nowhere", "out.parquet"], 2, "nowhere"),
        (["images", "nowhere/out.parquet"], 6, "nowhere"),
        (["images", "out.parquet", "--model", "unheard-of"], 2, "unheard-of"),
        (["images", "out.parquet", "--dask", "localhost:8786"], 2, "as tcp://host:8786"),
        (["images", os.fsdecode(b"\xff.parquet")], 2, "use digitflow score"),
    ],
)
def test_a_mistake_is_said_in_one_line_before_anything_starts(
    run_flow, tmp_path: Path, arguments: list[str], exit_code: int, message: str
):
    (tmp_path / "images").mkdir()
    Image.new("L", (28, 28)).save(tmp_path / "images" / "a.png")

    done = run_flow(*arguments)

    assert done.returncode == exit_code
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["images"]


def test_a_folder_in_a_store_becomes_a_table_in_it(fitted, run_flow, store: ObjectStore):
    _, data = fitted
    for place in range(2):
        picture = BytesIO()
        Image.fromarray(data.images[place]).save(picture, "PNG")
        store.put({f"scans/{place}.png": picture.getvalue()})

    done = run_flow(store.uri("scans"), store.uri("out.parquet"))

    assert (done.returncode, done.stderr) == (0, "")
    assert store.known_as("out.parquet") in done.stdout
    assert len(pd.read_parquet(BytesIO(store.get("out.parquet")))) == 2


@pytest.mark.parametrize("place", [0, 1])
def test_credentials_in_a_uri_are_refused_before_prefect_records_them(
    place: int, run_flow, store: ObjectStore
):
    places = [store.uri("scans"), store.uri("out.parquet")]
    places[place] = store.uri("x", "key:s3cr3t@")

    done = run_flow(*places)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {store.known_as('x')}: Prefect records what its flows")
    assert "s3cr3t" not in done.stdout + done.stderr


def test_a_bad_output_in_a_store_is_told_before_prefect_starts(
    fitted, run_flow, store: ObjectStore
):
    store.put({"scans/a.png": b"x", "notes.txt": b"mine"})

    done = run_flow(store.uri("scans"), store.uri("notes.txt"))

    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"error: {store.known_as('notes.txt')}: exists and is not a")
