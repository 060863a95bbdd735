"""The first stage of the flows that train: the data set, located and prepared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestration import is_transient, say  # sets Prefect's defaults: comes first
from prefect import task
from prefect.context import TaskRunContext

from digitflow.datasets.loading import resolve_dataset, short_name
from digitflow.datasets.preparing import (
    is_prepared,
    open_prepared,
    prepare_dataset,
    prepared_location,
)


@task(retries=2, retry_delay_seconds=[2, 10], retry_condition_fn=is_transient)
def locate_data(
    dataset: str, validation_fraction: float, corrections: Sequence[str] = ()
) -> dict[str, Any]:
    """Make sure the data set is there.

    Returns what to load, a name or a path; what it is called; for a stand-in, a note why it is
    one; the corrections to be learned as well; and where all is or will be prepared.
    """
    dataset, note = resolve_dataset(dataset)
    prepared = prepared_location(dataset, validation_fraction, corrections=corrections)
    return {
        "dataset": dataset,
        "name": short_name(dataset),
        "note": note,
        "corrections": list(corrections),
        "prepared": str(prepared),
    }


def _key_of_prepared(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    # The folder's name is a digest of the input.
    return f"prepare-{parameters['located']['prepared']}"


@task(cache_key_fn=_key_of_prepared, persist_result=True, result_serializer="json")
def prepare(located: dict[str, Any], validation_fraction: float) -> str:
    """Split the data set and store the parts; return their folder."""
    corrections = located["corrections"]
    prepared = prepare_dataset(located["dataset"], validation_fraction, corrections=corrections)
    return str(prepared.folder)


def prepare_unless_there(located: dict[str, Any], validation_fraction: float) -> str:
    """Prepare the data, or take what was prepared before; say which data it is."""
    # What Prefect remembers counts only as long as it is still there.
    is_there = is_prepared(Path(located["prepared"]))
    refreshed = prepare.with_options(refresh_cache=not is_there)
    prepared = refreshed(located, validation_fraction)
    say_data(prepared, is_there, corrected=bool(located["corrections"]))
    return prepared


def say_data(prepared: str, reused: bool, corrected: bool) -> None:
    """Say which data will be trained on, and how many corrections if any were asked for."""
    facts = open_prepared(Path(prepared)).facts
    sizes = ", ".join(f"{part['n']:,} {split}" for split, part in facts["splits"].items())
    notes = [f"validation: {facts['validation']}"]
    if corrected:
        notes.append(f"{facts['corrections']:,} corrections among the training images")
    if reused:
        notes.append("prepared before, taken from the cache")
    say(f"data       {facts['name']}: {sizes} images; {'; '.join(notes)}")
