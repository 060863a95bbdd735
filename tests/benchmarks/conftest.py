import importlib
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what runs a benchmark as the command line does, in this process."""
    folder = repository / "benchmarks"
    monkeypatch.syspath_prepend(folder)

    def run(name: str, *words: object) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        runpy.run_path(str(folder / name), run_name="__main__")

    return run


@pytest.fixture
def module(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return what imports a benchmark."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module
