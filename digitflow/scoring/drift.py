"""Today's table against what the model, or an earlier table, has seen."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from digitflow.errors import BundleError, UnknownModelError, UsageError
from digitflow.evaluation.profiles import (
    SCALES,
    WORDS,
    ColumnShift,
    Profile,
    add_profiles,
    compare_profiles,
    count_numbers,
    find_profile_problem,
    worst_verdict,
)
from digitflow.models.bundle import MANIFEST, Bundle, load_bundle
from digitflow.models.registry import find_model
from digitflow.scoring.columns import known_in, numbers_in
from digitflow.scoring.scored import ScoredTable, open_table, shown
from digitflow.scoring.stores import check_local

_COLUMNS = (
    *(*WORDS, "confidence", "ink", "width", "height", "segment"),
    *("image_width", "image_height"),
)
_JSON_LIMIT = 1 << 24  # bytes


@dataclass(frozen=True)
class Profiled:
    """A table, a sum of tables or a model's own data, in counts."""

    name: str  # for people
    n_rows: int
    model_ids: tuple[str, ...]  # the models that scored it
    profile: Profile


@dataclass(frozen=True)
class Drift:
    """A table compared with a reference."""

    table: Profiled
    reference: Profiled
    columns: tuple[ColumnShift, ...]

    @property
    def verdict(self) -> str:
        """The gravest verdict of any column: `stable`, `unclear`, `shifted` or `drifted`."""
        return worst_verdict([column.verdict for column in self.columns])

    @property
    def notes(self) -> list[str]:
        """What a reader must know to judge the comparison."""
        if {*self.table.model_ids} == {*self.reference.model_ids}:
            return []
        return ["scored by different models: status, label and confidence may differ by that alone"]

    def in_words(self) -> str:
        """Return the comparison as lines for a person."""
        sides = (f"{each.name} ({each.n_rows:,} rows)" for each in (self.table, self.reference))
        lines = ["{}: {} against {}".format(self.verdict, *sides)]
        lines += [f"note: {note}" for note in self.notes]
        lines.append(f"{'column':<13} {'verdict':<8} distance  by chance")
        for each in self.columns:
            chance = f"to {each.by_chance:.2f}"
            lines.append(
                f"{each.column:<13} {each.verdict:<8} {each.distance:<9.3f} {chance:<10} "
                # A plain space: not every console can show the other one.
                + each.change.replace("\N{NO-BREAK SPACE}", " ")
            )
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """Return all of it, as JSON can hold it; `--against` takes it for an earlier table."""
        return {"verdict": self.verdict, "notes": self.notes, **asdict(self)}


def measure_drift(table: Path | str, against: Sequence[Path | str] = ()) -> Drift:
    """Compare a scored table with what the model was validated on, or with earlier tables.

    Parameters
    ----------
    table : Path or str
        A scored table, or a folder of its parts.
    against : sequence of Path or str
        Earlier tables, whose rows are added up; JSON files that `Drift.facts` filled, which stand
        for their table; bundles' folders. Default: the bundle of the model that scored `table`,
        which knows its validation images. Those were brought into MNIST's form, so that sizes and
        polarity are compared with tables only.

    Returns
    -------
    Drift

    Raises
    ------
    UsageError
        If there is no such table, it is damaged or empty, or the model's bundle is not here or
        tells nothing of its own data.
    BundleError
        If the bundle is damaged.
    """
    for each in (table, *against):
        check_local(each)
    opened = open_table(table)
    now = profile_table(opened)
    before = _add(_profiled(Path(each)) for each in against) if against else _of_model(opened)
    columns = tuple(compare_profiles(now.profile, before.profile))
    if not columns:
        raise UsageError(f"{before.name}: has no column in common with {now.name}; name another")
    return Drift(now, before, columns)


def check_reference(against: Sequence[Path | str]) -> None:
    """Read what a table is to be compared with, so that it is refused before hours of scoring.

    Parameters
    ----------
    against : sequence of Path or str
        As `measure_drift` takes it.

    Raises
    ------
    UsageError, BundleError
        As `measure_drift` raises them.
    """
    for each in against:
        check_local(each)
        _profiled(Path(each))


def profile_table(table: ScoredTable) -> Profiled:
    """Count what is in a scored table.

    Raises
    ------
    UsageError
        If it is damaged or has no rows.
    """
    profiles: list[Profile] = [{}]
    n_rows = 0
    for batch in table.batches(_COLUMNS):
        n_rows += batch.num_rows
        profiles = [add_profiles([*profiles, _profile(batch)])]
    if not n_rows:
        raise UsageError(f"{table.name}: has no rows; there is nothing to compare")
    return Profiled(table.name, n_rows, table.model_ids, profiles[0])


def _profile(batch: pa.RecordBatch) -> dict[str, dict[str, float]]:
    profile = {column: _count_words(batch.column(column)) for column in WORDS}
    numbers = {name: _numbers(batch, name)[name] for name in ("confidence", "ink")}
    numbers |= (box := _numbers(batch, "width", "height"))
    numbers["shape"] = np.maximum(box["width"], 1) / np.maximum(box["height"], 1)
    sizes = _numbers(batch, "image_width", "image_height", "segment")
    first = sizes.pop("segment") == 0  # an image counts once, however many digits it has
    numbers |= {name: size[first] for name, size in sizes.items()}
    return profile | {name: count_numbers(numbers[name], scale) for name, scale in SCALES.items()}


def _count_words(column: pa.DictionaryArray) -> dict[str, float]:
    counted = column.drop_null().value_counts()
    return {each["values"].as_py(): each["counts"].as_py() for each in counted}


def _numbers(batch: pa.RecordBatch, *names: str) -> dict[str, NDArray]:
    """Return some columns of the rows that have a number in all of them."""
    columns = {name: batch.column(name) for name in names}
    known = np.logical_and.reduce([known_in(column) for column in columns.values()])
    return {name: numbers_in(column)[known] for name, column in columns.items()}


def _profiled(path: Path) -> Profiled:
    """Return an earlier table, the JSON of a comparison or a model's own data, in counts."""
    if (path / MANIFEST).is_file():
        return _of_bundle(load_bundle(path))
    if path.suffix.lower() == ".json":
        return _from_json(path)
    return profile_table(open_table(path))


def _add(profiled: Iterable[Profiled]) -> Profiled:
    first, *others = several = list(profiled)
    return Profiled(
        name=f"{first.name} and {len(others)} more" if others else first.name,
        n_rows=sum(each.n_rows for each in several),
        model_ids=tuple(dict.fromkeys(name for each in several for name in each.model_ids)),
        profile=add_profiles([each.profile for each in several]),
    )


def _of_model(table: ScoredTable) -> Profiled:
    """Return the own data of the model that scored a table."""
    model = table.facts["model"]
    name = f"{model.get('name')}@{model.get('version')}"
    elsewhere = "name its bundle's folder or an earlier table with --against"
    try:
        # A name with a slash would be taken for a folder, and a table may say anything.
        bundle = load_bundle(find_model(name.replace("/", "?")))
    except UnknownModelError as error:
        raise UsageError(f"{table.name}: its model {name!r} is not here; {elsewhere}") from error
    if table.model_ids != (bundle.model_id,):
        raise UsageError(
            f"{table.name}: was scored by {model['model_id'][:12]!r}, and {name} is now another "
            f"({bundle.model_id[:12]}); {elsewhere}"
        )
    return _of_bundle(bundle)


def _of_bundle(bundle: Bundle) -> Profiled:
    name = f"{bundle.name}@{bundle.version}"
    profile = bundle.manifest.get("reference")
    if profile is None:
        raise UsageError(
            f"{name}: its manifest does not tell how its own data look; compare with an earlier "
            "table (--against earlier.parquet), or with one scored from images you have checked"
        )
    if problem := find_profile_problem(profile):
        raise BundleError(f"{bundle.folder / MANIFEST}: reference {problem}; the bundle is damaged")
    n_rows = round(sum(profile.get("status", {}).values()))
    return Profiled(f"the validation images of {name}", n_rows, (bundle.model_id,), profile)


def _from_json(path: Path) -> Profiled:
    """Return the table of a comparison that was kept as JSON."""
    try:
        with path.open("rb") as stream:
            facts = json.loads(stream.read(_JSON_LIMIT))["table"]
        profiled = Profiled(
            shown(path), int(facts["n_rows"]), tuple(map(str, facts["model_ids"])), facts["profile"]
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "not what --json prints"
        raise UsageError(f"{shown(path)}: cannot be used ({why}); name another") from error
    if problem := find_profile_problem(profiled.profile):
        raise UsageError(f"{profiled.name}: table.profile {problem}; name another")
    return profiled
