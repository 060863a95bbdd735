"""The options of the training flow, and what the tuning flow's have in common with them."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field

from digitflow.datasets.catalogue import DATASETS
from digitflow.errors import UsageError

#: The networks that can be asked for; naming them here spares `--help` the import of TensorFlow.
Network = Literal[
    "fast",
    "robust",
    "accurate",
    "tiny",
    "ann",
    "mlp",
    "wide_ann",
    "conv1",
    "conv2",
    "conv5",
    "conv6",
]
NETWORK_NAMES: tuple[str, ...] = get_args(Network)

# The types of a flow's parameters, as its form shows them; the script's options have the same
# bounds.
AtLeastOne = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Share = Annotated[float, Field(gt=0, le=1)]
ValidationFraction = Annotated[float, Field(gt=0, le=0.5)]

Number = TypeVar("Number", int, float)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the script."""
    parser = argparse.ArgumentParser(
        description="Train a digit classifier: locate or download the data, prepare it, fit a "
        "network, export it to TFLite, evaluate it into reports/, and register it in models/.",
        epilog="Exit codes: 0 done; 1 training failed, or Prefect's server is not there; 2 wrong "
        "usage; 5 data unavailable or damaged; 6 output cannot be written; 130 interrupted; 143 "
        "terminated.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_data_options(parser)
    _add_training_options(parser)
    _add_registry_options(parser)
    options = parser.parse_args(arguments)
    if "parameters" in options:
        network, options.parameters = options.parameters
        if getattr(options, "network", network) != network:
            parser.error(f"--network {options.network}: --parameters are those of {network}")
        options.network = network
    return options


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every flow that trains: which data, what is held out, which seed."""
    parser.add_argument(
        "--dataset",
        metavar="NAME_OR_PATH",
        default="auto",
        help=f"{', '.join(DATASETS)}; or the path of a folder of class folders (7/scan.png), of a "
        ".csv or .npz, or of a folder of IDX files; auto takes MNIST if it is cached or can be "
        "downloaded, otherwise digits, which is scikit-learn's and needs no network",
    )
    parser.add_argument(
        "--validation-fraction",
        type=positive(float, most=0.5),
        default=0.1,
        help="share of the training images held out to calibrate and to compare models on, up to "
        "a half",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        help="of weights, order, augmentation and a search's candidates, 0 to 2^32 - 1",
    )


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        choices=NETWORK_NAMES,
        default=argparse.SUPPRESS,
        help="fast (the default), robust, accurate and tiny are convolutional, for what their "
        "names say; "
        "wide_ann has dense layers only; the others are those of tutorials, to compare with",
    )
    for name, kind, what in [
        ("epochs", positive(int), "passes over the training data"),
        ("batch-size", positive(int), "images per step"),
        ("learning-rate", positive(float), "the highest of the schedule"),
    ]:
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=argparse.SUPPRESS,
            help=f"{what} (default: the network's recipe)",
        )
    parser.add_argument(
        "--parameters",
        type=_winner,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="network and hyper-parameters from the winner.json of a search",
    )
    parser.add_argument(
        "--teacher",
        dest="teachers",
        action="append",
        default=argparse.SUPPRESS,
        metavar="MODEL",
        help="a registered model (name or name@version) whose answers are to be learned too; "
        "give it several times for an ensemble",
    )
    parser.add_argument(
        "--error-rate",
        type=positive(float, most=1),
        default=argparse.SUPPRESS,
        metavar="SHARE",
        help="a reading is `uncertain` below the confidence at which, of the other validation "
        "images, at most this share is misread (default: 0.001, one in a thousand)",
    )
    for name, what in [
        ("drawn-digits", "digits drawn in forms that MNIST lacks: a 1 with a flag, a 7 with a bar"),
        ("outliers", "drawings of no digit, which the network learns to be unsure of"),
    ]:
        parser.add_argument(
            f"--{name}",
            type=positive(int),
            default=argparse.SUPPRESS,
            metavar="N",
            help=f"train on so many {what} (default: none)",
        )


def _add_registry_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--corrections",
        action="append",
        default=argparse.SUPPRESS,
        metavar="FILE_OR_FOLDER",
        help="a CSV list of images and labels, as a review sheet saves it, to be learned as well; "
        "or a folder of such lists and of class folders, as `digitflow serve --feedback` fills it, "
        "which with a / at its end need not be there yet; give it several times for several",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="train from the beginning although a run before had the same data, options, seed and "
        "code, or was killed in it",
    )
    parser.add_argument(
        "--name",
        default=argparse.SUPPRESS,
        help="the model is registered under this name (default: the data set's)",
    )
    parser.add_argument(
        "--version",
        default=argparse.SUPPRESS,
        help="name of the new version (default: date, time and a few random digits)",
    )
    parser.add_argument(
        "--promote",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="make the new version the current one, unless it is worse or cannot be compared",
    )


def positive(kind: type[Number], most: float = math.inf) -> Callable[[str], Number]:
    """Return what reads an option that must be above 0 and at most `most`."""
    bound = f" and at most {most:g}" if math.isfinite(most) else ""

    def number(text: str) -> Number:
        value = kind(text)
        if not math.isfinite(value):
            raise ValueError(text)  # argparse says what is wrong
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(f"{text}: must be above 0{bound}")
        return value

    number.__name__ = "number" if kind is float else "whole number"
    return number


def seed(text: str) -> int:
    """Read a seed, as numpy and TensorFlow take it."""
    if not 0 <= int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"{text}: must be from 0 to 2^32 - 1")
    return int(text)


def _winner(path: str) -> tuple[str, dict[str, Any]]:
    """Read the winner of a search: its network and hyper-parameters."""
    # Imports TensorFlow, which takes seconds: only where the option is given.
    from digitflow.learning.tuning import read_winner

    try:
        return read_winner(Path(path))
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
