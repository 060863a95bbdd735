"""How a Dask scheduler is reached, and kept quiet."""

import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from digitflow.errors import DigitflowError

if TYPE_CHECKING:
    from distributed import Client

#: Seconds to reach the scheduler.
_CONNECT_SECONDS = 10

#: What Dask tells on the console; whatever matters of it, the run's own error says.
_CHATTY = ("distributed", "tornado", "asyncio")


@contextmanager
def connected(address: str) -> Iterator["Client"]:
    """Give a client of the scheduler; when it goes, the cluster drops what it had still to do.

    Raises
    ------
    DigitflowError
        If none can be reached at the address.
    """
    from distributed import Client

    try:
        _check_scheduler(address)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions of libraries on the workers
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # of many kinds: names, certificates, what is no scheduler
        what = " ".join(str(error).split())[:300] or "it does not answer"
        raise DigitflowError(
            f"{address}: no Dask scheduler can be reached within {_CONNECT_SECONDS} s ({what}); "
            "start one there: dask scheduler"
        ) from error
    try:
        yield client
    finally:
        with suppress(TimeoutError, OSError):
            client.close(timeout=_CONNECT_SECONDS)


def _check_scheduler(address: str) -> None:
    """Ask who answers at an address, before a client is made, which may wait for ever."""
    import asyncio  # which is slow to import, and needed here alone

    from distributed import Security, rpc

    async def asked() -> str:
        connection = Security().get_connection_args("client")
        async with rpc(address, connection_args=connection) as there:
            return str((await there.identity())["type"])

    async def asked_in_time() -> str:
        return await asyncio.wait_for(asked(), _CONNECT_SECONDS)

    # In a thread of its own: the caller's may have a loop that runs, as in notebooks.
    with ThreadPoolExecutor(1) as executor:
        who = executor.submit(asyncio.run, asked_in_time()).result()
    if who != "Scheduler":
        raise DigitflowError(f"a {who} answers there")


@contextmanager
def silenced() -> Iterator[None]:
    """Keep Dask's log off the console."""
    import distributed  # noqa: F401  (it sets its log up when it is imported)

    loggers = [
        logging.getLogger(name)
        for name in [*_CHATTY, *logging.root.manager.loggerDict]
        if name.partition(".")[0] in _CHATTY
    ]
    before = {each: each.level for each in loggers}
    for each in loggers:
        if each.level or each.name in _CHATTY:
            each.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for each, level in before.items():
            each.setLevel(level)
