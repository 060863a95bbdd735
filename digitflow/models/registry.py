"""Which models there are, and which version of each is current.

`models/<name>/<version>/` is a bundle; `models/<name>/current` names the promoted version. Where
nothing was promoted yet, the bundle that comes with digitflow is current.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

from digitflow import settings
from digitflow.errors import UnknownModelError, UsageError
from digitflow.models.bundle import CURRENT, MANIFEST, find_name_problem
from digitflow.models.guarded_files import read_regular_file

_CURRENT_LIMIT = 1000  # bytes; a version's name has less


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model, as the registry lists it."""

    name: str  # for example "mnist"
    version: str  # for example "pretrained"
    folder: Path  # the bundle
    is_current: bool  # whether scoring takes it when only the name is given


def list_models() -> list[ModelVersion]:
    """Return every version of every model, by name and version; the bundles are not read.

    Raises
    ------
    UsageError
        If the models folder cannot be read.
    UnknownModelError
        If it cannot be told which version of a model is current.
    """
    return [
        ModelVersion(name, version, folder, version == current_version(name))
        for (name, version), folder in sorted(find_versions().items())
    ]


def find_model(model: str | Path | None = None) -> Path:
    """Return the folder of a model's bundle.

    Parameters
    ----------
    model : str, Path or None
        A name (its current version), `name@version`, or a bundle's folder: a Path, or a string
        with a `/` in it. None is the default model.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    UsageError
        If the models folder cannot be read.
    """
    if isinstance(model, Path) or (model is not None and "/" in model):
        return _check_folder(Path(model))
    if model is None:
        model = settings.DEFAULT_MODEL
    name, _, version = model.partition("@")
    if not name:
        raise UnknownModelError(f"model {model!r}: no model name; give name or name@version")
    versions = find_versions()
    if not version and any(known == name for known, _ in versions):
        version = current_version(name) or ""
    if (name, version) not in versions:
        raise UnknownModelError(_unknown(name, version, sorted(versions)))
    return versions[name, version]


def current_version(name: str) -> str | None:
    """Return the promoted version of a model, else the shipped one, else None.

    Raises
    ------
    UnknownModelError
        If `models/<name>/current` cannot be read.
    """
    path = settings.models_folder() / name / CURRENT
    try:
        version = b"".join(read_regular_file(path, _CURRENT_LIMIT)).decode().strip()
    except (FileNotFoundError, NotADirectoryError):
        version = ""
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise UnknownModelError(
            f"{path}: cannot be read ({why}); write a version's name into it, or move it away"
        ) from error
    if version:
        return version
    shipped = settings.shipped_models_folder() / name / settings.PRETRAINED_VERSION
    return settings.PRETRAINED_VERSION if shipped.is_dir() else None


def check_name(name: str, what: str = "model name") -> str:
    """Return the name of a model, a version or a search if it can be a folder's.

    Parameters
    ----------
    name : str
    what : str
        What it names, for the message: "version", "model name" or what else names a folder.

    Raises
    ------
    UsageError
        If it has other characters than letters, digits, `.`, `_` and `-`, begins otherwise, or is
        a version called `current`.
    """
    if problem := find_name_problem(what, name):
        raise UsageError(f"{problem}; choose another")
    return name


def find_versions() -> dict[tuple[str, str], Path]:
    """Return the folder of every version, by name and version."""
    # One's own models come last, and so win over a shipped one of the same name and version.
    roots = (settings.shipped_models_folder(), settings.models_folder())
    return {
        (folder.parent.name, folder.name): folder
        for root in roots
        for folder in _find_bundles(root)
        # Drafts, for example, are not versions.
        if not find_name_problem("version", folder.name)
        and not find_name_problem("name", folder.parent.name)
    }


def _find_bundles(root: Path) -> list[Path]:
    try:
        next(root.iterdir(), None)  # says why it cannot be read, which glob does not
        return [manifest.parent for manifest in root.glob(f"*/*/{MANIFEST}")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UsageError(
            f"{root}: cannot be read ({error.strerror}); make it readable, or choose another "
            "folder of models with DIGITFLOW_MODELS"
        ) from error


def _check_folder(folder: Path) -> Path:
    try:
        is_bundle = (folder / MANIFEST).is_file()
    except OSError as error:
        raise UnknownModelError(
            f"{folder}: cannot be read ({error.strerror}); make it readable or name another folder"
        ) from error
    if not is_bundle:
        raise UnknownModelError(f"{folder}: holds no model bundle (no {MANIFEST} in it)")
    return folder


def _unknown(name: str, version: str, known: list[tuple[str, str]]) -> str:
    names = sorted({name for name, _ in known})
    if name in names:
        versions = ", ".join(each for model, each in known if model == name)
        wanted = f"has no version {version!r}" if version else "has no current version"
        return f"model {name!r} {wanted}; there is {versions}"
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(names) or 'none'}"
    return f"model {name!r} is not known; {hint} (looked in {settings.models_folder().resolve()})"
