"""Schedules, workers, and kills of all that can be killed, with a real Prefect server."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from glob import glob
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from prefect_server import PrefectServer, serving_prefect, wait_for
from scoring.scored_datasets import parts_of, rows_of, stand_of
from scoring_support import MOMENTS, make_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

NAMES = ("nightly/digits", "train/digits", "tune/digits", "score-folder/digits")

#: The nightly job with shards so small that a few hundred images are many.
SMALL = """
import os, runpy, sys
from digitflow.scoring import growing, plan

plan.SHARD_FILES = 8
growing.DEALT_FILES = 100
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrefectServer]:
    (tmp_path / "server").mkdir()
    with serving_prefect(tmp_path / "server") as server:
        yield server


@pytest.fixture
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    with SyncPrefectClient(server.url) as client:
        yield client


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """Return a folder to work in, with the flows, and an inbox of 30 days."""
    checkout = tmp_path / "checkout"
    shutil.copytree(repository / "flows", checkout / "flows")
    shutil.copy(repository / "prefect.yaml", checkout)
    make_inbox(checkout / "inbox")
    return checkout


def make_inbox(inbox: Path) -> None:
    inbox.mkdir()
    for day in range(1, 31):
        make_images(inbox / f"2026-01-{day:02d}", 20)


def check_days(place: Path, n_files: int = 600) -> pd.DataFrame:
    """Assert that every file is there once, in its own day's partition; return the rows."""
    frame = rows_of(place)
    assert len(frame) == n_files
    for part in parts_of(place):
        paths = pd.read_parquet(part, columns=["path"])["path"]
        assert {f"added_on={path[:10]}" for path in paths} == {part.parent.name}
    return frame.drop(columns=MOMENTS)


@contextmanager
def running(
    server: PrefectServer, folder: Path, *command: str
) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / "process.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=server.environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def deployed(client: SyncPrefectClient) -> dict[str, dict[str, Any]]:
    """Return what the server knows of each deployment, but for how it is started."""
    facts = {}
    for name in NAMES:
        found = client.read_deployment_by_name(name)
        assert found.global_concurrency_limit is not None
        facts[name] = {
            "description": found.description,
            "tags": found.tags,
            "parameters": found.parameters,
            "form": found.parameter_openapi_schema,
            "limit": found.global_concurrency_limit.limit,
            "collision": found.concurrency_options.collision_strategy,
            "paused": found.paused,
            "schedules": [
                (each.schedule.model_dump(), each.active, each.slug) for each in found.schedules
            ],
        }
    return facts


def order(client: SyncPrefectClient, name: str, seconds: float = 0) -> FlowRun:
    """Schedule a run."""
    deployment = client.read_deployment_by_name(name)
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    return client.create_flow_run_from_deployment(
        deployment.id, state=Scheduled(scheduled_time=when)
    )


def ended(client: SyncPrefectClient, run: FlowRun) -> FlowRun:
    def look() -> FlowRun | None:
        found = client.read_flow_run(run.id)
        return found if found.state is not None and found.state.is_final() else None

    return wait_for(look, 180)


def test_serving_and_deploying_register_the_same_and_both_run_on_time(
    server: PrefectServer, client: SyncPrefectClient, checkout: Path
):
    with running(server, checkout, "flows/deployments.py"):
        wait_for(lambda: b"serving  score" in (checkout / "process.log").read_bytes())
        served = wait_for(lambda: all_deployed(client))
        run = ended(client, order(client, "nightly/digits", seconds=5))
    check_run(client, run, checkout)
    # Nothing is paused when it is stopped: the next one begins with what was missed.
    assert not any(facts["paused"] for facts in deployed(client).values())

    shutil.rmtree(checkout / "scored")
    command = [sys.executable, "-m", "prefect", "--no-prompt"]
    pool = [*command, "work-pool", "create", "digitflow", "--type", "process"]
    for each in (pool, [*command, "deploy", "--all"]):
        done = subprocess.run(
            each, cwd=checkout, env=server.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert deployed(client) == served
    worker = ["-m", "prefect", "worker", "start", "--pool", "digitflow", "--type", "process"]
    with running(server, checkout, *worker):
        run = ended(client, order(client, "nightly/digits", seconds=20))
    check_run(client, run, checkout)


def all_deployed(client: SyncPrefectClient) -> dict[str, dict[str, Any]] | None:
    if len(client.read_deployments()) < len(NAMES):
        return None
    return deployed(client)


def check_run(client: SyncPrefectClient, run: FlowRun, checkout: Path) -> None:
    log = (checkout / "process.log").read_text()
    assert run.state_name == "Completed", log
    assert "Traceback" not in log
    assert "Warning" not in log
    assert (run.start_time - run.expected_start_time).total_seconds() < 60
    check_days(checkout / "scored")
    shown = {each.key: each.data for each in client.read_artifacts() if each.flow_run_id == run.id}
    assert {*shown} == {"nightly-summary", "nightly-days"}
    assert "600 in 600 rows" in shown["nightly-summary"]
    assert len(json.loads(shown["nightly-days"])) == 29


#: When the job is killed: with so many shards scored, or so many parts of the dataset written.
STAGES = [(1, 0), (10, 0), (30, 0), (50, 0), (70, 0), (0, 1), (0, 5), (0, 15), (0, 25), (0, 30)]


def test_a_job_over_30_days_killed_ten_times_ends_as_an_undisturbed_one(
    server: PrefectServer, tmp_path: Path, repository: Path
):
    make_inbox(tmp_path / "inbox")
    script = str(repository / "flows" / "nightly_flow.py")
    place, undisturbed = tmp_path / "tables" / "scored", tmp_path / "undisturbed"
    place.parent.mkdir()
    command = [sys.executable, "-c", SMALL, script, "inbox", f"{place}/"]
    command += ["--backfill", "2026-01-01..2026-01-30", "--fail-on", "never"]
    command += ["--max-error-rate", "0.5"]

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command, cwd=tmp_path, env=server.environment, stderr=subprocess.PIPE
        )

    def finish() -> None:
        with start() as process:
            _, errors = process.communicate()
        assert (process.returncode, errors) == (0, b"")

    finish()
    expected = check_days(place)
    place.rename(undisturbed)
    for shards, parts in STAGES:
        with start() as process:
            wait_for(lambda n=shards, m=parts: has_come_to(place, n, m), 120)
            process.kill()
        assert process.returncode == -9
        if parts_of(place):  # whole at every moment
            found = rows_of(place).drop(columns=MOMENTS)
            there = expected[expected["path"].isin(found["path"])].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, there, check_dtype=False)

    finish()
    pd.testing.assert_frame_equal(check_days(place), expected)
    assert [each.name for each in place.parent.iterdir()] == ["scored"]
    stand = stand_of(place)
    finish()
    assert stand_of(place) == stand


def has_come_to(place: Path, shards: int, parts: int) -> bool:
    # Not pathlib's, which stumbles over a folder that goes while it looks.
    scored = glob(f"{place.parent}/.{place.name}.digitflow/*/part-*.parquet")  # noqa: PTH207
    return len(scored) >= shards and len(parts_of(place)) >= parts


def test_a_service_that_a_script_started_in_the_background_ends_when_it_is_told_to(
    server: PrefectServer, client: SyncPrefectClient, checkout: Path
):
    # A script's shell lets what it starts in the background ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with running(server, checkout, "flows/deployments.py") as service:
            signal.signal(signal.SIGINT, before)
            wait_for(lambda: all_deployed(client))
            service.terminate()
            try:
                assert service.wait(60) == 0
            finally:
                service.kill()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_killed_service_leaves_no_run_that_takes_the_place_of_the_next(
    server: PrefectServer, client: SyncPrefectClient, checkout: Path
):
    make_images(checkout / "inbox" / "2026-02-01", 5000)
    with running(server, checkout, "flows/deployments.py") as service:
        wait_for(lambda: all_deployed(client))
        run = order(client, "nightly/digits")
        wait_for(lambda: process_of(run))
        wait_for(lambda: client.read_flow_run(run.id).state_name == "Running")
        service.kill()
        service.wait(60)

        with running(server, checkout, "flows/deployments.py", "--sweep") as sweeping:
            assert sweeping.wait(120) == 0
        alive = client.read_flow_run(run.id).state_name
        assert alive in ("Running", "Completed")  # its process goes on without the service
        for each in process_of(run):
            os.kill(each, 9)
        wait_for(lambda: not process_of(run))
    if client.read_flow_run(run.id).state_name != "Running":
        pytest.skip("the run was faster than the kill")

    with running(server, checkout, "flows/deployments.py"):
        wait_for(lambda: client.read_flow_run(run.id).state_name == "Crashed")
        again = ended(client, order(client, "nightly/digits"))
    assert again.state_name == "Completed", (checkout / "process.log").read_text()
    check_days(checkout / "scored", 5600)


def process_of(run: FlowRun) -> list[int]:
    """Return the processes of a run."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"PREFECT__FLOW_RUN_ID={run.id}".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_server_that_dies_in_the_middle_loses_nothing(
    server: PrefectServer,
    client: SyncPrefectClient,
    tmp_path: Path,
    repository: Path,
    comes_back: bool,
):
    make_inbox(tmp_path / "inbox")
    script = str(repository / "flows" / "nightly_flow.py")
    command = [sys.executable, script, "inbox", "scored/", "--fail-on", "never"]
    command += ["--max-error-rate", "0.5"]
    environment = server.environment  # a server may take a minute to come back, as a rule
    if not comes_back:
        environment = environment | {"PREFECT_CLIENT_MAX_RETRIES": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: [run for run in client.read_flow_runs() if run.state_name == "Running"])
        server.kill()
        if comes_back:
            server.start()
        _, errors = process.communicate(timeout=300)

    if comes_back:
        assert process.returncode == 0, errors
    else:
        # Prefect's own lines come before, as its events find no way either.
        assert process.returncode == 1
        (line,) = [each for each in errors.splitlines() if each.startswith("error: ")]
        assert line.startswith(f"error: Prefect's server at {server.url} does not answer (")
        server.start()
    subprocess.run(command, cwd=tmp_path, env=server.environment, check=True)
    check_days(tmp_path / "scored")
