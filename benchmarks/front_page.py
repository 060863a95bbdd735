"""The README's figures: a handful of those in `docs/results/`, and of the shipped model."""

from collections.abc import Mapping, Sequence
from typing import Any

from markdown_parts import table

Result = Mapping[str, Any]

#: What stands around the table in README.md.
BEGIN = "<!-- What follows is written by `python benchmarks/tables.py`. -->"
END = "<!-- What precedes is written by `python benchmarks/tables.py`. -->"

_SHOWN = ("fast", "accurate", "ann")  # networks to train
_DIGITS = ("test digit", "real digit")  # kinds of pictures that should not be refused


def with_figures(page: str, figures: str) -> str:
    """Return a page with other figures between its two marks.

    Raises
    ------
    ValueError
        If the page does not have each mark once, in their order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in before + after:
        raise ValueError(f"README.md: needs the lines {BEGIN} and {END}, once each; put them back")
    return f"{before}{BEGIN}\n\n{figures}\n{END}{after}"


def figures_table(results: Sequence[Result], shipped: Result) -> str:
    """Return the table, from the content of the result files and the shipped model's manifest."""
    by_name = {result["name"]: result for result in results}
    rows = [
        *_test_images(by_name, shipped),
        *_pictures(by_name["real_images"], by_name["left_out"], by_name["robustness"]),
        *_refused(by_name["non_digits"]),
        *_scored(by_name["scoring"]),
        *_served(by_name["serving"]),
    ]
    return table(["", "digitflow", "beside it"], rows)


def _test_images(by_name: Mapping[str, Result], shipped: Result) -> list[list[str]]:
    names = ", ".join(f"`{name}`" for name in _SHOWN)
    accuracies = [by_name[name]["summary"]["mean"] for name in _SHOWN]
    read = _percent(shipped["tflite"]["model.tflite"]["accuracy"], 2)
    return [
        ["MNIST's 10,000 test images: the shipped model", read, ""],
        [f"… networks to train: {names}", ", ".join(_percent(each, 2) for each in accuracies), ""],
    ]


def _pictures(real: Result, left_out: Result, robustness: Result) -> list[list[str]]:
    *others, own = real["preparations"]
    beside = [f"{each['preparation']}: {_percent(each['macro_average'])}" for each in others]
    without = [source["without"] for source in left_out["left_out"]]
    conditions = [kind["accuracy"] for kind in robustness["conditions"]]
    mean = sum(conditions) / len(conditions)
    return [
        [
            f"{sum(own['pictures'].values())} real photos, scans and drawings: mean of "
            f"{len(own['sources'])} sources",
            _percent(own["macro_average"]),
            f"the same network, pictures only {'; '.join(beside)}",
        ],
        [
            f"… {len(without)} sources, by a network of {left_out['epochs']} epochs that did not "
            "learn the forms they suggested",
            _span(without),
            "",
        ],
        [
            f"{len(conditions)} conditions of light, paper and pen, made from MNIST: mean; worst",
            f"{_percent(mean)}; {_percent(min(conditions))}",
            f"the same digits as MNIST has them: {_percent(robustness['accuracy_of_arrays'])}",
        ],
    ]


def _refused(result: Result) -> list[list[str]]:
    refused = {kind["kind"]: kind["refused"] for kind in result["non_digits"]}
    lost = [f"{_percent(refused[kind])} of {kind}s" for kind in _DIGITS]
    kinds = [kind for kind in refused if kind not in _DIGITS]
    return [
        [
            f"Refused as no sure digit: {', '.join(kinds)}",
            _span([refused[kind] for kind in kinds]),
            f"refused as well: {', '.join(lost)}",
        ]
    ]


def _scored(result: Result) -> list[list[str]]:
    whole = {row["way"]: row for row in result["scoring"] if row["what"] == "all"}
    own, keras = (
        f"{row['images'] / row['median_seconds']:,.0f} images/s, {row['median_megabytes']:,.0f} MB"
        for row in (whole["digitflow"], whole["keras"])
    )
    images = f"{whole['digitflow']['images']:,}"
    return [
        [
            f"A folder of {images} small PNG files into a table, {result['cores']} cores",
            own,
            f"`image_dataset_from_directory` and `predict`: {keras}",
        ]
    ]


def _served(result: Result) -> list[list[str]]:
    rows = {(row["way"], row["load"]): row for row in result["serving"]}
    lines = []
    for load, name in {"png": "28×28 PNG", "jpeg": "photo of a megapixel"}.items():
        own, plain = (
            f"{row['idle_milliseconds']['p50']:,.0f} ms; "
            f"{sum(row['images_per_second'].values()):,.0f} a second"
            for row in (rows["digitflow", load], rows["plain", load])
        )
        what = f"REST API, {name}: median of one client; {result['clients']} clients together"
        lines.append([what, own, f"FastAPI and `model.predict`: {plain}"])
    return lines


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _span(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):.1f} to {_percent(max(shares))}"
