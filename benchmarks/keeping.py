"""What the benchmarks leave behind: results, the machine they are of, and fitted classifiers."""

import json
import shlex
from pathlib import Path
from typing import Any

import joblib
from tables import DOCS

from digitflow import files
from digitflow.errors import UsageError
from digitflow.learning.descriptions import Estimator
from digitflow.learning.drafts import library_versions

RESULTS = DOCS / "results"


def machine() -> dict[str, Any]:
    """Return what decides times, beside the work itself: libraries, cores, device."""
    import tensorflow as tf  # after digitflow.learning, which keeps it quiet

    gpus = tf.config.list_physical_devices("GPU")
    device = "CPU"
    if gpus:
        device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return {"libraries": library_versions(), "cores": joblib.cpu_count(), "device": device}


def command_line(script: str, *words: str, **told: Any) -> str:
    """Return the command that makes a result, without the places of this machine.

    Parameters
    ----------
    script : str
        The benchmark's name.
    *words : str
        What stands without a name.
    **told : str, number, list of them, or None
        Options by name; those that are None or empty are left out.
    """
    command = ["python", f"benchmarks/{script}.py", *words]
    for name, value in told.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        command += [f"--{name}", *map(str, values)] if values else []
    return shlex.join(command)


def write_result(path: Path, content: dict[str, Any]) -> None:
    """Write a result file anew."""
    files.write_text(path, json.dumps(content, indent=1) + "\n")


def kept_file(folder: Path, name: str, seed: int) -> Path:
    """Return where the classifier of a result's name and a seed is kept."""
    return folder / f"{name}-{seed}.joblib"


def load_classifier(path: Path) -> Estimator:
    """Return a fitted classifier that joblib has kept; loading runs code, so take only your own.

    Raises
    ------
    UsageError
        If the file cannot be read, or holds something else.
    """
    try:
        found = joblib.load(path)
    except Exception as error:  # a damaged pickle can raise anything
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        why = " ".join(said.split())
        raise UsageError(
            f"{path}: cannot be read ({why}); fit it with accuracy.py --keep"
        ) from error
    if not isinstance(found, Estimator) or not hasattr(found, "network_"):
        kind = type(found).__name__
        raise UsageError(f"{path}: holds no fitted classifier of digitflow, but a {kind}")
    return found
