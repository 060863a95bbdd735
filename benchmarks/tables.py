"""Write `docs/accuracy.md`, and the README's figures, from the results in `docs/results/`.

python benchmarks/tables.py
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from front_page import figures_table, with_figures
from markdown_parts import machine_of, section, table
from picture_tables import (
    LEFT_OUT,
    NON_DIGITS,
    ODD_IMAGES,
    REAL_IMAGES,
    ROBUSTNESS,
    SEVERAL,
    left_out_table,
    non_digits_table,
    odd_images_table,
    real_images_table,
    robustness_table,
    several_digits_table,
)
from speed_tables import (
    FLOW_START,
    SCORING,
    SERVING,
    flow_start_table,
    scoring_table,
    serving_table,
)

from digitflow import files

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
SHIPPED = REPOSITORY / "models" / "mnist" / "pretrained" / "manifest.json"

Result = Mapping[str, Any]

INTRODUCTION = """\
# How accurate the networks are, and how long they take

Written by `python benchmarks/tables.py` from the files in `docs/results/`, which hold each run
with its command, hyper-parameters, versions of the libraries and misread test images.

Accuracies are of the data set's test images (MNIST has 10,000), read once, after the last epoch.
Recipes were chosen on training writers held out, never on the test images; then all training images
were fitted (recipes with early stopping hold a tenth of the writers out to stop by). `±` is the
sample standard deviation over seeds, where there were several. Of 10,000 images, a difference of
0.09 points is within chance at 99.8 %. Other work shared the cores, so seconds are upper bounds,
comparable only roughly.

`fast`'s recipe was chosen with six thousand images of writers held out; `accurate` took its
optimiser over from it, and its number of epochs was what time there was.

Models are named by the beginning of their id. 764cb5fa5e68 and the bundle shipped now,
11d08bf71ea3, have the same weights, temperature and thresholds; the latter tells of its validation
images' ink too.

"""

_VOTES = "The mean of the probabilities of networks that differ in their seed alone."
_CLOCKS = """\
Two networks in one run, each trained by its recipe. Seconds are of the training batches alone: not
of the first one, with which `compile` ends, nor of validation, nor of reading the test images after
each epoch, by which nothing is chosen."""
_STEPS = """\
Which share of a training step augmentation takes: its time alone, of its time and that of the step
without it, the median over rounds that run each once. `nothing` is the call that each of them
holds."""


def accuracy_page(results: Sequence[Result]) -> str:
    """Return the page, Markdown, from the content of the result files."""
    networks = [result for result in results if "runs" in result]
    votes = [result for result in results if "members" in result]
    clocks = [result for result in results if "networks" in result]
    steps = [result for result in results if "steps" in result]
    real = [result for result in results if "preparations" in result]
    left_out = [result for result in results if "left_out" in result]
    robust = [result for result in results if "transformations" in result]
    pages = [result for result in results if "pages" in result]
    others = [result for result in results if "non_digits" in result]
    odd = [result for result in results if "files" in result]
    scored = [result for result in results if "scoring" in result]
    served = [result for result in results if "serving" in result]
    begun = [result for result in results if "flow_start" in result]
    lost = "Test images lost against Keras, and the file's size."
    sections = [
        section("Accuracy", [table(_ACCURACY, map(_accuracy_row, networks))]),
        section("Soft vote", [table(_VOTE, map(_vote_row, votes))] if votes else [], _VOTES),
        section("Seconds to an accuracy", map(clocks_table, clocks), _CLOCKS),
        section("Augmentation", map(augmentation_table, steps), _STEPS),
        section("Real images", map(real_images_table, real), REAL_IMAGES),
        section("Sources left out", map(left_out_table, left_out), LEFT_OUT),
        section("Robustness", map(robustness_table, robust), ROBUSTNESS),
        section("Several digits", map(several_digits_table, pages), SEVERAL),
        section("Not a digit", map(non_digits_table, others), NON_DIGITS),
        section("Odd images", map(odd_images_table, odd), ODD_IMAGES),
        section("Scoring", map(scoring_table, scored), SCORING),
        section("Serving", map(serving_table, served), SERVING),
        section("A flow's start", map(_started, begun), FLOW_START),
        section("TFLite", [table(_TFLITE, map(_tflite_row, networks))], lost),
        section("Commands", [table(["result", "command"], map(_command_row, results))]),
    ]
    return INTRODUCTION + "\n".join(filter(None, sections))


def clocks_table(result: Result) -> str:
    """Return the clocks of two networks side by side, from what `training.py` measured."""
    first, second = result["networks"]
    rows = [
        [clock, *(f"{row[f'{clock}_seconds']:.1f} s" for row in (first, second)), ""]
        for clock in ("data", "compile")
    ]
    for accuracy in result["accuracies"]:
        reached = [row["reached"].get(accuracy) for row in (first, second)]
        cells = [
            f"{found['seconds']:.1f} s, epoch {found['epochs']}"
            if found
            else f"not in {row['epochs']} epochs"
            for found, row in zip(reached, (first, second), strict=True)
        ]
        ratio = f"{reached[1]['seconds'] / reached[0]['seconds']:.1f}" if all(reached) else ""
        rows.append([f"to {accuracy}", *cells, ratio])
    caption = f"{result['data']}, seed {result['seed']}, {machine_of(result)}:\n\n"
    heads = ["clock", f"`{first['network']}`", f"`{second['network']}`", "ratio"]
    return caption + table(heads, rows)


def augmentation_table(result: Result) -> str:
    """Return the share of each operation in a step, from what `augmentation.py` measured."""
    steps = result["steps"]
    rows = [["step without", *(f"{step['step_milliseconds']:.1f} ms" for step in steps)]]
    for operation in steps[0]["shares"]:
        rows.append([operation, *(f"{step['shares'][operation]:.1%}" for step in steps)])
    caption = f"{result['rounds']} rounds, {machine_of(result)}:\n\n"
    heads = [f"`{step['network']}`, batches of {step['batch_size']}" for step in steps]
    return caption + table(["augmentation", *heads], rows)


def _started(result: Result) -> str:
    return f"{machine_of(result)}:\n\n{flow_start_table(result['flow_start'])}"


_ACCURACY = ["network", "data", "parameters", "epochs", "seeds", "test accuracy", "misread"]
_ACCURACY += ["fit, median", "machine"]
_VOTE = ["vote", "data", "seeds", "misread by a member", "misread by the vote", "test accuracy"]
_TFLITE = ["network", "float32", "dynamic range", "int8", "int8 accuracy"]


def _accuracy_row(result: Result) -> list[str]:
    summary, runs = result["summary"], result["runs"]
    spread = "" if summary["deviation"] is None else f" ± {100 * summary['deviation']:.3f}"
    seconds = summary["fit_seconds"]
    return [
        f"`{result['name']}`",
        result["data"],
        f"{runs[0]['parameters']:,}",
        _range([run["epochs"] for run in runs]),
        str(summary["n"]),
        f"{100 * summary['mean']:.3f}{spread} %",
        _range([len(run["misread"]) for run in runs]),
        "in parts" if seconds is None else f"{seconds:,.0f} s",
        "; ".join(dict.fromkeys(map(machine_of, runs))),
    ]


def _vote_row(result: Result) -> list[str]:
    members = result["members"]
    return [
        f"`{result['name']}`",
        result["data"],
        " ".join(str(member["seed"]) for member in members),
        _range([len(member["misread"]) for member in members]),
        str(len(result["misread"])),
        f"{100 * result['accuracy']:.3f} %",
    ]


def _tflite_row(result: Result) -> list[str]:
    runs = [run["tflite"] for run in result["runs"]]
    cells = []
    for file in ("model_float32.tflite", "model.tflite", "model_int8.tflite"):
        lost = _range([run[file]["lost"] for run in runs])
        cells.append(f"{lost}; {runs[0][file]['size'] / 1000:.0f} kB")
    int8 = [run["model_int8.tflite"]["accuracy"] for run in runs]
    return [f"`{result['name']}`", *cells, f"{100 * sum(int8) / len(int8):.3f} %"]


def _command_row(result: Result) -> list[str]:
    commands = dict.fromkeys(run["command"] for run in result.get("runs", [result]))
    return [f"[{result['name']}](results/{result['name']}.json)", "<br>".join(commands)]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Return the content of all result files, each with its file's name, in this order."""
    paths = sorted(folder.glob("*.json"))
    return [json.loads(path.read_text()) | {"name": path.stem} for path in paths]


def front_page(readme: str, results: Sequence[Result]) -> str:
    """Return the README with the figures of these results and of the shipped model."""
    return with_figures(readme, figures_table(results, json.loads(SHIPPED.read_text())))


def main() -> None:
    """Write both pages."""
    results, readme = read_results(DOCS / "results"), REPOSITORY / "README.md"
    files.write_text(DOCS / "accuracy.md", accuracy_page(results))
    files.write_text(readme, front_page(readme.read_text(), results))


if __name__ == "__main__":
    main()
