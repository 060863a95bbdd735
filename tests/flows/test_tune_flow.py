"""The tuning flow as a user runs it: a script, a temporary Prefect server, real kills."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tune_flow import tune

from digitflow.errors import UsageError

SMALL = ["--dataset", "digits", "--network", "ann", "--trials", "3", "--epochs", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune")


@pytest.fixture(scope="module")
def environment(prefect_home: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("DIGITFLOW")}
    return own | {"PREFECT_HOME": str(prefect_home)}


@pytest.fixture(scope="module")
def command(repository: Path) -> list[str]:
    return [sys.executable, str(repository / "flows" / "tune_flow.py")]


@pytest.fixture(scope="module")
def run_flow(command: list[str], place: Path, environment: dict[str, str]):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


@pytest.fixture(scope="module")
def first_run(run_flow) -> subprocess.CompletedProcess[str]:
    return run_flow(*SMALL, "--seeds", "2", "--name", "undisturbed")


def scores(folder: Path) -> list[dict[str, str]]:
    """Return the leaderboard without the seconds, which differ from run to run."""
    with (folder / "leaderboard.csv").open(newline="") as stream:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(stream)]


def test_a_search_says_what_it_did_and_leaves_its_files(first_run, place: Path):
    assert first_run.returncode == 0, first_run.stderr
    assert first_run.stderr == ""
    said = [line.split("  ")[0] for line in first_run.stdout.splitlines() if line[0] != " "]
    assert [*said[:6], said[-1]] == [
        "data",
        "round 1",
        "round 2",
        "round 3",
        "winner",
        "report",
        "total",
    ]
    assert "3 trainings of 1 epoch; best" in first_run.stdout
    assert "winner.json --validation-fraction 0.1\n" in first_run.stdout
    report = place / "reports" / "undisturbed"
    assert sorted(entry.name for entry in report.iterdir()) == [
        "leaderboard.csv",
        "leaderboard.png",
        "run.json",
        "trials",
        "trials.csv",
        "winner.json",
    ]
    winner = json.loads((report / "winner.json").read_text())
    assert winner["dataset"] == "digits"
    assert winner["seeds"] == [0, 1]
    assert winner["parameters"]["epochs"] == 1
    assert {row["name"] for row in scores(report)} >= {"recipe"}
    record = json.loads((report / "run.json").read_text())
    assert (record["kind"], record["state"]) == ("tune", "completed")
    assert record["metrics"] == winner
    assert list(record["stages"]) == ["round 1", "round 2", "round 3", "write"]


@pytest.mark.long
def test_after_a_kill_the_same_command_does_only_what_is_left(
    first_run, run_flow, command: list[str], place: Path, environment: dict[str, str]
):
    told = [*SMALL, "--seeds", "2", "--name", "killed"]
    trials = place / "reports" / "killed" / "trials"
    # A session of its own, so that Prefect's temporary server dies with the script.
    flow = subprocess.Popen(
        [*command, *told],
        cwd=place,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(trials.glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.killpg(flow.pid, signal.SIGKILL)
        flow.wait()
    done = {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    assert 1 <= len(done) < 5

    again = run_flow(*told)

    assert again.returncode == 0, again.stderr
    assert f"{len(done)} taken from before" in again.stdout
    after = {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    assert {name: after[name] for name in done} == done
    assert sorted(after) == sorted(path.name for path in trials.iterdir() if path.name[0] != ".")
    undisturbed = place / "reports" / "undisturbed"
    assert after.keys() == {path.name for path in (undisturbed / "trials").iterdir()}
    assert scores(trials.parent) == scores(undisturbed)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--network", "fats"], 2, "invalid choice: 'fats'"),
        (["--dataset", "minst"], 2, "'minst'"),
        (["--dataset", "digits", "--trials", "0"], 2, "--trials: 0: must be above 0"),
        (
            ["--dataset", "digits", "--name", "../x"],
            2,
            "error: name of the search '../x' is not up",
        ),
        (["--dataset", "digits", "--name", ""], 2, "error: name of the search '' is not up to"),
    ],
)
def test_a_mistake_is_said_at_once_and_writes_nothing(
    run_flow, place: Path, arguments: list[str], exit_code: int, message: str
):
    before = sorted(place.rglob("*"))

    done = run_flow(*arguments)

    assert done.returncode == exit_code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "two words", "x" * 101])
def test_a_name_that_comes_from_a_form_is_checked_before_anything_runs(name: str):
    with pytest.raises(UsageError, match=r"^name of the search '") as refused:
        tune.fn(dataset="no such data set", name=name)

    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_the_help_names_every_option_and_exit_code(run_flow):
    done = run_flow("--help")

    assert done.returncode == 0
    for word in ["--trials", "--seeds", "--epochs", "--jobs", "--name", "Exit codes", "default"]:
        assert word in done.stdout
