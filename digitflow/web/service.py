"""What an app is made of: the threads, the models, the figures and the store behind its answers."""

import asyncio
import os
from dataclasses import dataclass

from digitflow import settings
from digitflow.errors import UsageError
from digitflow.web.feedback import FeedbackStore
from digitflow.web.metrics import Metrics
from digitflow.web.options import ServerOptions
from digitflow.web.readers import ReaderPool
from digitflow.web.served_models import MODEL_NAME, ServedModels

# More threads than this have not served more images.
_MOST_THREADS = 4


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
        n_threads = options.workers or min(_MOST_THREADS, len(os.sched_getaffinity(0)))
        models = ServedModels(n_threads)
        models.load(default_model)
        pool = ReaderPool(n_threads, options.queue)
        return cls(options, default_model, pool, models, Metrics(pool), feedback)

    async def close(self) -> None:
        """Wait for what runs, and end the threads."""
        await asyncio.to_thread(self.pool.close)
        await asyncio.to_thread(self.models.close)
