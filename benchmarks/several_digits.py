"""Measure how many digits of lines and pages are found, in order and right.

    python benchmarks/several_digits.py --output docs/results/several_digits.json
    python benchmarks/several_digits.py --split train --pictures 40

Lines hold 1 to 10 digits of MNIST, pages 5 lines of 8. Every picture draws its own scale, the
spread of the digits' sizes, the space between them (2 px and more between their boxes), noise and
polarity. A digit counts if it stands at its place in the best alignment of what was read with what
was written, line breaks included. `--split train` is for development: nothing may be chosen by what
the test digits say.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from keeping import command_line, machine, write_result
from painting import cut, enlarge, to_png
from picture_tables import several_digits_table

from digitflow import load_dataset
from digitflow.datasets.loading import SPLITS, Dataset
from digitflow.errors import DigitflowError
from digitflow.models.reader import DigitReader, spell

#: Lines of each kind of picture, and digits on each, at least and at most.
KINDS = {"line": (1, (1, 10)), "page": (5, (8, 8))}


@dataclass(frozen=True)
class Page:
    """A picture of digits and what it says."""

    name: str
    content: bytes  # of the image file
    text: str  # its lines


def main() -> None:
    """Measure what the command line asks for."""
    options = parse_arguments()
    data = load_dataset(options.dataset, split=options.split)
    reader = DigitReader(options.model)
    kinds, wrong = [], []
    for kind in KINDS:
        pages = [paint_page(data, kind, options.seed, n) for n in range(options.pictures)]
        read = [spell(reader.read_all(page.content)) for page in pages]
        kinds.append(describe(kind, pages, read))
        wrong += [(page, text) for page, text in zip(pages, read, strict=True) if page.text != text]
    content = {
        "model": reader.model_id,
        "data": f"{options.dataset}, {options.split}",
        "seed": options.seed,
        "pages": kinds,
        "command": command_of(options),
        **machine(),
    }
    print(several_digits_table(content))
    for page, text in wrong:
        print(f"{page.name}: {page.text!r}, read {text!r}")
    if options.output:
        write_result(options.output, content)


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="name, name@version or folder (default: the current one)")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--pictures", type=int, default=100, help="of each kind (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures")
    parser.add_argument("--output", type=Path, metavar="FILE", help="record the result here, JSON")
    return parser.parse_args()


def paint_page(data: Dataset, kind: str, seed: int, number: int) -> Page:
    """Return a picture of digits, always the same for its kind, seed and number."""
    random = np.random.default_rng([seed, list(KINDS).index(kind), number])
    n_lines, (fewest, most) = KINDS[kind]
    scale, spread = random.uniform(1.2, 6), random.uniform(0, 0.25)
    space = random.choice([3, 10, 30])
    lines, texts = [], []
    for _ in range(n_lines):
        chosen = random.integers(0, len(data), random.integers(fewest, most + 1))
        sizes = scale * (1 + random.uniform(-spread, spread, len(chosen)))
        digits = [
            cut(enlarge(data.images[index], size))
            for index, size in zip(chosen, sizes, strict=True)
        ]
        lines.append(paint_line(digits, space, random))
        texts.append("".join(data.class_names[data.labels[index]] for index in chosen))
    width = max(line.shape[1] for line in lines)
    gap = round(random.uniform(2, 12 * scale))
    ink = np.vstack([np.pad(line, ((0, gap), (0, width - line.shape[1]))) for line in lines])
    ink = np.pad(ink, round(random.uniform(3, 12 * scale))) / 255
    picture = random.uniform(215, 250) * (1 - random.uniform(0.6, 0.9) * ink)
    if random.random() < 0.3:
        picture = 255 - picture
    picture += random.uniform(0, 6) * random.standard_normal(picture.shape)
    return Page(f"{kind} {number}", to_png(picture), "\n".join(texts))


def paint_line(digits: Sequence[np.ndarray], space: int, random: np.random.Generator) -> np.ndarray:
    """Put digits side by side, at least 2 px apart, none quite as high up as another."""
    height = round(1.15 * max(len(digit) for digit in digits))
    parts = []
    for digit in digits:
        above = int(random.integers(0, height - len(digit) + 1))
        right = int(random.integers(2, space + 1))
        parts.append(np.pad(digit, ((above, height - len(digit) - above), (0, right))))
    return np.hstack(parts)


def describe(kind: str, pages: Sequence[Page], read: Sequence[str]) -> dict[str, Any]:
    """Return what is recorded of one kind of picture."""
    digits = sum(len(page.text.replace("\n", "")) for page in pages)
    right = sum(map(count_right, (page.text for page in pages), read))
    return {
        "kind": kind,
        "pictures": len(pages),
        "digits": digits,
        "accuracy": right / digits,
        "whole": sum(page.text == text for page, text in zip(pages, read, strict=True)),
        "misread": [
            {"name": page.name, "text": page.text, "read": text}
            for page, text in zip(pages, read, strict=True)
            if page.text != text
        ],
    }


def count_right(written: str, read: str) -> int:
    """Return how many digits of a text stand at their place in what was read."""
    blocks = SequenceMatcher(None, written, read, autojunk=False).get_matching_blocks()
    same = "".join(written[block.a : block.a + block.size] for block in blocks)
    return len(same.replace("\n", ""))


def command_of(options: argparse.Namespace) -> str:
    """Return the command, without what only shows more."""
    return command_line("several_digits", **vars(options) | {"output": None})


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
