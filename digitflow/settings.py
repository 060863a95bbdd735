"""Where things are: the one home of every default path.

Each folder can be moved by an environment variable, read when it is asked for and not at import.
"""

import os
from pathlib import Path

#: The model that scoring and `digitflow predict` use unless another is named.
DEFAULT_MODEL = "mnist"

#: The version name of the bundle that comes with digitflow.
PRETRAINED_VERSION = "pretrained"

#: The environment of worker processes: more threads of numerical libraries in each would only get
#: in each other's way.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def data_folder() -> Path:
    """Return the cache of data sets: `DIGITFLOW_DATA`, or `data/` in the current folder."""
    return Path(os.environ.get("DIGITFLOW_DATA") or "data")


def prepared_folder() -> Path:
    """Return where prepared data sets are kept: `DIGITFLOW_PREPARED`, or `data/prepared/`.

    Not below `DIGITFLOW_DATA`, which may be a read-only cache shared by several people.
    """
    return Path(os.environ.get("DIGITFLOW_PREPARED") or "data/prepared")


def reports_folder() -> Path:
    """Return where runs leave their reports: `DIGITFLOW_REPORTS`, or `reports/`."""
    return Path(os.environ.get("DIGITFLOW_REPORTS") or "reports")


def models_folder() -> Path:
    """Return where trained models live: `DIGITFLOW_MODELS`, or `models/`."""
    return Path(os.environ.get("DIGITFLOW_MODELS") or "models")


def cache_folder() -> Path:
    """Return where what can be made again is kept: `DIGITFLOW_CACHE`, or the user's own cache."""
    users = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("DIGITFLOW_CACHE") or users / "digitflow").expanduser()


def shipped_models_folder() -> Path:
    """Return the folder of the bundle that comes with digitflow, in a wheel or in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "pretrained"
    return installed if installed.is_dir() else package.parent / "models"
