"""The nightly job as a user runs it: a script, a real Prefect server, real files."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from nightly_flow import parse_arguments
from PIL import Image
from prefect.client.orchestration import SyncPrefectClient
from prefect_server import PrefectServer
from pyarrow import dataset as arrow_dataset
from scoring.scored_datasets import stand_of
from scoring_support import make_images, settle

from digitflow.scoring.folder import score_folder

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_flow(repository: Path, tmp_path: Path, server: PrefectServer) -> Run:
    told = tmp_path / "told.jsonl"

    def run(*arguments: str, hook: str = f"cat >> '{told}'; echo >> '{told}'") -> object:
        return subprocess.run(
            [sys.executable, str(repository / "flows" / "nightly_flow.py"), *arguments],
            cwd=tmp_path,
            env=server.environment
            | {"DIGITFLOW_ON_FAILURE": hook, "DIGITFLOW_REPORTS": str(tmp_path / "reports")},
            capture_output=True,
            text=True,
            timeout=200,
        )

    return run


def told(tmp_path: Path) -> list[dict[str, object]]:
    """Return what the failure hook was told."""
    file = tmp_path / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def records(tmp_path: Path) -> list[dict[str, Any]]:
    """Return what the runs have recorded, in their order."""
    files = (tmp_path / "reports").glob("*/run.json")
    found = [json.loads(file.read_text()) for file in files]
    return sorted(found, key=lambda record: record["started_at"])


def rows(tmp_path: Path) -> pa.Table:
    return arrow_dataset.dataset(tmp_path / "scored", partitioning="hive").to_table()


def test_a_night_is_scored_and_told_and_a_second_run_changes_nothing(
    tmp_path: Path, run_flow: Run, client: SyncPrefectClient
):
    (tmp_path / "inbox").mkdir()
    for day in ("2026-01-01", "2026-01-02"):
        make_images(tmp_path / "inbox" / day, 20)

    done = run_flow("inbox", "scored")

    assert (done.returncode, done.stderr) == (3, "")  # done, but two files are cut off
    for said in ["40 in 40 rows", "truncated 2", "2 parts, 2 written", "2026-01-02 is "]:
        assert said in done.stdout
    assert {*rows(tmp_path)["added_on"].to_pylist()} == {"2026-01-01", "2026-01-02"}
    shown = {each.key: each.data for each in client.read_artifacts()}
    assert json.loads(shown["nightly-days"])[0]["day"] == "2026-01-01"
    assert [each["error"] for each in json.loads(shown["nightly-days"])] == [1, 1]
    for part in [
        "40 in 40 rows",
        "| truncated | 2 |",
        "## Drift: 2026-01-02 is ",
        "![drift](data:",
    ]:
        assert part in shown["nightly-summary"]

    record = records(tmp_path)[-1]
    assert (record["kind"], record["state"]) == ("nightly", "completed")
    assert re.fullmatch(
        "40 of 40 files scored, 2 unreadable; 2026-01-02 is (stable|unclear|shifted|drifted)",
        record["outcome"],
    )
    assert record["parameters"]["inbox"] == "inbox"
    assert record["metrics"]["reasons"] == {"truncated": 2}
    assert record["metrics"]["drift"].startswith("2026-01-02 is ")
    assert len(record["outputs"]) == 2
    assert {"score", "drift"} <= {*record["stages"]}

    stand = stand_of(tmp_path / "scored")
    again = run_flow("inbox", "scored/", "--retries", "2")
    assert (again.returncode, again.stderr) == (3, "")
    assert "2 parts, 0 written" in again.stdout
    assert stand_of(tmp_path / "scored") == stand
    assert records(tmp_path)[-1]["outputs"] == []
    assert told(tmp_path) == []


def test_rows_of_files_that_left_the_inbox_stay_unless_they_are_to_go(
    tmp_path: Path, run_flow: Run
):
    (tmp_path / "inbox").mkdir()
    make_images(tmp_path / "inbox" / "2026-01-01", 5)
    score_folder(tmp_path / "inbox", f"{tmp_path}/scored/", workers=1, partition_by="day")
    shutil.rmtree(tmp_path / "inbox" / "2026-01-01")
    make_images(tmp_path / "inbox" / "2026-01-02", 5)

    always = ["inbox", "scored/", "--fail-on", "never", "--workers", "1"]
    kept = run_flow(*always)
    assert (kept.returncode, kept.stderr) == (0, "")
    assert rows(tmp_path)["added_on"].to_pylist() == ["2026-01-01"] * 5 + ["2026-01-02"] * 5

    dropped = run_flow(*always, "--drop-removed")
    assert (dropped.returncode, dropped.stderr) == (0, "")
    assert rows(tmp_path)["added_on"].to_pylist() == ["2026-01-02"] * 5
    given = [record["parameters"]["keep_removed"] for record in records(tmp_path)]
    assert given == [True, False]


def test_drift_fails_the_run_and_the_hook_is_told_once(
    tmp_path: Path, run_flow: Run, client: SyncPrefectClient
):
    (tmp_path / "inbox").mkdir()
    make_images(tmp_path / "inbox" / "2026-01-01", 100)
    other = tmp_path / "inbox" / "2026-01-02"
    other.mkdir()
    for number in range(100):
        pixels = np.full((60, 60), 240, np.uint8)
        pixels[10:50, 28 : 32 + number % 3] = 20
        Image.fromarray(pixels).save(other / f"{number}.png")
    settle(tmp_path / "inbox")

    done = run_flow("inbox", "scored/")

    assert done.returncode == 7
    assert done.stderr.startswith("error: 2026-01-02 is drifted in ")
    assert "digitflow review " in done.stderr
    assert done.stderr.count("\n") == 1
    (facts,) = told(tmp_path)
    assert facts["text"] == f"nightly: {facts['message']}"
    assert (facts["flow"], facts["state"], facts["exit_code"]) == ("nightly", "Failed", 7)
    assert facts["parameters"]["inbox"] == "inbox"
    assert client.read_flow_run(facts["run_id"]).state_name == "Failed"
    assert rows(tmp_path).num_rows == 200  # complete all the same
    record = records(tmp_path)[-1]
    assert (record["state"], record["outcome"]) == ("failed", facts["message"])
    assert record["metrics"]["n_rows"] == 200

    unmoved = run_flow("inbox", "scored/", "--fail-on", "never", "--max-error-rate", "0.5")
    assert (unmoved.returncode, unmoved.stderr) == (0, "")


def test_a_hook_that_fails_does_not_hide_how_the_run_ended(tmp_path: Path, run_flow: Run):
    (tmp_path / "inbox").mkdir()
    make_images(tmp_path / "inbox" / "2026-01-01", 20)

    done = run_flow("inbox", "scored/", "--max-error-rate", "0.01", hook="exit 5")

    assert done.returncode == 3
    first, second = sorted(done.stderr.splitlines())
    assert first.startswith("error: 1 of 20 files could not be read, a share above 0.01; ")
    assert second == "note: the failure hook exit ended with 5"


def test_retries_are_bounded_as_in_the_form(capsys: pytest.CaptureFixture[str]):
    assert parse_arguments(["inbox", "scored/", "--retries", "10"]).retries == 10
    for number in ("11", "-1"):
        with pytest.raises(SystemExit) as end:
            parse_arguments(["inbox", "scored/", "--retries", number])
        assert end.value.code == 2
        assert f"argument --retries: invalid choice: {number} " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["nowhere", "scored/"], 2, "nowhere"),
        (["inbox", "s3://bucket/scored/"], 2, "a dataset is a local folder"),
        (["inbox", "scored/", "--backfill", "yesterday"], 2, "yesterday: is no range of days"),
        (["inbox", "scored/", "--backfill", "2025-01-01"], 2, "in folders dated 2025-01-01"),
        (["inbox", "nowhere/scored/"], 6, "nowhere"),
        (["inbox", "scored/", "--against", "earlier.parquet"], 2, "earlier.parquet"),
        (["inbox", "scored/", "--model", os.fsdecode(b"\xff")], 2, "valid UTF-8; rename it"),
    ],
)
def test_what_cannot_work_is_said_at_once_and_told(
    tmp_path: Path, run_flow: Run, arguments: list[str], exit_code: int, message: str
):
    make_images(tmp_path / "inbox", 1)

    done = run_flow(*arguments)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    (facts,) = told(tmp_path)
    assert message in facts["text"]
    assert facts["exit_code"] == exit_code
    assert not (tmp_path / "scored").exists()
