"""A file system with Python and little else, made of this machine's own files.

It stands for the image `python:3.11-slim`, and has less than that: a shell, what adds a user,
Python's standard library, pip, and the libraries that these are linked with.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

_PROGRAMS = ("sh", "env", "useradd", "install")
# Every Debian has them, since they are the C library's, or its package manager needs them. Wheels
# rely on that.
_LIBRARIES = (
    *("libpthread.so.0", "librt.so.1", "libdl.so.2", "libm.so.6", "libutil.so.1"),
    *("libresolv.so.2", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1"),
)
_LEFT_OUT = ("site-packages", "dist-packages", "test", "idlelib", "tkinter", "ensurepip")


def make_base(root: Path) -> Path:
    """Fill a new folder, and return it."""
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (root / folder).mkdir(parents=True)
        (root / Path(folder).name).symlink_to(folder)
    for folder in ("dev", "proc", "etc", "root", "wheels", "usr/local/bin"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    shutil.copy("/etc/login.defs", root / "etc")  # in which range numbers of users are
    programs = [Path(shutil.which(name) or name) for name in _PROGRAMS]
    for program in programs:
        _put(root, program)
    python = _put_python(root)
    extensions = (root / "usr/local/lib").rglob("*.so")
    for library in sorted(_libraries_of([*programs, python, *extensions])):
        _put(root, library)
    subprocess.run(["/sbin/ldconfig", "-r", root], check=True)
    return root


def _put(root: Path, file: Path) -> None:
    """Copy a file to its own place, by whatever links that place is reached."""
    target = root / file.parent.resolve().relative_to("/") / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)


def _put_python(root: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = Path(sys.base_exec_prefix, "bin", version).resolve()
    local = root / "usr/local"
    shutil.copy(binary, local / "bin" / version)
    for name in ("python", "python3"):
        (local / "bin" / name).symlink_to(version)
    library = local / "lib" / version
    ignored = shutil.ignore_patterns(*_LEFT_OUT, "config-*", "__pycache__")
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=ignored)
    pip = find_spec("pip")
    assert pip is not None
    assert pip.origin is not None
    shutil.copytree(Path(pip.origin).parent, library / "site-packages/pip")
    return binary


def _libraries_of(files: list[Path]) -> set[Path]:
    told = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    found = {Path(name) for name in re.findall(r"(/\S+) \(0x", told)}
    system = next(each.parent for each in found if each.name.startswith("libc.so"))
    return found | {system / name for name in _LIBRARIES}
