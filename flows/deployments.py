"""Serve all flows with their schedules, as prefect.yaml describes them; Ctrl-C ends it.

python flows/deployments.py
"""

import argparse
import asyncio
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from orchestration import (
    HOST_LABEL,
    alert_of_run,
    run_script,
    say,
)  # sets Prefect's defaults: comes first
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig, FlowRun, State, StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed
from yaml import safe_load

from digitflow.errors import UsageError

#: The one description of what is run when, for this script and for `prefect deploy`.
PREFECT_YAML = Path(__file__).resolve().parents[1] / "prefect.yaml"

# A run that a runner has taken on becomes a process within seconds; on a busy machine it may take
# a minute.
_STARTING = timedelta(minutes=2)


def read_deployments(file: Path = PREFECT_YAML) -> list[RunnerDeployment]:
    """Return the deployments that a prefect.yaml describes, as they can be served."""
    described = safe_load(file.read_text())["deployments"]
    return [_deployment(file.parent, facts) for facts in described]


def _deployment(folder: Path, facts: dict[str, Any]) -> RunnerDeployment:
    flow: Flow[..., Any] = load_flow_from_entrypoint(str(folder / facts["entrypoint"]))
    schedules = [dict(each) for each in facts.get("schedules", [])]
    deployment = flow.to_deployment(
        name=facts["name"],
        description=facts["description"],
        tags=facts["tags"],
        parameters=facts.get("parameters", {}),
        schedules=[Cron(each.pop("cron"), **each) for each in schedules],
        concurrency_limit=ConcurrencyLimitConfig(**facts["concurrency_limit"]),
    )
    return cast(RunnerDeployment, deployment)  # to async callers, a coroutine


def sweep(client: SyncPrefectClient, names: Sequence[str]) -> list[FlowRun]:
    """End the runs of deployments, named ``flow/deployment``, whose processes are gone.

    A run whose process was killed along with what watched it is `Running` for ever, and takes the
    place of the next one. Runs of other machines are left alone. The failure hook is told of what
    was ended.

    Returns
    -------
    list of FlowRun
        What was ended.
    """
    flows = dict(_flows_by_deployment(client, names))
    if not flows:
        return []
    alive = set(_runs_with_a_process())
    unfinished = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[*flows])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished))
        ),
    )
    # Looked for on both sides of the question: some may begin or end in between.
    alive |= {*_runs_with_a_process()}
    stale = [run for run in runs if _is_stale(run, alive)]
    message = "Its process is gone. The next run takes up what it had finished."
    crashed: State[Any] = Crashed(message=message)
    for run in stale:
        client.set_flow_run_state(run.id, crashed, force=True)
        alert_of_run(flows[run.deployment_id], run, crashed)
    return stale


def _flows_by_deployment(
    client: SyncPrefectClient, names: Sequence[str]
) -> Iterator[tuple[Any, str]]:
    """Give the ids of deployments, with the names of their flows."""
    for name in names:
        with suppress(ObjectNotFound):  # it was never registered
            yield client.read_deployment_by_name(name).id, name.partition("/")[0]


def _is_stale(run: FlowRun, alive: set[str]) -> bool:
    host = run.labels.get(HOST_LABEL)
    if str(run.id) in alive or host not in (None, socket.gethostname()):
        return False
    # A worker tells the number of a process alone, which may be any machine's.
    if host is None and run.infrastructure_pid is not None:
        return False
    since = run.state.timestamp if run.state else None
    if run.state_type != StateType.PENDING or since is None:
        return True
    return datetime.now(UTC) - since > _STARTING


def _runs_with_a_process() -> Iterator[str]:
    """Give the flow runs that have a process on this machine, which all of them are told."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = environment.read_bytes().split(b"\0")
        except OSError:  # it has ended, or is someone else's
            continue
        for each in variables:
            name, _, value = each.partition(b"=")
            if name == b"PREFECT__FLOW_RUN_ID":
                yield value.decode(errors="replace")


class _Runner(Runner):
    """Ends by SIGTERM as by Ctrl-C: Prefect 3.8.8's own way leaves in the middle of its loop."""

    def handle_sigterm(self, *_: Any) -> None:
        signal.raise_signal(signal.SIGINT)


def _serve(only_sweep: bool) -> None:
    if not PREFECT_API_URL.value():
        raise UsageError(
            "PREFECT_API_URL is not set, and schedules need a server that stays; start one "
            "(prefect server start) and set it, as http://127.0.0.1:4200/api"
        )
    deployments = read_deployments()
    names = [f"{each.flow_name}/{each.name}" for each in deployments]
    with get_client(sync_client=True) as client:
        client.raise_for_api_version_mismatch_once()  # to others, nothing was ever registered
        for run in sweep(client, names):
            say(f"swept    {run.name}: was {run.state_name}, and its process is gone")
    if only_sweep:
        return
    for name in names:
        say(f"serving  {name}")
    # Else what a script started in the background, which ignores Ctrl-C, would ignore SIGTERM too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What is run and when is worth a line here; a script's own lines are its flows'.
    logging.getLogger("prefect.runner").setLevel(logging.WARNING)
    runner = _Runner(pause_on_shutdown=False)
    signal.signal(signal.SIGTERM, runner.handle_sigterm)  # it may come before the runner's loop
    with suppress(KeyboardInterrupt):
        for deployment in deployments:
            runner.add_deployment(deployment)
        asyncio.run(runner.start())


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(
        description="Serve all flows with their schedules, as prefect.yaml describes them, until "
        "Ctrl-C or SIGTERM. Needs a Prefect server (PREFECT_API_URL). First ends runs whose "
        "processes are gone.",
    )
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="only end runs whose processes are gone; before a worker starts",
    )
    options = parser.parse_args()
    run_script(lambda: _serve(options.sweep))


if __name__ == "__main__":
    main()
