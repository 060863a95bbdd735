"""What an app is made of: processes, models, figures and the store behind its answers."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request

from digitflow import settings
from digitflow.errors import BundleError, ImageError, UsageError
from digitflow.web.feedback import FeedbackStore
from digitflow.web.metrics import Metrics
from digitflow.web.options import ServerOptions
from digitflow.web.predicting import ModelPlace, ReadingOptions, Said, Upload, prepare
from digitflow.web.readers import ReaderPool
from digitflow.web.served_models import MODEL_NAME, ServedModel, ServedModels, broken_model

# Each takes some sixty megabytes.
_MOST_PROCESSES = 4


@dataclass(frozen=True)
class Service:
    """What the endpoints of one app share."""

    options: ServerOptions
    default_model: str  # a name, or name@version
    pool: ReaderPool
    models: ServedModels
    metrics: Metrics
    feedback: FeedbackStore | None  # None where corrected images are not taken

    @classmethod
    def start(cls, options: ServerOptions) -> "Service":
        """Load the default model, and open the store.

        Raises
        ------
        UnknownModelError, BundleError, UsageError
            If the model cannot be loaded.
        OutputError
            If the store cannot be made.
        """
        default_model = settings.DEFAULT_MODEL if options.model is None else options.model
        if not MODEL_NAME.fullmatch(default_model):
            raise UsageError(
                f"model {default_model!r}: a server takes models of the registry alone; give a "
                "name, or name@version"
            )
        feedback = None
        if options.feedback is not None:
            feedback = FeedbackStore(options.feedback, options.feedback_cap)
        n_processes = options.workers or min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
        models = ServedModels()
        models.load(default_model)
        pool = ReaderPool(n_processes, options.queue)
        return cls(options, default_model, pool, models, Metrics(pool), feedback)

    async def warm_up(self) -> None:
        """Start the processes, and do not wait for them."""
        served = await self.models.get(self.default_model)
        self.pool.start(partial(prepare, served.place))

    async def read(
        self,
        function: Callable[[ModelPlace, Upload, ReadingOptions], Said],
        served: ServedModel,
        uploads: Sequence[Upload],
        options: ReadingOptions,
        request: Request,
    ) -> list[Said | ImageError]:
        """Read the images of a request, and count what is in them.

        Parameters
        ----------
        function : callable
            That reads one, of `predicting`.
        served : ServedModel
        uploads : sequence of Upload
        options : ReadingOptions
        request : Request
            Whose whole body has been read.

        Returns
        -------
        list of Said or ImageError
            In the order of `uploads`.

        Raises
        ------
        ProblemError
            If they cannot be read now.
        ClientDisconnect
            If the client left meanwhile.
        """
        calls = [partial(function, served.place, upload, options) for upload in uploads]
        n_bytes = sum(len(upload.content) for upload in uploads)
        # To explain takes long, however small the image.
        lane = self.pool.slow if options.explain else self.pool.lane_for(n_bytes)
        try:
            results = await lane.run(calls, request)
        except BundleError as error:  # its files were changed since it was looked at
            raise broken_model(served.bundle.name, error) from error
        for result in results:
            if isinstance(result, ImageError):
                self.metrics.count_fault(result.reason)
            else:
                self.metrics.count_digits(result.judged)
        return results

    async def close(self) -> None:
        """End the processes and the threads."""
        await asyncio.to_thread(self.pool.close)
        await asyncio.to_thread(self.models.close)
