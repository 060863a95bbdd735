"""Which code does the work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from digitflow import __version__
from digitflow.provenance import code_digest, code_version, library_versions

SCRIPT = "import json, digitflow.provenance as p; print(json.dumps(p.code_version()))"


def facts_of(folder: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def test_a_copy_of_the_package_is_known_by_its_content(repository: Path, tmp_path: Path):
    for file in ("__init__.py", "provenance.py", "errors.py"):
        (tmp_path / "digitflow").mkdir(exist_ok=True)
        shutil.copy(repository / "digitflow" / file, tmp_path / "digitflow" / file)
    installed = facts_of(tmp_path)
    assert (installed["version"], installed["commit"]) == (__version__, None)
    assert installed["changed"] is None

    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "digitflow")
    git(tmp_path, "commit", "-qm", "all")
    committed = facts_of(tmp_path)
    assert len(committed["commit"]) == 40
    assert committed["changed"] is False
    assert committed["digest"] == installed["digest"]

    (tmp_path / "digitflow" / "errors.py").write_text("changed = 1\n")
    changed = facts_of(tmp_path)
    assert changed["commit"] == committed["commit"]
    assert changed["changed"] is True
    assert changed["digest"] != committed["digest"]


def test_this_code_has_a_digest():
    assert code_version()["digest"] == code_digest()
    assert len(code_digest()) == 64


def test_what_is_not_installed_is_left_out():
    assert library_versions("numpy", "no-such-library").keys() == {"digitflow", "python", "numpy"}
    assert "pillow" in library_versions()
