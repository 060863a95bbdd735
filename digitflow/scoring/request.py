"""What is asked of a scoring run, checked before anything is begun."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from digitflow.errors import OutputError, UsageError
from digitflow.models.bundle import Bundle, load_bundle
from digitflow.models.registry import find_model
from digitflow.scoring.plan import Shard, plan_shards
from digitflow.scoring.table import read_facts


@dataclass(frozen=True)
class Request:
    """A run that can begin."""

    images: Path  # the folder, absolute
    output: Path  # the table, absolute
    bundle: Bundle  # the model
    workers: int  # processes, at least 1
    shards: Iterator[Shard]  # the plan, at least one shard; to be consumed once


def check_request(
    images: Path | str,
    output: Path | str,
    model: str | None = None,
    workers: int | None = None,
) -> Request:
    """Check everything that can be known of a run before it begins; nothing is written.

    Parameters
    ----------
    images, output, model, workers
        As `digitflow.scoring.folder.score_folder` takes them.

    Returns
    -------
    Request
        Paths resolved, model loaded.

    Raises
    ------
    UsageError, OutputError, UnknownModelError, BundleError
        As `digitflow.scoring.folder.score_folder` raises them.
    """
    workers = _checked_workers(workers)
    folder, table = _checked_folder(images), _checked_output(output)
    bundle = load_bundle(find_model(model))
    inside = os.fsencode(table.relative_to(folder)) if table.is_relative_to(folder) else None
    shards = plan_shards(os.fsencode(folder), skip=inside)
    first = next(shards, None)
    if first is None:
        raise UsageError(f"{images}: holds no files (hidden ones are left out); nothing to score")
    return Request(folder, table, bundle, workers, chain([first], shards))


def why_not_written(output: Path | str, error: OSError) -> str:
    """Return the line that tells why a table could not be written, and how much space there is."""
    try:
        free = f"{shutil.disk_usage(Path(output).parent).free / 1e6:.0f} MB are free there"
    except OSError:
        free = "its folder is out of reach"
    return f"{output}: cannot be written ({error.strerror or error}); {free}, choose another place"


def _checked_workers(workers: int | None) -> int:
    if workers is None:
        return len(os.sched_getaffinity(0))
    if workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    return workers


def _checked_folder(images: Path | str) -> Path:
    """Return the absolute path of a folder that can be scored."""
    try:
        folder = Path(os.path.realpath(images, strict=True))
        is_folder = folder.is_dir()
    except OSError as error:
        raise UsageError(f"{images}: {error.strerror}; name a folder of images") from error
    if not is_folder:
        raise UsageError(f"{images}: is not a folder; name the folder that the images are in")
    return folder


def _checked_output(output: Path | str) -> Path:
    """Return the absolute path of a table that may be written, links resolved."""
    try:
        path = Path(os.path.realpath(output))
        if not path.parent.is_dir():
            raise OutputError(f"{output}: the folder {path.parent} does not exist; make it first")
        if path.is_dir():
            example = path / "out.parquet"
            raise OutputError(f"{output}: is a folder; name a file in it, as {example}")
        if os.path.basename(output) in ("", "."):  # noqa: PTH119  (Path drops a slash at the end)
            raise OutputError(f"{output}: a table is only one file; leave out the slash at its end")
        if path.exists() and not (path.is_file() and read_facts(path)):
            raise OutputError(
                f"{output}: exists and is not a scored table; it is left as it is, name another"
            )
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(why_not_written(output, error)) from error
    return path
