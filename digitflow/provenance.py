"""Which code and which libraries do the work: what tells two runs with the same input apart."""

import contextlib
import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from digitflow import __version__

_PACKAGE = Path(__file__).resolve().parent

#: What decides the numbers that come out. A light installation lacks some of them.
_LIBRARIES = (
    *("tensorflow", "keras", "scikit-learn", "scikeras", "numpy"),
    *("pillow", "pyarrow", "ai-edge-litert"),
)

_PATIENCE = 10  # seconds that git may take


def code_version() -> dict[str, Any]:
    """Return what identifies digitflow's own code.

    Returns
    -------
    dict
        `version` of the package; `digest`, the SHA-256 of its Python files, which no commit can
        replace, because files may have been changed since; `commit`, where the package lies in a
        git checkout, and whether it was `changed` since; otherwise both are None.
    """
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--", _PACKAGE.name) if commit else None
    return {
        "version": __version__,
        "digest": code_digest(),
        "commit": commit,
        "changed": None if status is None else bool(status),
    }


def code_digest() -> str:
    """Return the SHA-256 of the names and contents of digitflow's Python files."""
    content = hashlib.sha256()
    for file in sorted(_PACKAGE.rglob("*.py")):
        content.update(f"{file.relative_to(_PACKAGE).as_posix()}\0".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()


def library_versions(*names: str) -> dict[str, str]:
    """Return the versions of digitflow, Python and libraries; what is not installed is left out.

    Parameters
    ----------
    names : str
        Distributions. Default: all that decide the numbers that come out.
    """
    found = {"digitflow": __version__, "python": platform.python_version()}
    for name in names or _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = installed_version(name)
    return found


def _git(*arguments: str) -> str | None:
    """Return what git prints; None without git, or where the package lies in no checkout.

    An installed package may lie below a checkout of something else, which tells nothing of it.
    """
    if not (_PACKAGE.parent / ".git").exists():
        return None
    command = ["git", "-C", str(_PACKAGE.parent), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
