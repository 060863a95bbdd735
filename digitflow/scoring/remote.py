"""What a worker of a Dask cluster runs: one shard, from the files to the bytes of its part.

A worker shares nothing with the run but the folder of images. The model comes to it as bytes, and
the part goes back as bytes, to be written where the table is. These functions are found by their
names, so that no code travels.
"""

import pickle
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from digitflow import __version__
from digitflow.errors import BundleError, DigitflowError
from digitflow.models.bundle import GOLDEN, MANIFEST, TFLITE_FILES, Bundle, open_bundle
from digitflow.models.predictor import Predictor
from digitflow.scoring.plan import Shard
from digitflow.scoring.shard import ShardOptions, table_of_shard
from digitflow.scoring.stopwatch import make_stopwatch
from digitflow.scoring.table import FORMAT_VERSION, part_content

#: What a run and its workers must have in common, so that a picture has the same rows everywhere.
VERSION = f"{__version__} (format {FORMAT_VERSION})"

#: One predictor serves one thread, and a worker may have several.
_OF_THIS_THREAD = threading.local()


@dataclass(frozen=True)
class Task:
    """A shard on its way to a worker."""

    shard: Shard
    options: ShardOptions  # the model's folder in them is that of the run's machine
    sent_at: int  # µs since 1970, by the clock of the run's machine

    def packed(self) -> bytes:
        """Return it as bytes, which Dask passes on without looking into them."""
        return pickle.dumps(self)


@dataclass(frozen=True)
class RemotePart:
    """A scored shard on its way back."""

    content: bytes  # the Parquet file
    worker: str  # the worker's address
    thread: int  # which of its threads
    sees_images: bool  # False if none of the shard's files is there, or may be read
    seconds: dict[str, float]  # by stage; empty unless asked for


def model_content(bundle: Bundle) -> dict[str, bytes]:
    """Return the files of a bundle that scoring needs, by name."""
    files = (TFLITE_FILES["dynamic"], GOLDEN)
    manifest = (bundle.folder / MANIFEST).read_bytes()
    return {MANIFEST: manifest, **{file: bundle.read(file) for file in files}}


def score_remotely(
    version: str, model: Mapping[str, bytes], packed: bytes
) -> RemotePart | DigitflowError:
    """Score a shard in a worker of a cluster.

    Errors are returned: those that Dask carries do not tell the worker, and one that cannot be
    pickled would never arrive.

    Parameters
    ----------
    version : str
        The run's `VERSION`.
    model : mapping of str to bytes
        As from `model_content`.
    packed : bytes
        A `Task`.

    Returns
    -------
    RemotePart or DigitflowError
        The part, to be written by the run; or why there is none.
    """
    worker = _address()
    try:
        if version != VERSION:
            raise DigitflowError(
                f"{worker}: this worker has digitflow {VERSION}, the run has {version}; "
                "install the same on both"
            )
        return _score(worker, model, pickle.loads(packed))
    except DigitflowError as error:
        return error
    except Exception as error:  # whatever it is, it is the run's to tell
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return DigitflowError(f"{worker}: this worker failed ({what}); mend that and run again")


def installed_version() -> str:
    """Return what `VERSION` is here."""
    return VERSION


def _score(worker: str, model: Mapping[str, bytes], task: Task) -> RemotePart:
    shard, options = task.shard, task.options
    stopwatch = make_stopwatch(options.profile)
    # The clock of a worker may be ahead: no file may seem to have been left alone for longer.
    scored_at = min(task.sent_at, time.time_ns() // 1000)
    try:
        predictor = _predictor(model, options.model_id)
        stopwatch.lap("load")
        sees_images = shard.is_in_sight()
        table = table_of_shard(shard, options, predictor, scored_at, stopwatch)
    except BundleError as error:
        raise BundleError(f"{worker}: this worker cannot use the model: {error}") from error
    except DigitflowError as error:  # of a store
        raise DigitflowError(f"{worker}: this worker cannot read the images: {error}") from error
    content = part_content(table)
    stopwatch.lap("write")
    seconds = dict(stopwatch.seconds)
    return RemotePart(content, worker, threading.get_ident(), sees_images, seconds)


def _predictor(model: Mapping[str, bytes], model_id: str) -> Predictor:
    """Return this thread's predictor, made from a model's files where it has another or none."""
    known: Predictor | None = getattr(_OF_THIS_THREAD, "predictor", None)
    if known is None or known.bundle.model_id != model_id:
        with tempfile.TemporaryDirectory(prefix="digitflow-") as folder:
            for name, content in model.items():
                Path(folder, name).write_bytes(content)
            bundle = open_bundle(Path(folder))
            if bundle.model_id != model_id:
                raise BundleError("the model was changed during the run; run it again")
            known = _OF_THIS_THREAD.predictor = Predictor(bundle)
    return known


def _address() -> str:
    from distributed import get_worker

    return str(get_worker().address)
