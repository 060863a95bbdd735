"""What a run writes down, and what is left of one that fails or is killed."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runs_support import record_run

from digitflow import settings
from digitflow.errors import OutputError
from digitflow.runs.recording import recording
from digitflow.runs.records import came_to_nothing, read_record

RUNNING_SCRIPT = """
import sys
from pathlib import Path
from digitflow.runs.recording import recording

with recording(Path(sys.argv[1]), "train", {"seed": 1}) as run:
    with run.stage("data"):
        pass
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Path:
    return settings.reports_folder() / "mine"


def test_a_record_holds_all_that_is_needed_to_know_a_run_again(folder: Path, tmp_path: Path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "weights").write_bytes(b"weights")
    with recording(folder, "train", {"seed": 3, "teachers": []}) as run:
        with run.stage("fit"):
            (folder / "metrics.json").write_text("{}")
        run.note(outcome="promoted", metrics={"accuracy": 0.9}, data={"digest": "abc"})
        run.add_output(bundle)

    facts = json.loads((folder / "run.json").read_text())

    assert (facts["run"], facts["kind"], facts["state"]) == ("mine", "train", "completed")
    assert facts["parameters"] == {"seed": 3, "teachers": []}
    assert facts["outcome"] == "promoted"
    assert facts["seconds"] >= facts["stages"]["fit"] >= 0
    assert facts["started_at"] <= facts["ended_at"]
    assert facts["code"].keys() == {"version", "digest", "commit", "changed"}
    assert facts["libraries"].keys() >= {"digitflow", "python", "numpy", "tensorflow"}
    outputs = {output["path"]: output for output in facts["outputs"]}
    assert outputs.keys() == {"metrics.json", str(bundle / "weights")}
    digest = hashlib.sha256(b"weights").hexdigest()
    assert outputs[str(bundle / "weights")]["sha256"] == digest
    assert outputs["metrics.json"]["size"] == 2
    assert sorted(entry.name for entry in folder.iterdir()) == ["metrics.json", "run.json"]


@pytest.mark.parametrize(
    ("error", "state", "outcome"),
    [
        (ValueError("two\nlines"), "failed", "two lines"),
        (ValueError(), "failed", "ValueError"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (SystemExit(143), "interrupted", "143"),
    ],
)
def test_a_run_that_fails_says_so_and_why(
    folder: Path, error: BaseException, state: str, outcome: str
):
    with pytest.raises(type(error)), recording(folder, "train", {}) as run, run.stage("fit"):
        raise error

    facts = json.loads((folder / "run.json").read_text())
    assert (facts["state"], facts["outcome"]) == (state, outcome)
    assert "fit" in facts["stages"]
    assert came_to_nothing(folder)


def test_a_killed_run_is_known_by_its_lock(folder: Path):
    command = [sys.executable, "-c", RUNNING_SCRIPT, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        assert read_record(folder).state == "running"
        assert not came_to_nothing(folder)
        with (
            pytest.raises(OutputError, match="another run is at work there"),
            recording(folder, "train", {}),
        ):
            pass
        os.kill(run.pid, signal.SIGKILL)

    assert read_record(folder).state == "killed"
    assert list(read_record(folder).facts["stages"]) == ["data"]
    assert came_to_nothing(folder)


def test_a_run_in_the_same_folder_keeps_those_before_in_short(folder: Path):
    with pytest.raises(RuntimeError), recording(folder, "tune", {}):
        raise RuntimeError("no disk")
    record_run("mine", "tune", outcome="winner recipe")

    record = read_record(record_run("mine", "tune"))

    told = [(each["state"], each["outcome"]) for each in record.facts["earlier"]]
    assert told == [("failed", "no disk"), ("completed", "winner recipe")]


def test_a_place_that_cannot_be_written_is_said_before_the_work_begins(folder: Path):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")

    with pytest.raises(OutputError, match="mine: cannot be written"), recording(folder, "t", {}):
        pytest.fail("the work began")


def lose_the_record(folder: Path) -> None:
    with recording(folder, "train", {}):
        (folder / "run.json").unlink()
        (folder / "run.json").mkdir()
        raise RuntimeError("the real reason")


def test_what_fails_is_told_even_where_it_cannot_be_written_down(folder: Path):
    with pytest.raises(RuntimeError, match="the real reason"):
        lose_the_record(folder)


def test_an_output_that_is_gone_is_an_error(folder: Path, tmp_path: Path):
    with pytest.raises(OutputError, match="mine"), recording(folder, "t", {}) as run:
        run.add_output(tmp_path / "gone")
