"""`digitflow runs`: the record of every run, one by one and beside each other."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitflow.errors import UsageError

if TYPE_CHECKING:
    from digitflow.runs.comparing import Confusions
    from digitflow.runs.records import RunRecord

_LONGEST_OUTCOME = 72  # characters, in the list


def add_runs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its actions to the parser."""
    runs = commands.add_parser("runs", help="list, show or compare the runs of reports/")
    actions = runs.add_subparsers(metavar="action", required=True)

    listing = actions.add_parser("list", help="every run, the newest first")
    listing.add_argument("--kind", help="only runs of this kind: train, tune, score, nightly")
    listing.add_argument("--limit", type=_whole, metavar="N", help="only the newest")
    listing.set_defaults(run=_list_runs)

    showing = actions.add_parser("show", help="what a run was given, did and left")
    showing.add_argument("name", help="the run's name, how it begins, or its folder")
    showing.add_argument("--json", action="store_true", help="print the whole record")
    showing.set_defaults(run=_show_run)

    comparing = actions.add_parser("compare", help="in what two runs differ")
    comparing.add_argument("first", help="a run's name, how it begins, or its folder")
    comparing.add_argument("second", help="another")
    comparing.add_argument("--json", action="store_true", help="print the differences as JSON")
    comparing.add_argument(
        "--picture", type=Path, metavar="PNG", help="draw the two confusion matrices"
    )
    comparing.set_defaults(run=_compare_runs)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 1")
    return int(text)


def _list_runs(options: argparse.Namespace) -> int:
    from digitflow import settings
    from digitflow.runs.comparing import aligned
    from digitflow.runs.records import list_runs

    runs = list_runs()
    records = [each for each in runs.records if options.kind in (None, each.facts["kind"])]
    rows = [_row_of(record) for record in records[: options.limit]]
    if rows:
        print(
            *aligned([("run", "kind", "state", "started (UTC)", "took", "outcome"), *rows]),
            sep="\n",
        )
    else:
        print(f"no runs in {settings.reports_folder().resolve()}")
    if runs.unrecorded:
        names = ", ".join(runs.unrecorded[:5]) + (", …" if len(runs.unrecorded) > 5 else "")
        print(f"note: {len(runs.unrecorded):,} without a record, older or not digitflow's: {names}")
    for line in runs.damaged:
        print(f"note: {line}")
    return 0


def _row_of(record: "RunRecord") -> tuple[str, ...]:
    facts = record.facts
    outcome = " ".join(facts["outcome"].split())
    if len(outcome) > _LONGEST_OUTCOME:
        outcome = f"{outcome[: _LONGEST_OUTCOME - 1]}…"
    began = f"{record.started_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    return record.name, facts["kind"], record.state, began, _took(facts), outcome


def _took(facts: Any) -> str:
    seconds = facts.get("seconds")
    return "-" if seconds is None else f"{seconds:,.0f} s"


def _show_run(options: argparse.Namespace) -> int:
    from digitflow.runs.records import find_run

    record = find_run(options.name)
    if options.json:
        print(json.dumps({**record.facts, "state": record.state}, indent=1))
        return 0
    print("\n".join(_lines_of(record)))
    return 0


def _lines_of(record: "RunRecord") -> list[str]:
    """Return a record in words; what has many numbers is left to its JSON."""
    facts = record.facts
    told = [
        ("run", record.name),
        ("folder", str(record.folder)),
        ("state", ": ".join(filter(None, [record.state, facts["outcome"]]))),
        ("started", f"{facts['started_at']}, took {_took(facts)}"),
        *_values("parameters", facts["parameters"]),
        *_values("data", facts["data"]),
        *_values("code", facts["code"]),
        *_values("libraries", facts["libraries"]),
        *[(f"stage {name}", f"{seconds} s") for name, seconds in facts["stages"].items()],
        *_values("metric", facts["metrics"]),
        *_values("model", facts["model"]),
        *[("output", f"{o.get('path')}  {str(o.get('sha256'))[:12]}") for o in facts["outputs"]],
        *[("earlier", f"{e.get('started_at')} {e.get('state')}") for e in facts["earlier"]],
    ]
    width = max(len(name) for name, _ in told)
    return [f"{name:<{width}}  {value}" for name, value in told]


def _values(what: str, values: dict[str, Any]) -> list[tuple[str, str]]:
    single = {k: v for k, v in values.items() if not isinstance(v, dict | list) and v is not None}
    return [(f"{what} {name}", str(value)) for name, value in single.items()]


def _compare_runs(options: argparse.Namespace) -> int:
    from digitflow.runs.comparing import differences, table_of
    from digitflow.runs.records import find_run

    _check_picture(options.picture)
    records = [find_run(name) for name in (options.first, options.second)]
    names = [record.name for record in records]
    found = differences(*records)
    pair, why_not = _confusions_of(records)
    if options.picture:
        if why_not:
            raise UsageError(f"--picture: {why_not}; leave the option out")
        _draw(pair, names, options.picture)
    if options.json:
        print(json.dumps({"runs": names, "differences": [asdict(d) for d in found]}, indent=1))
        return 0
    print(*(table_of(found, names) if found else ["the two do not differ"]), "", sep="\n")
    print(*_confusions_in_words(pair, names, why_not), sep="\n")
    return 0


def _check_picture(picture: Path | None) -> None:
    from digitflow.scoring.stores import check_local

    if picture is None:
        return
    check_local(picture)
    if picture.suffix.lower() != ".png":
        raise UsageError(f"--picture {picture}: is drawn as PNG; let its name end in .png")


def _confusions_of(records: "Sequence[RunRecord]") -> tuple[list["Confusions"], str]:
    """Return two confusion matrices, or why they cannot be set beside each other."""
    from digitflow.runs.comparing import confusions_of

    pair = []
    for record in records:
        confusions = confusions_of(record)
        if confusions is None:
            return [], f"{record.name} has no confusion matrix"
        pair.append(confusions)
    alike = pair[0].class_names == pair[1].class_names
    return pair, "" if alike else "the classes of the two are not the same"


def _confusions_in_words(
    pair: "Sequence[Confusions]", names: Sequence[str], why_not: str
) -> list[str]:
    from digitflow.runs.comparing import MOST_CLASSES, confusions_in_words

    if not why_not and len(pair[0].class_names) > MOST_CLASSES:
        why_not = "too many classes for a console; --picture draws them"
    if why_not:
        return [f"confusions: {why_not}"]
    heading = "confusions, a row for each true class, a column for what was read:"
    return [heading, *confusions_in_words(pair, names)]


def _draw(pair: "Sequence[Confusions]", names: Sequence[str], target: Path) -> None:
    from digitflow.evaluation.encoding import png_bytes
    from digitflow.evaluation.plots import confusion_pair_figure
    from digitflow.files import write_bytes

    matrices = [each.counts for each in pair]
    write_bytes(target, png_bytes(confusion_pair_figure(matrices, pair[0].class_names, names)))
