"""The linters, which are programs and not modules."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Return what finds a program of this environment; skips where it was not installed."""

    def find(name: str) -> str:
        beside = Path(sys.executable).with_name(name)
        found = str(beside) if beside.exists() else shutil.which(name)
        if found is None:
            pytest.skip(f'needs {name}: pip install -e ".[test]"')
        return found

    return find
