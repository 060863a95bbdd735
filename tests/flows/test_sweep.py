"""What a sweep ends, with a real Prefect server."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from deployments import sweep
from orchestration import HOST_LABEL, note_host
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running
from prefect_server import PrefectServer

HERE = {HOST_LABEL: socket.gethostname()}


@pytest.fixture
def deployment(client: SyncPrefectClient) -> Any:
    return client.create_deployment(client.create_flow_from_name("swept"), "digits")


def begin(
    client: SyncPrefectClient, deployment: Any, pid: str | None, labels: dict[str, str]
) -> FlowRun:
    """Let a run be in the state in which a killed process leaves it."""
    run = client.create_flow_run_from_deployment(deployment, state=Running())
    if pid:
        client.update_flow_run(run.id, infrastructure_pid=pid)
    if labels:
        client.update_flow_run_labels(run.id, labels)
    return run


def test_runs_of_this_machine_are_ended_and_told_and_those_of_others_stay(
    client: SyncPrefectClient, deployment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told = tmp_path / "told.jsonl"
    monkeypatch.setenv("DIGITFLOW_ON_FAILURE", f"cat >> '{told}'; echo >> '{told}'")
    gone = [
        begin(client, deployment, None, {}),
        begin(client, deployment, None, HERE),
        begin(client, deployment, "12800", HERE),  # a worker's
    ]
    others = [
        begin(client, deployment, None, {HOST_LABEL: "elsewhere"}),
        begin(client, deployment, "12800", {HOST_LABEL: "elsewhere"}),
        begin(client, deployment, "12800", {}),
    ]

    ended = sweep(client, ["swept/digits", "never/registered"])

    assert {run.id for run in ended} == {run.id for run in gone}
    assert {client.read_flow_run(run.id).state_name for run in gone} == {"Crashed"}
    assert {client.read_flow_run(run.id).state_name for run in others} == {"Running"}
    facts = [json.loads(line) for line in told.read_text().splitlines()]
    assert {each["run_id"] for each in facts} == {str(run.id) for run in gone}
    assert {each["flow"] for each in facts} == {"swept"}
    assert {each["state"] for each in facts} == {"Crashed"}
    assert all(each["message"].startswith("Its process is gone.") for each in facts)


def test_a_deployments_run_is_labelled_with_its_machine(
    client: SyncPrefectClient, deployment: Any, server: PrefectServer
):
    run = client.create_flow_run_from_deployment(deployment, state=Running())

    with temporary_settings({PREFECT_API_URL: server.url}):
        note_host(None, run, Running())

    assert client.read_flow_run(run.id).labels[HOST_LABEL] == socket.gethostname()


def test_a_label_that_cannot_be_put_on_does_no_harm(client: SyncPrefectClient, deployment: Any):
    run = client.create_flow_run_from_deployment(deployment, state=Running())
    client.delete_flow_run(run.id)

    with temporary_settings({PREFECT_API_URL: str(client.api_url)}):
        note_host(None, run, Running())
