"""The two rules of the house, and the direction of its imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

#: From the ground up; a room may import from lower floors and from itself.
FLOORS = [
    {"errors"},
    {"alerting", "console", "files", "locks", "provenance", "settings", "signals"},
    {"images", "evaluation"},
    {"models", "datasets", "drawing"},
    {"learning", "runs", "scoring", "web"},
    {"commands"},
    {"cli"},
    {"__main__", "__init__"},
]
HEAVY = [
    *["tensorflow", "keras", "sklearn", "matplotlib", "seaborn", "prefect", "pandas"],
    *["dask", "distributed"],
]
LIGHT = [
    "digitflow",
    "digitflow.scoring.drift",
    "digitflow.scoring.folder",
    "digitflow.scoring.remote",
    "digitflow.models.predictor",
    "digitflow.models.reader",
    "digitflow.images.reading",
    "digitflow.images.normalising",
    "digitflow.runs.comparing",
    "digitflow.runs.recording",
    "digitflow.cli",
    "digitflow.web.api",
    "digitflow.web.predicting",
    "digitflow.web.server",
]


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def rooms(repository: Path) -> list[tuple[Path, str]]:
    package = repository / "digitflow"
    files = [file for file in package.rglob("*.py") if "pretrained" not in file.parts]
    return [(file, file.relative_to(package).parts[0].removesuffix(".py")) for file in files]


def test_only_flows_import_prefect(repository: Path):
    found = [file for file, _ in rooms(repository) if {"prefect"} & {*imports_of(file)}]

    assert found == []
    assert any("prefect" in imports_of(file) for file in (repository / "flows").glob("*.py"))


def test_imports_point_downward(repository: Path):
    upward = []
    for file, room in rooms(repository):
        if room == "__init__":  # hands out names lazily, and imports nothing when it is imported
            continue
        for name in imports_of(file):
            parts = name.split(".")
            if parts[0] != "digitflow" or len(parts) < 2 or parts[1].startswith("__"):
                continue
            target = parts[1]
            if target != room and floor_of(target) >= floor_of(room):
                upward.append(f"{file.relative_to(repository)} imports {name}")

    assert upward == []


@pytest.mark.parametrize("module", LIGHT)
def test_the_scoring_path_is_light(module: str):
    script = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_the_processes_that_read_for_the_server_know_nothing_of_the_web():
    web = ["fastapi", "starlette", "pydantic", "uvicorn", "prometheus_client"]
    script = f"import sys, digitflow.web.predicting; print([m for m in {web} if m in sys.modules])"

    assert run_python(script).stdout.strip() == "[]"


def test_reading_a_digit_stays_light(pristine_bundle: Path):
    script = (
        "import sys, numpy, digitflow; "
        f"p = digitflow.Predictor.load({str(pristine_bundle)!r}); "
        "p.predict_proba(numpy.zeros((1, 28, 28), numpy.uint8)); "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_every_public_name_is_there():
    import digitflow

    assert sorted(digitflow._HOMES) == digitflow.__all__
    for name in digitflow.__all__:
        assert getattr(digitflow, name).__name__ == name
    assert set(digitflow.__all__) <= set(dir(digitflow))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = digitflow.no_such_name
