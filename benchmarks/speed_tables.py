"""Tables of what scoring takes, from the results of `scoring.py`."""

from collections.abc import Mapping
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
