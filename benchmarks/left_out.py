"""Measure sources of real digits with a network that learned nothing made after them.

    python benchmarks/left_out.py --output docs/results/left_out.json

Some of the written forms that `digitflow.drawing` draws were added after pictures of a source were
seen. For each such source, a network is trained without these forms, and one with all of them, both
by the same recipe: what the first reads tells what to expect of a source that nobody has seen.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from judging import normalised
from keeping import command_line, machine, write_result
from picture_tables import left_out_table
from real_images import Row, choose_rows, read_labels

from digitflow import load_dataset, make_classifier, settings
from digitflow.drawing.digit_forms import FORMS
from digitflow.drawing.digits import Forms, draw_digits
from digitflow.drawing.outliers import draw_outliers
from digitflow.errors import DigitflowError
from digitflow.images.placing import SIDE
from digitflow.images.reading import read_image

#: Source -> words in the names of the forms that were added after it was seen.
SUGGESTED: dict[str, Sequence[str]] = {
    "a": ("square",),
    "j": ("flag", "upstroke", "swung back", "hooked"),
}


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    folder = options.folder or settings.data_folder() / "real-digits"
    asked = options.sources or list(SUGGESTED)
    rows = {source: choose_rows(read_labels(folder), [source], None) for source in asked}
    pictures = {source: prepare(folder, of_source) for source, of_source in rows.items()}
    everything = train(FORMS, options)
    sources = []
    for source, (images, labels) in pictures.items():
        without = train(forms_without(SUGGESTED.get(source, ())), options)
        found = {
            "source": source,
            "pictures": len(labels),
            "left_out": list(SUGGESTED.get(source, ())),
            "with_all": float(np.mean(everything.predict(images) == labels)),
            "without": float(np.mean(without.predict(images) == labels)),
        }
        print(f"{source}: {found['with_all']:.1%} with all, {found['without']:.1%} without")
        sources.append(found)
    content = {
        "data": folder.name,
        "left_out": sources,
        "network": options.network,
        "epochs": everything.epochs,
        "command": command_of(options),
        **machine(),
    }
    print(left_out_table(content))
    if options.output:
        write_result(options.output, content)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", help="default: real-digits in the data folder"
    )
    parser.add_argument("--sources", nargs="+", metavar="SOURCE", help="measure these alone")
    parser.add_argument("--network", default="robust")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--drawn-digits", type=int, default=20_000, help="default: 20000")
    parser.add_argument("--outliers", type=int, default=30_000, help="default: 30000")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    return parser.parse_args()


def prepare(folder: Path, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Return a source's pictures in MNIST's form (n, 28, 28), black where none is found; labels."""
    found = [normalised(read_image, folder / row["path"]) for row in rows]
    images = [np.zeros((SIDE, SIDE), np.uint8) if image is None else image for image in found]
    return np.stack(images), np.array([int(row["label"]) for row in rows])


def forms_without(words: Sequence[str]) -> Forms:
    """Return the forms whose names hold none of some words."""
    return {
        digit: {
            name: form for name, form in forms.items() if not any(word in name for word in words)
        }
        for digit, forms in FORMS.items()
    }


def train(forms: Forms, options: argparse.Namespace) -> Any:
    """Return a classifier that learned the data set, digits in some forms, and what is no digit."""
    data = load_dataset(options.dataset)
    drawn, digits = draw_digits(options.drawn_digits, 0, forms)
    told: Mapping[str, Any] = {} if options.epochs is None else {"epochs": options.epochs}
    classifier = make_classifier(options.network, random_state=0, **told)
    return classifier.fit(
        np.concatenate([data.images, drawn]),
        np.concatenate([data.labels, digits]),
        outliers=draw_outliers(options.outliers, 0),
    )


def command_of(options: argparse.Namespace) -> str:
    """Return the command, without the places of this machine."""
    folder = ["FOLDER"] if options.folder else []
    names = ("sources", "network", "dataset", "epochs", "drawn_digits", "outliers")
    told = {name.replace("_", "-"): getattr(options, name) for name in names}
    return command_line("left_out", *folder, **told)


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
