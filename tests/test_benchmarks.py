import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=repository,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_the_page_of_figures_is_that_of_the_results(repository: Path):
    page = (repository / "docs" / "accuracy.md").read_text()
    script = "import sys; sys.path.insert(0, 'benchmarks'); import tables; "
    script += "print(tables.accuracy_page(tables.read_results(tables.DOCS / 'results')), end='')"

    written = run(repository, "-c", script)

    assert written.returncode == 0, written.stderr
    assert written.stdout == page


@pytest.fixture(scope="module")
def results(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.mark.long
def test_each_seed_is_recorded_once(repository: Path, results: Path):
    command = ["benchmarks/accuracy.py", "tiny", "--dataset", "digits", "--epochs", "2"]
    command += ["--results", str(results), "--keep", str(results / "kept"), "--seeds"]

    first = run(repository, *command, "3")
    again = run(repository, *command, "3", "4")

    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert "tiny seed 3: recorded before" in again.stdout
    content = json.loads((results / "tiny.json").read_text())
    assert [run["seed"] for run in content["runs"]] == [3, 4]
    assert content["summary"]["n"] == 2
    for run_of_seed in content["runs"]:
        misread = len(run_of_seed["misread"])
        assert run_of_seed["accuracy"] == pytest.approx(1 - misread / 360)
        assert run_of_seed["command"].startswith("python benchmarks/accuracy.py tiny")
    assert sorted(path.name for path in (results / "kept").iterdir()) == [
        "tiny-3.joblib",
        "tiny-4.joblib",
    ]


@pytest.mark.long
def test_clocks_of_two_networks_stand_side_by_side(repository: Path, tmp_path: Path):
    output = tmp_path / "clocks.json"

    timed = run(
        repository,
        *["benchmarks/training.py", "--dataset", "digits", "--networks", "fast", "conv1"],
        *["--output", str(output)],
    )

    assert timed.returncode == 0, timed.stderr
    fast, conv1 = json.loads(output.read_text())["networks"]
    assert fast["fit_seconds"] > 0
    assert conv1["compile_seconds"] > 0
    assert "to 99.4%" in timed.stdout
