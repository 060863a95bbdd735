"""The deployments that prefect.yaml describes, without a server: what would be registered."""

import importlib
import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from deployments import _is_stale, _runs_with_a_process, read_deployments
from orchestration import HOST_LABEL, _alert
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ParameterTypeError
from strange_server import answering
from train_options import NETWORK_NAMES

from digitflow.datasets.corrections import check_corrections
from digitflow.models.registry import find_model


@pytest.fixture(scope="module")
def deployments() -> dict[str, RunnerDeployment]:
    return {each.flow_name: each for each in read_deployments()}


def test_every_flow_is_deployed(deployments, repository: Path):
    scripts = {each.name for each in (repository / "flows").glob("*.py")}
    helpers = {"data_stage.py", "deployments.py", "orchestration.py", "train_options.py"}
    helpers |= {"prefect_settings.py"}

    entrypoints = {Path(each.entrypoint.partition(":")[0]).name for each in deployments.values()}

    assert {*entrypoints} == scripts - helpers


def test_every_flow_notes_its_host_and_tells_the_failure_hook(deployments):
    for deployment in deployments.values():
        script, _, name = deployment.entrypoint.partition(":")
        flow = getattr(importlib.import_module(Path(script).stem), name)
        hooks = [*flow.on_failure_hooks, *flow.on_crashed_hooks]
        assert [hook.__name__ for hook in hooks] == ["alert_on_failure"] * 2
        assert [hook.__name__ for hook in flow.on_running_hooks] == ["note_host"]


def test_the_hook_is_told_of_every_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told = tmp_path / "told.jsonl"
    monkeypatch.setenv("DIGITFLOW_ON_FAILURE", f"cat >> '{told}'; echo >> '{told}'")
    runs = [uuid4(), uuid4()]

    for run_id in (*runs, runs[0]):  # as a service sees them crash
        _alert("nightly", "Its process is gone.", None, run_id=run_id)

    facts = [json.loads(line) for line in told.read_text().splitlines()]
    assert [each["run_id"] for each in facts] == [str(run_id) for run_id in runs]


def test_one_run_at_a_time_and_none_waits_for_a_scheduled_one(deployments):
    for name, deployment in deployments.items():
        assert deployment.concurrency_limit == 1
        strategy = deployment.concurrency_options.collision_strategy
        assert strategy == ("ENQUEUE" if name == "score-folder" else "CANCEL_NEW")


def test_what_is_trained_by_schedule_can_take_the_place_of_the_shipped_version(deployments):
    told = deployments["train"].parameters
    shipped = json.loads((find_model("mnist@pretrained") / "manifest.json").read_text())

    assert told["dataset"] == shipped["data"]["name"]
    for option in ("network", "drawn_digits", "outliers"):
        assert told[option] == shipped["options"][option]
    check_corrections(told["corrections"])  # a folder that is not there yet


def test_the_form_describes_every_parameter(deployments):
    for deployment in deployments.values():
        properties = deployment._parameter_openapi_schema.properties
        assert properties
        for name, facts in properties.items():
            assert facts.get("description"), f"{deployment.flow_name}: {name}"
            assert {"type", "anyOf", "enum", "allOf"} & {*facts}, f"{deployment.flow_name}: {name}"


def test_the_form_knows_choices_and_bounds(deployments):
    properties = deployments["nightly"]._parameter_openapi_schema.properties

    assert properties["fail_on"]["enum"] == ["drifted", "shifted", "never"]
    assert properties["against"]["items"] == {"type": "string"}
    (number, nothing) = properties["max_error_rate"]["anyOf"]
    assert (number["minimum"], number["maximum"], nothing) == (0, 1, {"type": "null"})


@pytest.mark.parametrize(
    ("flow", "refused"),
    [
        ("train", {"network": "huge"}),
        ("train", {"epochs": 0}),
        ("train", {"learning_rate": 0}),
        ("train", {"learning_rate": float("inf")}),
        ("train", {"drawn_digits": -1}),
        ("train", {"error_rate": 1.5}),
        ("train", {"seed": 2**32}),
        ("train", {"validation_fraction": 0.6}),
        ("tune", {"network": "huge"}),
        ("tune", {"trials": 0}),
        ("tune", {"seed": -1}),
        ("tune", {"jobs": 0}),
    ],
)
def test_a_flow_refuses_what_its_script_would(flow: str, refused: dict[str, object]):
    taken = getattr(importlib.import_module(f"{flow}_flow"), flow)

    taken.validate_parameters({})
    with pytest.raises(ParameterTypeError, match=next(iter(refused))):
        taken.validate_parameters(refused)


def test_the_form_of_a_training_offers_its_networks(deployments):
    for name in ("train", "tune"):
        properties = deployments[name]._parameter_openapi_schema.properties
        assert tuple(properties["network"]["enum"]) == NETWORK_NAMES
        assert (properties["seed"]["minimum"], properties["seed"]["maximum"]) == (0, 2**32 - 1)


@pytest.mark.parametrize(
    ("state", "minutes", "pid", "host", "is_stale"),
    [
        ("RUNNING", 0, None, None, True),
        ("CANCELLING", 0, None, None, True),
        ("PENDING", 0, None, None, False),  # a process may be about to begin
        ("PENDING", 3, None, None, True),
        ("RUNNING", 9, "12800", None, False),  # a worker's, perhaps on another machine
        ("RUNNING", 9, "12800", socket.gethostname(), True),
        ("RUNNING", 9, None, socket.gethostname(), True),
        ("RUNNING", 9, "12800", "elsewhere", False),
        ("RUNNING", 9, None, "elsewhere", False),
    ],
)
def test_a_run_without_a_process_is_stale(
    state: str, minutes: int, pid: str | None, host: str | None, is_stale: bool
):
    since = datetime.now(UTC) - timedelta(minutes=minutes)
    run = SimpleNamespace(
        id=uuid4(),
        state_type=StateType[state],
        state=SimpleNamespace(timestamp=since),
        infrastructure_pid=pid,
        labels={HOST_LABEL: host} if host else {},
    )

    assert _is_stale(run, set()) == is_stale
    assert not _is_stale(run, {str(run.id)})


def test_a_run_with_a_process_is_known_by_it():
    name = str(uuid4())
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        command,
        env=os.environ | {"PREFECT__FLOW_RUN_ID": name},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        assert name in set(_runs_with_a_process())
        process.communicate(b"\n")
    assert name not in set(_runs_with_a_process())


def test_without_a_server_it_says_how_to_start_one(repository: Path, tmp_path: Path):
    environment = {n: v for n, v in os.environ.items() if n != "PREFECT_API_URL"}
    done = subprocess.run(
        [sys.executable, str(repository / "flows" / "deployments.py")],
        env=environment | {"PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("error: PREFECT_API_URL is not set, ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("code", "message"),
    [(None, "does not answer ("), (404, "does not answer as Prefect's (404)")],
)
def test_a_server_that_is_not_there_or_none_of_prefects_is_one_line(
    repository: Path, tmp_path: Path, code: int | None, message: str
):
    with answering(code) as address:
        done = subprocess.run(
            [sys.executable, str(repository / "flows" / "deployments.py"), "--sweep"],
            env=os.environ | {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": address},
            capture_output=True,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: Prefect's server at {address} {message}")
    assert done.stderr.count("\n") == 1
