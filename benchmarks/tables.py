"""Write `docs/accuracy.md` from the results in `docs/results/`.

python benchmarks/tables.py
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from digitflow import files

DOCS = Path(__file__).resolve().parents[1] / "docs"

INTRODUCTION = """\
# How accurate the networks are, and how long they take

Written by `python benchmarks/tables.py` from the files in [results/](results/), which hold each run
with its command, hyper-parameters, versions of the libraries and misread test images.

All figures are of MNIST's 10,000 test images, read once, after the last epoch. Recipes were chosen
on training writers held out, never on the test images; then all 60,000 training images were fitted
(recipes with early stopping hold a tenth of the writers out to stop by). `±` is the sample standard
deviation over seeds, where there were several. A difference of 0.09 points is within chance at
99.8 %. Other work shared the two cores, so seconds are upper bounds, comparable only roughly.

"""


def accuracy_page(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the page, Markdown, from the content of the result files."""
    networks = [result for result in results if "runs" in result and "summary" in result]
    return INTRODUCTION + "\n\n".join(
        [
            "## Accuracy\n\n" + _table(_ACCURACY, map(_accuracy_row, networks)),
            "## TFLite\n\nTest images lost against Keras, and the file's size.\n\n"
            + _table(_TFLITE, map(_tflite_row, networks)),
            "## Commands\n\n" + _table(["result", "command"], map(_command_row, networks)),
        ]
    )


_ACCURACY = ["network", "parameters", "epochs", "seeds", "test accuracy", "misread", "fit, median"]
_TFLITE = ["network", "float32", "dynamic range", "int8", "int8 accuracy"]


def _accuracy_row(result: Mapping[str, Any]) -> list[str]:
    summary, runs = result["summary"], result["runs"]
    spread = "" if summary["deviation"] is None else f" ± {100 * summary['deviation']:.3f}"
    misread = [len(run["misread"]) for run in runs]
    return [
        f"`{result['name']}`",
        f"{runs[0]['parameters']:,}",
        _range([run["epochs"] for run in runs]),
        str(summary["n"]),
        f"{100 * summary['mean']:.3f}{spread} %",
        _range(misread),
        f"{summary['fit_seconds']:,.0f} s",
    ]


def _tflite_row(result: Mapping[str, Any]) -> list[str]:
    runs = [run["tflite"] for run in result["runs"]]
    cells = []
    for file in ("model_float32.tflite", "model.tflite", "model_int8.tflite"):
        lost = _range([run[file]["lost"] for run in runs])
        cells.append(f"{lost}; {runs[0][file]['size'] / 1000:.0f} kB")
    int8 = [run["model_int8.tflite"]["accuracy"] for run in runs]
    return [f"`{result['name']}`", *cells, f"{100 * sum(int8) / len(int8):.3f} %"]


def _command_row(result: Mapping[str, Any]) -> list[str]:
    commands = dict.fromkeys(run["command"] for run in result["runs"])
    return [f"[{result['name']}](results/{result['name']}.json)", "<br>".join(commands)]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _table(heads: Sequence[str], rows: Any) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Return the content of all result files, by name."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


if __name__ == "__main__":
    page = accuracy_page(read_results(DOCS / "results"))
    files.write_text(DOCS / "accuracy.md", page)
