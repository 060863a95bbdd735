"""Measure the soft vote of classifiers that `accuracy.py --keep` has left.

    python benchmarks/accuracy.py accurate --seeds 0 1 2 --keep FOLDER
    python benchmarks/vote.py accurate --seeds 0 1 2 --kept FOLDER

Each image gets the mean of the members' probabilities, as from scikit-learn's
`VotingClassifier(voting="soft")`. Which seeds vote is told beforehand and all count alike, so that
nothing is chosen by the test images.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keeping import RESULTS, command_line, kept_file, load_classifier, machine, write_result

from digitflow import load_dataset
from digitflow.errors import DigitflowError, UsageError
from digitflow.learning.descriptions import Estimator


def main() -> None:
    """Measure the vote that the command line asks for."""
    options = parse_arguments()
    members = load_members([kept_file(options.kept, options.name, seed) for seed in options.seeds])
    content = {
        "name": f"{options.name}_vote",
        "data": options.dataset,
        **measure_vote(members, options.seeds, options.dataset),
        "command": command_of(options),
        **machine(),
    }
    write_result(options.results / f"{content['name']}.json", content)
    alone = ", ".join(f"{member['accuracy']:.2%}" for member in content["members"])
    print(f"{content['name']}: {content['accuracy']:.2%}; its members alone: {alone}")


def parse_arguments() -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the result whose classifiers vote")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--kept", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    return parser.parse_args()


def load_members(paths: Sequence[Path]) -> list[Estimator]:
    """Return the classifiers that vote.

    Raises
    ------
    UsageError
        If one is named twice, cannot be loaded, or knows other classes than the first.
    """
    if len(set(paths)) < len(paths):
        raise UsageError("--seeds: one is named twice, but each member has one vote; name it once")
    members = [load_classifier(path) for path in paths]
    first = members[0].classes_
    for path, member in zip(paths, members, strict=True):
        if not np.array_equal(member.classes_, first):
            raise UsageError(
                f"{path}: knows the classes {member.classes_[:10].tolist()}, but {paths[0]} "
                f"{first[:10].tolist()}; members of a vote must know the same"
            )
    return members


def measure_vote(
    members: Sequence[Estimator], seeds: Sequence[int], dataset: str
) -> dict[str, Any]:
    """Return accuracy and misread test images of the vote, and of each member alone."""
    test = load_dataset(dataset, split="test")
    probabilities = [member.predict_proba(test.images) for member in members]

    def measure(found: np.ndarray) -> dict[str, Any]:
        wrong = np.flatnonzero(members[0].classes_[found.argmax(axis=1)] != test.labels)
        return {"accuracy": 1 - len(wrong) / len(test), "misread": wrong.tolist()}

    alone = zip(seeds, probabilities, strict=True)
    return {
        **measure(np.mean(probabilities, axis=0)),
        "members": [{"seed": seed, **measure(found)} for seed, found in alone],
    }


def command_of(options: argparse.Namespace) -> str:
    """Return the command, without the places of this machine."""
    told = {"seeds": options.seeds, "dataset": options.dataset, "kept": "FOLDER"}
    return command_line("vote", options.name, **told)


if __name__ == "__main__":
    try:
        main()
    except DigitflowError as error:
        sys.exit(f"error: {error}")
