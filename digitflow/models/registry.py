"""Which models there are, and which version of each is current.

`models/<name>/<version>/` is a bundle; `models/<name>/current` names the promoted version. Where
nothing was promoted yet, the bundle that comes with digitflow is current.
"""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from digitflow import settings
from digitflow.errors import UnknownModelError, UsageError
from digitflow.files import write_text
from digitflow.models.bundle import MANIFEST, Bundle

_CURRENT = "current"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model, as the registry lists it."""

    name: str  # for example "mnist"
    version: str  # for example "pretrained"
    folder: Path  # the bundle
    is_current: bool  # whether scoring takes it when only the name is given


def list_models() -> list[ModelVersion]:
    """Return every version of every model, by name and version; the bundles are not read."""
    folders: dict[tuple[str, str], Path] = {}
    # One's own models come last, and so win over a shipped one of the same name and version.
    for root in (settings.shipped_models_folder(), settings.models_folder()):
        for manifest in root.glob(f"*/*/{MANIFEST}"):
            version = manifest.parent
            if not version.name.startswith("."):
                folders[version.parent.name, version.name] = version
    return [
        ModelVersion(name, version, folder, version == current_version(name))
        for (name, version), folder in sorted(folders.items())
    ]


def find_model(model: str | None = None) -> Path:
    """Return the folder of a model's bundle.

    Parameters
    ----------
    model : str or None
        A name (its current version), `name@version`, or the path of a bundle's folder, which has
        a `/` in it. None is the default model.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    """
    if model is not None and "/" in model:
        if not Path(model, MANIFEST).is_file():
            raise UnknownModelError(f"{model}: holds no model bundle (no {MANIFEST} in it)")
        return Path(model)
    if model is None:
        model = settings.DEFAULT_MODEL
    name, _, version = model.partition("@")
    if not name:
        raise UnknownModelError(f"model {model!r}: no model name; give name or name@version")
    version = version or current_version(name) or ""
    for found in list_models():
        if (found.name, found.version) == (name, version):
            return found.folder
    raise UnknownModelError(_unknown(name, version))


def current_version(name: str) -> str | None:
    """Return the promoted version of a model, else the shipped one, else None."""
    try:
        version = (settings.models_folder() / name / _CURRENT).read_text().strip()
    except OSError:
        version = ""
    if version:
        return version
    shipped = settings.shipped_models_folder() / name / settings.PRETRAINED_VERSION
    return settings.PRETRAINED_VERSION if shipped.is_dir() else None


def promote(bundle: Bundle) -> None:
    """Make a bundle's version the current one of its name.

    Raises
    ------
    UnknownModelError
        If the bundle is not one of the registry's.
    OutputError
        If `models/<name>/current` cannot be written.
    """
    find_model(f"{bundle.name}@{bundle.version}")
    write_text(settings.models_folder() / bundle.name / _CURRENT, f"{bundle.version}\n")


def check_name(name: str) -> str:
    """Return a model's name if it can be a folder's.

    Raises
    ------
    UsageError
        If it has other characters than letters, digits, `.`, `_` and `-`, or begins otherwise.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"model name {name!r}: use up to 100 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return name


def _unknown(name: str, version: str) -> str:
    models = list_models()
    names = sorted({model.name for model in models})
    if name in names:
        versions = ", ".join(model.version for model in models if model.name == name)
        wanted = f"has no version {version!r}" if version else "has no current version"
        return f"model {name!r} {wanted}; there is {versions}"
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(names) or 'none'}"
    return f"model {name!r} is not known; {hint} (looked in {settings.models_folder().resolve()})"
