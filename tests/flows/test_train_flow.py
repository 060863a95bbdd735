"""The training flow as a user runs it: a script, a temporary Prefect server, real files."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets.samples import drawn, write_images
from train_flow import fit

from digitflow.datasets.preparing import prepare_dataset
from digitflow.files import sha256_of
from digitflow.learning import checkpoints


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def environment(place: Path, prefect_home: Path) -> dict[str, str]:
    """Return an environment without network, with folders of its own."""
    nobody = "http://127.0.0.1:9"  # the discard port: refused at once
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("DIGITFLOW")},
        "PREFECT_HOME": str(prefect_home),
        "HTTP_PROXY": nobody,
        "HTTPS_PROXY": nobody,
        "http_proxy": nobody,
        "https_proxy": nobody,
        "no_proxy": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="module")
def run_flow(repository: Path, place: Path, environment: dict[str, str]):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(repository / "flows" / "train_flow.py"), *arguments]
        return subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, timeout=240
        )

    return run


@pytest.fixture(scope="module")
def first_run(run_flow) -> subprocess.CompletedProcess[str]:
    """Return what a run printed that nothing was told: auto, offline, empty cache."""
    started = time.monotonic()
    done = run_flow()
    assert time.monotonic() - started < 90
    return done


def test_offline_a_run_ends_well_with_digits_and_says_so(first_run, place: Path):
    assert first_run.returncode == 0, first_run.stderr
    assert first_run.stderr == ""
    lines = first_run.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["note", "data", "fit"]
    assert "not comparable with MNIST" in lines[0]
    assert "digits test images" in first_run.stdout
    assert "promoted: it is the first version" in first_run.stdout
    assert "Traceback" not in first_run.stdout


def test_a_run_leaves_report_and_model_and_nothing_else(first_run, place: Path):
    (report,) = (place / "reports").iterdir()
    assert {file.name for file in report.iterdir()} == {
        "augmentation.png",
        "classification_report.csv",
        "confusion_matrix.png",
        "history.json",
        "layers.csv",
        "metrics.json",
        "misclassified.png",
        "reasons.png",
        "reliability.png",
        "report.html",
        "risk_coverage.png",
        "robustness.csv",
        "robustness.png",
        "run.json",
        "sample_predictions.png",
        "training_history.png",
    }
    assert "stand in for MNIST" in (report / "report.html").read_text()
    assert json.loads((report / "metrics.json").read_text())["accuracy"] > 0.9
    (version,) = (entry for entry in (place / "models" / "digits").iterdir() if entry.is_dir())
    manifest = json.loads((version / "manifest.json").read_text())
    assert "stand in for MNIST" in manifest["note"]
    assert manifest["data"]["name"] == "digits"
    assert manifest["command"] == "python flows/train_flow.py"
    assert sorted(entry.name for entry in place.iterdir()) == ["data", "models", "reports"]


def test_a_run_publishes_its_report_in_prefect(first_run, prefect_home: Path):
    with sqlite3.connect(f"file:{prefect_home}/prefect.db?mode=ro", uri=True) as database:
        artifacts = dict(database.execute("select key, type from artifact").fetchall())
        completed = database.execute(
            "select flow_run.id, count(*) from task_run"
            " join flow_run on flow_run.id = task_run.flow_run_id"
            " join flow on flow.id = flow_run.flow_id"
            " where flow.name = 'train' and flow_run.state_type = 'COMPLETED'"
            " and task_run.state_type = 'COMPLETED' group by flow_run.id"
        ).fetchall()

    assert artifacts["training-report"] == "markdown"
    assert artifacts["training-classes"] == "table"
    # All eight tasks: with its default settings Prefect 3.8.8 loses the end of the last ones. What
    # was taken from the record has none but those of the data.
    assert {count for _, count in completed} - {1, 2} == {8}


def test_a_run_leaves_a_record_of_what_it_was_given_and_made(first_run, place: Path):
    (facts,) = records(place, first_run)
    assert (facts["kind"], facts["state"]) == ("train", "completed")
    assert facts["outcome"] == "promoted: it is the first version"
    assert facts["parameters"]["dataset"] == "auto"
    assert facts["data"]["name"] == "digits"
    assert set(facts["stages"]) == {
        *("data", "prepare", "fit", "export", "compare", "evaluate", "register")
    }
    assert facts["metrics"]["confusion_matrix"]
    weights = place / "models" / "digits" / facts["model"]["model"].split("@")[1]
    assert facts["model"]["weights_digest"] == sha256_of(weights / "weights.safetensors")
    paths = {output["path"]: output["sha256"] for output in facts["outputs"]}
    assert paths[str(weights / "weights.safetensors")] == facts["model"]["weights_digest"]
    assert "report.html" in paths


def records(place: Path, done: subprocess.CompletedProcess[str]) -> list[dict]:
    """Return the records of the runs that a console names."""
    files = (place / "reports").glob("*/run.json")
    return [json.loads(f.read_text()) for f in files if f"reports/{f.parent.name}/" in done.stdout]


def test_the_same_run_again_is_taken_from_the_record(first_run, run_flow, place: Path):
    before = sorted((place / "models").rglob("*"))

    again = run_flow()

    assert (again.returncode, again.stderr) == (0, "")
    (former,) = records(place, first_run)
    assert f"same       as {former['run']}: data, options, seed and code; --fresh" in again.stdout
    assert "taken from the cache" in again.stdout
    assert f"model      {former['model']['folder']}\n" in again.stdout
    assert sorted((place / "models").rglob("*")) == before
    outcomes = [
        json.loads(file.read_text())["outcome"] for file in (place / "reports").glob("*/run.json")
    ]
    assert f"taken from {former['run']}" in outcomes


@pytest.mark.long
def test_fresh_trains_again_and_gives_the_same_weights(first_run, run_flow, place: Path):
    again = run_flow("--fresh")

    (former,), (fresh,) = records(place, first_run), records(place, again)
    assert fresh["run"] != former["run"]
    assert fresh["model"]["weights_digest"] == former["model"]["weights_digest"]
    assert fresh["outcome"].startswith("promoted: it is not worse: ")


def test_corrections_are_learned_and_make_another_run(
    first_run, run_flow, place: Path, tmp_path: Path
):
    write_images(tmp_path, {f"{n}.png": image for n, image in enumerate(drawn(3))})
    (tmp_path / "answers.csv").write_text("path,label\n0.png,7\n1.png,1\n2.png,\n")
    options = ["--dataset", "digits", "--network", "ann", "--epochs", "1", "--name", "corrected"]

    done = run_flow(*options, "--corrections", str(tmp_path / "answers.csv"))

    assert done.returncode == 0, done.stderr
    assert "1,295 train, 144 validation" in done.stdout
    assert "2 corrections among the training images" in done.stdout
    (facts,) = records(place, done)
    (plain,) = records(place, first_run)
    assert facts["data"]["digest"] != plain["data"]["digest"]
    assert facts["data"]["splits"]["validation"] == plain["data"]["splits"]["validation"]


def test_a_second_run_takes_the_prepared_data_from_the_cache(first_run, run_flow):
    options = ["--dataset", "digits", "--network", "ann", "--epochs", "1", "--no-promote"]
    again = run_flow(*options, "--name", "again")

    assert again.returncode == 0, again.stderr
    assert "taken from the cache" in again.stdout
    assert "not promoted: promotion was not asked for" in again.stdout


def test_a_version_that_exists_is_refused_before_anything_is_done(first_run, run_flow, place: Path):
    (version,) = (entry.name for entry in (place / "models" / "digits").glob("*[0-9a-f]"))
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}

    done = run_flow("--dataset", "digits", "--version", version)

    assert done.returncode == 6
    assert "exists already" in done.stderr
    assert done.stdout == ""
    assert {file: file.read_bytes() for file in place.rglob("*") if file.is_file()} == before


@pytest.mark.long
def test_a_folder_of_letters_is_trained_on(run_flow, place: Path, tmp_path: Path):
    write_images(
        tmp_path / "my letters",
        {f"{'abC'[n % 3]}/{n}.png": image for n, image in enumerate(drawn(90))},
    )

    done = run_flow("--dataset", str(tmp_path / "my letters"), "--network", "ann", "--epochs", "1")

    assert done.returncode == 0, done.stderr
    assert "data       my-letters: " in done.stdout
    (bundle,) = (entry for entry in (place / "models" / "my-letters").iterdir() if entry.is_dir())
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["class_names"] == ["C", "a", "b"]
    assert "image folder 'my letters', train; the test part" in manifest["data"]["source"]
    assert manifest["data"]["splits"]["test"]["n"] == 18


def test_without_network_mnist_is_refused_in_one_line_that_helps(run_flow, place: Path):
    started = time.monotonic()

    done = run_flow("--dataset", "mnist")

    assert time.monotonic() - started < 15
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "https://storage.googleapis.com/cvdf-datasets/mnist/" in done.stderr
    assert "https://ossci-datasets.s3.amazonaws.com/mnist/" in done.stderr
    assert str(place / "data" / "mnist") in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "fats"], "invalid choice: 'fats'"),
        (["--dataset", "minst"], "dataset 'minst': unknown; did you mean 'mnist'?"),
        (["--dataset", "no/such/folder"], "'no/such/folder': no such file or folder; give a fol"),
        (["--dataset", ""], "dataset '': unknown; known are auto, mnist, digits"),
        (["--seed", "-1"], "must be from 0"),
        (["--dataset", "digits", "--version", "current"], "version 'current'"),
        (["--epochs", "many"], "invalid whole number value: 'many'"),
        (["--dataset", "digits", "--epochs", "0"], "--epochs: 0: must be above 0"),
        (["--dataset", "digits", "--name", "../x"], "model name '../x'"),
        (["--dataset", "digits", "--corrections", "none.csv"], "none.csv: no such file"),
        (
            ["--dataset", "digits", "--validation-fraction", "0.9"],
            "0.9: must be above 0 and at",
        ),
    ],
)
def test_a_mistake_is_said_at_once_and_writes_nothing(
    run_flow, tmp_path: Path, place: Path, arguments: list[str], message: str
):
    before = sorted(place.rglob("*"))

    done = run_flow(*arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(place.rglob("*")) == before


def test_the_help_names_every_option_and_exit_code(run_flow):
    done = run_flow("--help")

    assert done.returncode == 0
    for word in ["--dataset", "--network", "--epochs", "--seed", "--name", "Exit codes", "default"]:
        assert word in done.stdout


def test_it_is_said_where_a_killed_fit_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    class Killed(checkpoints.Checkpoint):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            super().on_epoch_end(epoch, logs)
            raise KeyboardInterrupt

    told = {"network": "ann", "epochs": 2, "teachers": []}
    begun = (str(prepare_dataset("digits").folder), str(tmp_path / "draft"), told, "")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "Checkpoint", Killed)
        with pytest.raises(KeyboardInterrupt):
            fit.fn(*begun)
    assert capsys.readouterr().out == ""

    fitted = fit.fn(*begun)
    said = capsys.readouterr().out
    again = fit.fn(*begun)

    assert said == "goes on    after epoch 1 of a run that was killed; --fresh begins anew\n"
    assert capsys.readouterr().out.startswith("goes on    after the fit of a run that was killed")
    assert again == fitted


def test_sigterm_in_the_middle_leaves_no_process_and_no_model(
    repository: Path, tmp_path: Path, environment: dict[str, str]
):
    mark = f"digitflow-test-{os.getpid()}"
    command = [sys.executable, str(repository / "flows" / "train_flow.py"), "--dataset", "digits"]
    flow = subprocess.Popen(
        [*command, "--epochs", "10000"],
        cwd=tmp_path,
        env=environment | {"DIGITFLOW_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert flow.stdout is not None
        assert flow.stdout.readline().startswith("data ")  # the fit comes next
        assert len(processes_with(mark)) >= 2  # the script and Prefect's temporary server
        flow.send_signal(signal.SIGTERM)
        _, errors = flow.communicate(timeout=60)
    finally:
        flow.kill()
        flow.communicate()

    assert flow.returncode == 143
    assert errors == "terminated\n"
    (record,) = (tmp_path / "reports").glob("*/run.json")
    assert json.loads(record.read_text())["state"] == "interrupted"
    assert processes_with(mark) == []
    assert list((tmp_path / "models").rglob("*.safetensors")) == []


def processes_with(mark: str) -> list[int]:
    """Return the processes that have a mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:  # it ended in the meantime
            continue
    return found
