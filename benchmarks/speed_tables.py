"""Tables of what scoring, serving and the start of a flow take."""

from collections.abc import Mapping, Sequence
from typing import Any

from markdown_parts import table

Result = Mapping[str, Any]

SCORING = """\
The same folder of 28×28 PNG files, whole processes from start to exit, each once in every round;
medians. The bare loop reads, decodes and infers in as many processes as there are cores, checks
nothing and writes no table; Keras' ways write Parquet. The workers of the Dask cluster were started
before, and their memory is not counted. One `predict` per image is measured on a few
images and scaled up. `steady` is the pace between the middle number of images and all, so without
any start. Memory is the most that one process held."""

SERVING = """\
The same requests to `digitflow serve` and to the plainest server: FastAPI, Pillow's resizing, one
`model.predict` for each request. Each is alone with the clients on the same cores. Images a second
are those that were read; clients that are told to come again (429, 503) wait about a second. The
plainest server takes a photo for a digit as it is, without looking for one in it. Health is asked
for every 50 ms, on new connections. Memory and open files are those of the server, before and
after. `idle` is one client alone."""

FLOW_START = """\
A flow as a plain script, on one image, from the start of its process to its end: the median over
rounds in which all take turns. `empty` is the emptiest flow, a script that imports Prefect alone,
with the settings of this project's flows; `bare` has Prefect's own."""

_NAMES = {
    "digitflow": "`digitflow score`",
    "flow": "the flow, on a running server",
    "dask": "`--dask`, as many workers on this machine",
    "bare": "bare loop, Pillow",
    "keras": "`image_dataset_from_directory`",
    "single": "one `predict` per image",
    "ray": "Ray Data",
}
_AGAIN = {"unchanged": "again, nothing changed", "changed": "again, 10 changed"}


def flow_start_table(rows: Sequence[Result]) -> str:
    """Return what each way takes beside the emptiest flow, from what `flow_start.py` measured."""
    lines = [
        [f"`{row['way']}`", f"{row['median_seconds']:.1f} s", f"{row['ratio']:.2f}"] for row in rows
    ]
    return table(["flow", "seconds", "of the emptiest"], lines)


def scoring_table(result: Result) -> str:
    """Return what each way takes, and how it compares with `digitflow score`."""
    rows = {(row["way"], row["what"]): row for row in result["scoring"]}
    own = rows.get(("digitflow", "all"))
    lines = []
    for way in dict.fromkeys(row["way"] for row in result["scoring"]):
        whole = rows.get((way, "all")) or rows[way, "sample"]
        seconds = whole["median_seconds"]
        ratio = f"{seconds / own['median_seconds']:.2f}" if own else ""
        start, middle = (
            f"{rows[way, what]['median_seconds']:.2f} s" if (way, what) in rows else ""
            for what in ("one", "middle")
        )
        cells = [start, middle, f"{seconds:,.1f} s", f"{whole['images'] / seconds:,.0f}"]
        cells += [_steady(rows, way), f"{whole['median_megabytes']:.0f} MB", ratio]
        lines.append([_NAMES[way], *cells])
    for what, name in _AGAIN.items():
        if again := rows.get(("digitflow", what)):
            cells = [f"{again['median_seconds']:,.1f} s", *[""] * 2]
            cells += [f"{again['median_megabytes']:.0f} MB", ""]
            lines.append([name, "", "", *cells])
    most = max(row["images"] for row in rows.values())
    middle = max((row["images"] for row in rows.values() if row["what"] == "middle"), default=0)
    caption = (
        f"{result['data']}, model {result['model'][:12]}, {result['rounds']} rounds, "
        f"{result['cores']} cores:\n\n"
    )
    heads = ["way", "1 image", f"{middle:,}", f"{most:,}", "images/s", "steady", "memory"]
    return caption + table([*heads, "time / digitflow's"], lines)


def _steady(rows: Mapping[tuple[str, str], Result], way: str) -> str:
    """Return the images a second between the middle number and all."""
    middle, whole = rows.get((way, "middle")), rows.get((way, "all"))
    if not middle or not whole:
        return ""
    seconds = whole["median_seconds"] - middle["median_seconds"]
    return f"{(whole['images'] - middle['images']) / seconds:,.0f}" if seconds > 0 else ""


def serving_table(result: Result) -> str:
    """Return what each server does under each load, and how they compare."""
    rows = result["serving"]
    plain = {(row["round"], row["load"]): _all_images(row) for row in rows if row["way"] == "plain"}
    lines = []
    for row in rows:
        before, after = row["before"], row["after"]
        beside = plain.get((row["round"], row["load"]))
        own = row["way"] == "digitflow"
        for kind, rate in row["images_per_second"].items():
            first = kind == next(iter(row["images_per_second"]))
            whole = [
                ", ".join(f"{status}: {n:,}" for status, n in row["statuses"].items()),
                f"{_all_images(row) / beside:.1f}" if own and beside else "",
                _milliseconds(row["idle_milliseconds"], "p50"),
                _milliseconds(row["health_milliseconds"], "p99", "most"),
                f"{before['megabytes']:.0f}, {after['megabytes']:.0f} MB",
                f"{before['open_files']:.0f}, {after['open_files']:.0f}",
            ]
            names = [f"`{row['way']}`", row["load"]] if first else ["", ""]
            times = _milliseconds(row["milliseconds"][kind], "p50", "p99")
            lines.append([*names, kind, f"{rate:,.1f}", times, *(whole if first else [""] * 6)])
    caption = (
        f"{result['clients']} clients, {result['seconds']:g} s, model {result['model'][:12]}, "
        f"{result['cores']} cores:\n\n"
    )
    heads = ["server", "load", "images", "a second", "p50, p99", "answers", "times the plainest"]
    return caption + table([*heads, "idle p50", "health p99, most", "memory", "open files"], lines)


def _all_images(row: Result) -> float:
    return sum(row["images_per_second"].values())


def _milliseconds(times: Mapping[str, float] | None, *which: str) -> str:
    return ", ".join(f"{times[each]:,.1f}" for each in which) + " ms" if times else ""
