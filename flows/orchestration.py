"""What every flow script shares: Prefect's settings, its console, and how a script ends.

Import this before Prefect: its settings are read when it is imported.

The parameters of a flow are described in its docstring as `Args:`, and not as elsewhere: Prefect
knows that form, and shows it in the form of its page.
"""

import contextlib
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from prefect_settings import DEFAULTS

for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)
if not os.environ.get("PREFECT_API_URL"):
    os.environ.pop("PREFECT_API_URL", None)  # Prefect takes an empty one for a server's address

from httpx import (  # noqa: E402
    HTTPError,
    HTTPStatusError,
    InvalidURL,
    TransportError,
    UnsupportedProtocol,
)
from prefect import Flow, get_run_logger  # noqa: E402
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.client.schemas.objects import FlowRun, State, TaskRun  # noqa: E402
from prefect.exceptions import MissingContextError  # noqa: E402
from prefect.settings import PREFECT_API_URL  # noqa: E402
from prefect.tasks import Task  # noqa: E402

from digitflow.alerting import send_alert  # noqa: E402
from digitflow.errors import DatasetUnavailableError, DigitflowError, UsageError, in_one_line  # noqa: E402

Result = TypeVar("Result")

#: The label of a run that names the machine it runs on.
HOST_LABEL = "digitflow.host"

_ENDED_BY = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}


def run_script(flow: Callable[[], Result]) -> Result:
    """Run a flow as a script does: one line for an error, and nothing left behind.

    Ends the process with the error's exit code (see `digitflow.errors`), 143 after SIGTERM and
    130 after SIGINT. Any other exception is a defect, and shows its traceback. All of them go to
    the failure hook, unless the flow has told of it already.
    """
    signal.signal(signal.SIGTERM, _leave)
    # As in production: Prefect writes half lines where its log finds no server.
    logging.raiseExceptions = False
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_not_said_at_the_end)
    with _signals_noted() as noted:
        try:
            return flow()
        except BaseException as error:
            ending = _ending_signal(error, noted)
            if ending:
                _end_with(in_one_line(_ENDED_BY[ending], error), 128 + ending)
            if problem := _problem_of_the_server(error):
                _end_with(f"error: {problem}", DigitflowError.exit_code)
            if not isinstance(error, DigitflowError):
                _alert(Path(sys.argv[0]).stem, f"{type(error).__name__}: {error}", exit_code=1)
                raise
            _end_with(f"error: {in_one_line(str(error), error)}", error.exit_code)


# How the errors begin in which Prefect 3.8.8 wraps whatever its first request came to.
_OF_THE_FIRST_REQUEST = (
    "Failed to reach API",
    "Found incompatible versions",
    "Timed out while attempting to connect to ephemeral Prefect API server",
)


def _problem_of_the_server(error: BaseException) -> str | None:
    """Return what is wrong with Prefect's server, in one line, if that is what an error tells."""
    wrapped = isinstance(error, RuntimeError) and str(error).startswith(_OF_THE_FIRST_REQUEST)
    if not wrapped and not isinstance(error, TransportError | HTTPStatusError | InvalidURL):
        return None
    address = re.sub("//[^/@]*@", "//", PREFECT_API_URL.value() or "")  # it may hold a password
    what, remedy = _what_and_remedy((wrapped and error.__cause__) or error, bool(address))
    whose = f"Prefect's server at {address}" if address else "Prefect's temporary server"
    return f"{whose} {what}; {remedy}, and run again: nothing that was finished is lost"


def _what_and_remedy(error: BaseException, is_named: bool) -> tuple[str, str]:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    correct = "correct PREFECT_API_URL, as http://127.0.0.1:4200/api"
    if not is_named:
        remedy = "start one that stays (prefect server start), name it by PREFECT_API_URL"
        return f"fails ({reason})", remedy
    match error:
        case InvalidURL() | UnsupportedProtocol():
            return f"has no usable address ({reason})", correct
        case TransportError():
            return f"does not answer ({reason})", "start it (prefect server start), or " + correct
        case HTTPStatusError(response=response) if response.status_code in (401, 403):
            remedy = "set PREFECT_API_AUTH_STRING as the server has it"
            return f"refuses its client ({response.status_code})", remedy
        case HTTPStatusError(response=response) if response.status_code >= 500:
            return f"fails ({response.status_code})", "look at its log"
        case HTTPStatusError(response=response):
            return f"does not answer as Prefect's ({response.status_code})", correct
    return (
        f"does not answer as Prefect's ({reason})",
        "see that it is one of Prefect 3, or " + correct,
    )


def check_text(parameters: Mapping[str, Any], remedy: str) -> None:
    """Refuse names that Prefect, which keeps a flow's parameters as JSON, cannot write down."""
    for value in parameters.values():
        for each in value if isinstance(value, list) else [value]:
            try:
                str(each).encode()
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"{each!a}: Prefect takes only names that are valid UTF-8; {remedy}"
                ) from error


def say(line: str) -> None:
    """Print a line of progress at once, also into a pipe, and put it into the flow run's log."""
    print(line, flush=True)
    with contextlib.suppress(MissingContextError):
        get_run_logger().info(line)


def is_transient(task: "Task[..., object]", run: TaskRun, state: State[object]) -> bool:
    """Tell whether a task that failed may be tried again: only where the network was the cause."""
    return isinstance(state.result(raise_on_failure=False), DatasetUnavailableError)


def note_host(flow: "Flow[..., Any]", flow_run: FlowRun, state: State[Any]) -> None:
    """Label a run with its machine's name, by which a sweep knows whose processes to look for.

    Prefect calls this when a run begins. Only deployments are swept; and a label that could not
    be put on is no reason to end a run.
    """
    if flow_run.deployment_id is None:
        return
    with contextlib.suppress(HTTPError), get_client(sync_client=True) as client:
        client.update_flow_run_labels(flow_run.id, {HOST_LABEL: socket.gethostname()})


def alert_on_failure(flow: "Flow[..., Any]", flow_run: FlowRun, state: State[Any]) -> None:
    """Tell the failure hook of a run that failed or crashed; Prefect calls this by its state."""
    alert_of_run(flow.name, flow_run, state)


#: What every flow does as its state changes: `@flow(..., **HOOKS)`.
HOOKS: dict[str, Any] = {
    "on_running": [note_host],
    "on_failure": [alert_on_failure],
    "on_crashed": [alert_on_failure],
}


def alert_of_run(flow: str, flow_run: FlowRun, state: State[Any]) -> None:
    """Tell the failure hook of a run of the flow of that name."""
    error = state.result(raise_on_failure=False)
    message, exit_code = state.message or state.name or "", None
    if isinstance(error, DigitflowError):
        message, exit_code = in_one_line(str(error), error), error.exit_code
    facts = {"run": flow_run.name, "run_id": flow_run.id, "parameters": flow_run.parameters}
    _alert(flow, message, exit_code=exit_code, state=state.name, **facts)


_told: set[Any] = set()  # ids of runs; None for a script that ended before its run


def _alert(name: str, message: str, exit_code: int | None, **facts: Any) -> None:
    """Tell the failure hook, once of each run: a service sees many of them crash."""
    run_id = facts.get("run_id")
    if run_id in _told or (run_id is None and _told):
        return
    _told.add(run_id)
    told = {"text": f"{name}: {message}", "flow": name, "message": message, "exit_code": exit_code}
    if problem := send_alert(told | facts):
        print(f"note: {problem}", file=sys.stderr, flush=True)
        with contextlib.suppress(MissingContextError):
            get_run_logger().info(problem)


def _end_with(line: str, exit_code: int) -> NoReturn:
    print(line, file=sys.stderr, flush=True)
    _alert(Path(sys.argv[0]).stem, line, exit_code=exit_code)
    sys.exit(exit_code)


def _leave(signum: int, frame: FrameType | None) -> None:
    # An ordinary exit: Prefect stops its temporary server, joblib its workers.
    sys.exit(128 + signum)


@contextlib.contextmanager
def _signals_noted() -> Iterator[socket.socket]:
    """Note every signal from now on; its number can be read from the socket given."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(before)


def _ending_signal(error: BaseException, noted: socket.socket) -> signal.Signals | None:
    """Return the signal that ended a run, if it was one.

    The exception need not tell: where a signal's own passes through native code, as the import of
    TensorFlow, another takes its place.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    with contextlib.suppress(BlockingIOError):
        numbers = noted.recv(4096)
        return next((each for each in _ENDED_BY if each in numbers), None)
    return None


def _is_not_said_at_the_end(record: logging.LogRecord) -> bool:
    """Keep the end of a run off the console: its exception is shown once, as it leaves the script.

    The same goes for a signal, which Prefect calls a crash, and for its waiting until the last
    events are sent.
    """
    message = record.getMessage()
    if "Still processing items" in message:
        return False
    runs = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")
    of_a_run = record.name.startswith(runs)
    is_the_end = "Finished in state" in message or "Execution was aborted by" in message
    return not (of_a_run and (record.exc_info or is_the_end))
