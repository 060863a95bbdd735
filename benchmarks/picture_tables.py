"""The tables of what was measured on pictures: real, made, odd, and of no digit."""

from collections.abc import Mapping, Sequence
from typing import Any

from markdown_parts import machine_of, table

Result = Mapping[str, Any]

#: What becomes of a picture that could be read.
STATUSES = ("ok", "uncertain", "rejected", "blank")

# What one image file may take.
MOST_SECONDS = 1
MOST_MEGABYTES = 300

REAL_IMAGES = """\
Digits that people drew, photographed and scanned, by source, read by one network from the same
pictures prepared in three ways; sources count alike in the macro average. Milliseconds are the
median from file to 28×28."""
LEFT_OUT = """\
Sources after which written forms were added to those that are drawn for training, read by two
networks of the same recipe: one that learned all forms, one that learned none of those."""
ROBUSTNESS = """\
Image files made from the same digits of MNIST in each kind; milliseconds are the median from file
to 28×28. Conditions are what people's pictures look like, transformations the digits as they are,
written otherwise."""
SEVERAL = """\
Lines of 1 to 10 digits and pages of 5 lines of 8, of varied sizes, with 2 px and more between their
boxes, noise and either polarity. A digit counts if it stands at its place; a picture is whole if
all of them do."""
NON_DIGITS = """\
What the status of pictures is that show no digit, and of those that do. Refused are `rejected`,
`uncertain` and `blank`."""
ODD_IMAGES = f"""\
Odd, damaged and hostile image files, each read and brought into MNIST's form in a process of its
own: what came of them, which took most of the processor's time, and which most memory beyond what
the idle process has. None may crash or hang, or take more than {MOST_SECONDS} s and
{MOST_MEGABYTES} MB."""


def real_images_table(result: Result) -> str:
    """Return the accuracy by source of each preparation, from what `real_images.py` measured."""
    preparations = result["preparations"]
    own = preparations[-1]
    rows = [
        [
            source,
            str(own["pictures"][source]),
            *(f"{each['sources'][source]:.1%}" for each in preparations),
            f"{own['milliseconds'][source]:.1f} ms",
        ]
        for source in own["sources"]
    ]
    rows.append(
        ["macro average", "", *(f"{each['macro_average']:.2%}" for each in preparations), ""]
    )
    total = str(sum(own["pictures"].values()))
    rows.append(["all", total, *(f"{each['accuracy']:.2%}" for each in preparations), ""])
    caption = f"{result['data']}, model {result['model'][:12]}, {machine_of(result)}:\n\n"
    heads = ["source", "pictures", *(each["preparation"] for each in preparations)]
    return caption + table([*heads, f"{own['preparation']} takes"], rows)


def left_out_table(result: Result) -> str:
    """Return the accuracy with and without the forms that a source suggested (`left_out.py`)."""
    rows = [
        [
            source["source"],
            str(source["pictures"]),
            ", ".join(source["left_out"]) or "none",
            f"{source['with_all']:.1%}",
            f"{source['without']:.1%}",
        ]
        for source in result["left_out"]
    ]
    caption = f"{result['data']}, `{result['network']}`, {result['epochs']} epochs:\n\n"
    heads = ["source", "pictures", "forms whose names hold", "learned all forms", "without these"]
    return caption + table(heads, rows)


def robustness_table(result: Result) -> str:
    """Return the accuracy on each kind of picture, from what `robustness.py` measured."""
    tables = []
    for group in filter(result.get, ("conditions", "transformations")):
        kinds = result[group]
        rows = [
            [
                kind["kind"],
                f"{kind['accuracy']:.1%}",
                str(kind["not_found"]),
                f"{kind['milliseconds']:.1f} ms",
            ]
            for kind in kinds
        ]
        accuracies = [kind["accuracy"] for kind in kinds]
        rows.append(["mean", f"{sum(accuracies) / len(accuracies):.2%}", "", ""])
        tables.append(table([group, "accuracy", "no digit found", "time"], rows))
    caption = (
        f"{result['data']}, {result['digits']} digits, seed {result['seed']}, model "
        f"{result['model'][:12]}, {machine_of(result)}; {result['accuracy_of_arrays']:.1%} of the "
        "digits are read right as arrays:\n\n"
    )
    return caption + "\n".join(tables)


def odd_images_table(result: Result) -> str:
    """Return what came of the files, and the worst, from what `odd_images.py` measured."""
    files = result["files"]
    outcomes = sorted({file["outcome"] for file in files}, key=lambda each: (each != "read", each))
    rows = [
        [outcome, *_worst([file for file in files if file["outcome"] == outcome])]
        for outcome in outcomes
    ]
    caption = f"{result['data']}, {machine_of(result)}:\n\n"
    heads = ["outcome", "files", "slowest", "most memory"]
    return caption + table(heads, [*rows, ["all", *_worst(files)]])


def _worst(files: Sequence[Result]) -> list[str]:
    slowest = max(files, key=lambda file: file["seconds"])
    largest = max(files, key=lambda file: file["megabytes"])
    return [
        str(len(files)),
        f"{slowest['seconds']:.2f} s, `{slowest['file']}`",
        f"{largest['megabytes']:.0f} MB, `{largest['file']}`",
    ]


def several_digits_table(result: Result) -> str:
    """Return how many digits of lines and pages were read, from what `several_digits.py` found."""
    rows = [
        [
            kind["kind"],
            str(kind["pictures"]),
            str(kind["digits"]),
            f"{kind['accuracy']:.2%}",
            str(kind["whole"]),
        ]
        for kind in result["pages"]
    ]
    caption = f"{result['data']}, seed {result['seed']}, model {result['model'][:12]}:\n\n"
    return caption + table(["kind", "pictures", "digits", "right", "whole"], rows)


def non_digits_table(result: Result) -> str:
    """Return the share of each status by kind of picture, from what `non_digits.py` measured."""
    rows = []
    for kind in result["non_digits"]:
        shares = {status: n / kind["pictures"] for status, n in kind["statuses"].items()}
        cells = [f"{shares.get(status, 0):.1%}" for status in STATUSES]
        rows.append([kind["kind"], str(kind["pictures"]), *cells, f"{kind['refused']:.1%}"])
    caption = f"model {result['model'][:12]}, seed {result['seed']}:\n\n"
    return caption + table(["kind", "pictures", *STATUSES, "refused"], rows)
