"""Locks that die with their holder."""

import subprocess
import sys
from pathlib import Path

import pytest

from digitflow.locks import is_locked, locked

HOLD = """
import sys
from pathlib import Path
from digitflow.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_by_one_and_goes_with_its_file(tmp_path: Path):
    path = tmp_path / ".lock"
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
        with pytest.raises(BlockingIOError), locked(path):
            pass
        assert is_locked(path)
    assert not path.exists()


def test_a_lock_dies_with_its_process(tmp_path: Path):
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_locked(path)
        holder.kill()
    assert path.exists()
    assert not is_locked(path)
    with locked(path, wait=True):
        assert is_locked(path)
