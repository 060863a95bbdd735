"""The models that are served, by name: what the registry holds to be current, picked up anew."""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitflow.errors import BundleError, DigitflowError, UnknownModelError, UsageError
from digitflow.models.bundle import MANIFEST, Bundle, load_bundle, open_bundle
from digitflow.models.predictor import Predictor
from digitflow.models.registry import find_model, list_models
from digitflow.web.predicting import MOST_MODELS, ModelPlace
from digitflow.web.problems import ProblemError

#: How often the registry is asked for another version, at most, s.
CHECK_EVERY = 1.0

#: Names and versions as the registry has them; never a path.
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(@[A-Za-z0-9][A-Za-z0-9._-]{0,99})?")

_logger = logging.getLogger(__name__)

# A bundle's folder and the facts about its manifest by which it would show a change.
_Stamp = tuple[Path, int, int, int]


@dataclass
class ServedModel:
    """A model that was found to be in order."""

    bundle: Bundle
    stamp: _Stamp
    checked_at: float = 0.0  # when the registry was asked last, monotonic s

    @property
    def place(self) -> ModelPlace:
        """Return where the processes that read find it."""
        return ModelPlace(self.bundle.folder, self.bundle.model_id)


class ServedModels:
    """The models that are in order, by the names under which clients ask for them.

    A name's version is looked up in the registry about once a second, beside the requests: they
    are served by the version before until the next one's files and golden predictions are found to
    be right. A version that fails is logged, and the one before stays.

    Parameters
    ----------
    check_every : float
        How often the registry is asked, s.
    """

    def __init__(self, check_every: float = CHECK_EVERY) -> None:
        self._check_every = check_every
        self._served: dict[str, ServedModel] = {}
        self._looking: dict[str, Future[ServedModel]] = {}
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="models")

    def load(self, name: str) -> ServedModel:
        """Load a model, or look whether there is another version of it.

        Raises
        ------
        UnknownModelError, BundleError, UsageError
            If there is no such model, or it is damaged, and none was ready before.
        """
        before = self._served.get(name)
        try:
            served = self._look(name, before)
        except DigitflowError as error:
            if before is None:
                raise
            _logger.warning("%s: the version before stays: %s", name, error)
            served = before
        served.checked_at = time.monotonic()
        self._served[name] = served
        while len(self._served) > MOST_MODELS:
            self._served.pop(next(iter(self._served)))
        return served

    async def get(self, name: str) -> ServedModel:
        """Return the model that a name means now.

        Parameters
        ----------
        name : str
            That matches `MODEL_NAME`.

        Raises
        ------
        ProblemError
            If there is no such model, or it cannot be loaded.
        """
        served = self._served.get(name)
        if served is not None and time.monotonic() < served.checked_at + self._check_every:
            return served
        looking = self._start_looking(name)
        if served is not None:
            return served
        try:
            return await asyncio.shield(asyncio.wrap_future(looking))
        except UnknownModelError as error:
            detail = (
                f"model {name!r} is not known, or has no current version; GET /v1/models lists "
                "name@version of those that are"
            )
            raise ProblemError(404, detail, "unknown-model") from error
        except (BundleError, UsageError) as error:
            raise broken_model(name, error) from error

    def close(self) -> None:
        """End the thread that loads."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _start_looking(self, name: str) -> "Future[ServedModel]":
        """Load a model beside the requests, once however many ask for it."""
        with self._lock:
            looking = self._looking.get(name)
            if looking is None:
                looking = self._looking[name] = self._executor.submit(self.load, name)
            else:
                return looking
        looking.add_done_callback(lambda _: self._looking.pop(name, None))
        return looking

    def _look(self, name: str, before: ServedModel | None) -> ServedModel:
        folder = find_model(name)
        stamp = _stamp_of(folder)
        if before is not None and before.stamp == stamp:
            return before
        bundle = load_bundle(folder)
        Predictor(bundle, batch_size=1)  # checks the golden predictions
        _logger.info("%s: serving %s@%s (%s)", name, bundle.name, bundle.version, bundle.model_id)
        return ServedModel(bundle, stamp)


def broken_model(name: str, error: DigitflowError) -> ProblemError:
    """Log why a model cannot be loaded, and return what clients are told."""
    # The message tells where models lie, which is nobody's business.
    _logger.error("%s: cannot be loaded: %s", name, error)
    detail = f"model {name!r} cannot be loaded; the server's log says why"
    return ProblemError(503, detail, "broken-model", headers={"Retry-After": "60"})


def _stamp_of(folder: Path) -> _Stamp:
    try:
        facts = (folder / MANIFEST).stat()
    except OSError as error:
        raise BundleError(f"{folder / MANIFEST}: cannot be read ({error.strerror})") from error
    return folder, facts.st_ino, facts.st_mtime_ns, facts.st_size


def list_served() -> list[dict[str, Any]]:
    """Return what is told of each model of the registry; damaged ones are logged instead."""
    entries = []
    for model in list_models():
        try:
            bundle = open_bundle(model.folder)
        except BundleError as error:
            _logger.warning("not listed: %s", error)
            continue
        entries.append(
            {
                "name": model.name,
                "version": model.version,
                "model_id": bundle.model_id,
                "network": _network_of(bundle.manifest),
                "classes": list(bundle.class_names),
                "current": model.is_current,
            }
        )
    return entries


def _network_of(manifest: Mapping[str, Any]) -> str | None:
    """Return the name of a model's network, if its manifest tells; nothing else relies on it."""
    try:
        name = manifest["estimator"]["parameters"]["network"]
    except (KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None
