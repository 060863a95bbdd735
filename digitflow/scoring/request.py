"""What is asked of a scoring run, checked before anything is begun."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from digitflow.errors import DigitflowError, OutputError, UsageError
from digitflow.files import as_output_error
from digitflow.models.bundle import Bundle, load_bundle
from digitflow.models.registry import find_model
from digitflow.scoring.cluster import check_cluster
from digitflow.scoring.dataset import (
    Dataset,
    asked_for,
    check_dataset,
    check_not_within,
    read_part_facts,
)
from digitflow.scoring.days import Days, parse_days
from digitflow.scoring.plan import Found, walk
from digitflow.scoring.scored import has_columns, read_facts
from digitflow.scoring.stores import StorePath, check_local, is_uri, parse_uri, refuse_secrets
from digitflow.scoring.table import FORMAT_VERSION

_AS_TEXT = "give a URI as text and not as a Path, with both slashes: s3://bucket/…"


@dataclass(frozen=True)
class Request:
    """A run that can begin."""

    images: Path | StorePath  # the folder, absolute
    output: Path  # the table, or the folder of a dataset, absolute
    bundle: Bundle  # the model
    workers: int  # processes, at least 1
    multi: bool  # several digits in each picture
    keep_removed: bool  # rows of files that are gone stay
    found: Iterator[Found]  # the walk, at least one file; to be consumed once
    dataset: Dataset | None = None  # in place of a single table
    days: Days | None = None  # only their dated folders are scored; all other rows stay
    earlier: dict[Path, dict[str, Any]] = field(default_factory=dict)  # see `read_earlier`

    @property
    def folder(self) -> bytes | StorePath:
        """The folder as shards hold it."""
        return self.images if isinstance(self.images, StorePath) else os.fsencode(self.images)

    @property
    def facts(self) -> dict[str, Any]:
        """What the new table's metadata will say of its model and run, but the run's name."""
        bundle = self.bundle
        return {
            "format_version": FORMAT_VERSION,
            "model": {
                "name": bundle.name,
                "version": bundle.version,
                "model_id": bundle.model_id,
                "class_names": bundle.class_names,
                "uncertain_below": bundle.uncertain_below,
            },
            "run": {"folder": str(self.images), "multi": self.multi},
        }

    @property
    def identity(self) -> dict[str, Any]:
        """What two runs have in common that give a file the same rows."""
        return identity_in(self.facts)


def check_request(
    images: Path | str,
    output: Path | str,
    model: str | None = None,
    workers: int | None = None,
    *,
    dask: str | None = None,
    multi: bool = False,
    keep_removed: bool = False,
    partition_by: str | None = None,
    days: str | None = None,
) -> Request:
    """Check everything that can be known of a run before it begins; nothing is written.

    Parameters
    ----------
    images, output, model, workers, dask, multi, keep_removed, partition_by, days
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
    if dask is not None:
        check_cluster(dask, workers)
        refuse_secrets(images, "all workers of a cluster are sent it")
    if model is not None:
        check_local(model)
    workers = _checked_workers(workers)
    range_of_days = parse_days(days) if days is not None else None
    folder, place = _checked_folder(images), _checked_output(output, partition_by)
    dataset, table = (place, place.folder) if isinstance(place, Dataset) else (None, place)
    bundle = load_bundle(find_model(model))
    request = Request(folder, table, bundle, workers, multi, keep_removed, iter(()), dataset)
    request = replace(request, days=range_of_days)
    # In this order, so that the walk sees whatever is in the table.
    earlier = read_earlier(request)
    return replace(request, earlier=earlier, found=_walk(request))


def up_to_date(request: Request) -> Request:
    """Return a request as it is when the output is locked.

    Another run may have made the table anew meanwhile, perhaps with files that came in since the
    folder was listed, and which would be taken for gone.

    Raises
    ------
    UsageError, OutputError
        As `check_request` raises them.
    """
    earlier = read_earlier(request)
    if earlier == request.earlier:
        return request
    return replace(request, earlier=earlier, found=_walk(request))


def read_earlier(request: Request) -> dict[Path, dict[str, Any]]:
    """Return the facts of the table that lies at the output, or of each part of a dataset.

    Raises
    ------
    UsageError
        If rows of it are to be kept that have no place in the new table.
    OutputError
        If it cannot be read.
    """
    try:
        return _read_earlier(request)
    except DigitflowError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(
            f"{error.filename or request.output}: cannot be read ({why}); mend that, or wait where "
            "another run is writing it"
        ) from error


def _read_earlier(request: Request) -> dict[Path, dict[str, Any]]:
    output, class_names = request.output, request.bundle.class_names
    earlier: dict[Path, dict[str, Any]] = {}
    if request.dataset:
        earlier = read_part_facts(request.dataset, request.images, [*class_names])
    elif output.exists() and (facts := read_facts(output)) is not None:
        earlier[output] = facts
    for file, facts in earlier.items():
        if not has_columns(file, len(class_names)):
            facts["format_version"] = None  # someone changed it
        if request.keep_removed or request.days:
            _check_that_rows_can_stay(request, facts)
    return earlier


def identity_in(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a table's facts say of the identity of its run (see `Request.identity`)."""
    return {
        "format_version": facts.get("format_version"),
        "model_id": facts.get("model", {}).get("model_id"),
        **{name: facts.get("run", {}).get(name) for name in ("folder", "multi")},
    }


def _checked_workers(workers: int | None) -> int:
    if workers is None:
        return len(os.sched_getaffinity(0))
    if workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    return workers


def _walk(request: Request) -> Iterator[Found]:
    """Begin to walk a folder, which must hold a file."""
    found, days = _all_found(request.images, request.output), request.days
    if days is not None:
        found = (each for each in found if days.holds(each.path))
    first = next(found, None)
    if first is None:
        where = "" if days is None else f"in folders dated {days} "
        raise UsageError(
            f"{request.images}: holds no files {where}(hidden ones are left out); nothing to score"
        )
    return chain([first], found)


def _all_found(folder: Path | StorePath, table: Path) -> Iterator[Found]:
    if isinstance(folder, StorePath):
        from digitflow.scoring.objects import walk_objects

        return walk_objects(folder)
    inside = os.fsencode(table.relative_to(folder)) if table.is_relative_to(folder) else None
    return walk(os.fsencode(folder), skip=inside)


def _checked_folder(images: Path | str) -> Path | StorePath:
    """Return the absolute path of a folder that can be scored."""
    if is_uri(images):
        return parse_uri(str(images))
    check_local(images, _AS_TEXT)
    if images == "":
        raise UsageError("no name is given; name a folder of images")
    try:
        folder = Path(os.path.realpath(images, strict=True))
        is_folder = folder.is_dir()
    except OSError as error:
        raise UsageError(f"{images}: {error.strerror}; name a folder of images") from error
    if not is_folder:
        raise UsageError(f"{images}: is not a folder; name the folder that the images are in")
    return folder


def _checked_output(output: Path | str, partition_by: str | None) -> Path | Dataset:
    """Return the absolute path of a table that may be written, or a dataset, links resolved."""
    check_local(output, _AS_TEXT)
    with as_output_error(output):
        path = Path(os.path.realpath(output))
        if not path.parent.is_dir():
            raise OutputError(f"{output}: the folder {path.parent} does not exist; make it first")
        if asked_for(output):
            return check_dataset(output, partition_by)
        if partition_by is not None:
            raise UsageError(
                f"--partition-by {partition_by}: is for a folder of parts; name one that ends in a "
                f"slash, as {output}/"
            )
        if path.is_dir():
            example = path / "out.parquet"
            raise OutputError(
                f"{output}: is a folder; name a file in it, as {example}, or for a dataset of "
                f"parts end it with a slash"
            )
        check_not_within(path)
        if path.exists() and not (path.is_file() and read_facts(path)):
            raise OutputError(
                f"{output}: exists and is not a scored table; it is left as it is, name another"
            )
        return path


def _check_that_rows_can_stay(request: Request, earlier: dict[str, Any]) -> None:
    now = request.facts
    for what, was, would_be in [
        ("folder", earlier.get("run", {}).get("folder"), now["run"]["folder"]),
        ("classes", earlier.get("model", {}).get("class_names"), [*now["model"]["class_names"]]),
        ("columns", earlier.get("format_version"), now["format_version"]),
        # As no row tells, one would stand for its file, should that come back.
        (
            "setting of --multi",
            _on_or_off(earlier.get("run", {}).get("multi")),
            _on_or_off(request.multi),
        ),
    ]:
        if was != would_be:
            option = "--keep-removed (of the nightly job: give --drop-removed)"
            if request.days:
                option = f"the days {request.days}"
            raise UsageError(
                f"{request.output}: rows of another {what} ({was}) cannot stay beside new ones; "
                f"leave out {option} or name another output"
            )


def _on_or_off(setting: bool | None) -> str:
    return "on" if setting else "off"
