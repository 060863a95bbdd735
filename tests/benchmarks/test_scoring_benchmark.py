"""The benchmark of scoring, on few images."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from digitflow.errors import DigitflowError

Script = Callable[..., None]
Module = Callable[[str], ModuleType]

FEW = ["--images", 20, "--middle", 10, "--sample", 3, "--rounds", 1, "--dataset", "digits"]


def test_digitflow_and_the_bare_loop_are_measured(
    script: Script, module: Module, tmp_path: Path, capsys
):
    output, folder = tmp_path / "scoring.json", tmp_path / "images"

    script(
        *["scoring.py", *FEW, "--ways", "digitflow", "bare"],
        *["--folder", folder, "--output", output],
    )

    content = json.loads(output.read_text())
    measured = {(row["way"], row["what"]): row for row in content["scoring"]}
    whats = ["one", "middle", "all", "unchanged", "changed"]
    own = [("digitflow", what) for what in whats]
    assert list(measured) == [*own, *(("bare", what) for what in whats[:3])]
    assert [measured[row]["images"] for row in own] == [1, 10, 20, 20, 20]
    for row in measured.values():
        assert row["median_seconds"] == row["seconds"][0] > 0
        assert 20 < row["median_megabytes"] < 1000
    assert len(list((folder / "digits-20").rglob("*.png"))) == 20
    assert content["command"] == (
        "python benchmarks/scoring.py --images 20 --middle 10 --sample 3 --rounds 1 "
        "--ways digitflow bare --dataset digits --model mnist@pretrained --folder FOLDER"
    )
    table = module("speed_tables").scoring_table(content)
    assert table in capsys.readouterr().out
    tables = module("tables")
    assert table in tables.accuracy_page(tables.read_results(tmp_path))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_other_ways_are_measured(script: Script, tmp_path: Path, capsys):
    output = tmp_path / "scoring.json"

    script("scoring.py", *FEW, "--ways", "flow", "keras", "single", "--output", output)

    measured = {(row["way"], row["what"]): row for row in json.loads(output.read_text())["scoring"]}
    assert list(measured) == [
        *[("flow", "one"), ("flow", "all"), ("keras", "one"), ("keras", "all")],
        ("single", "sample"),
    ]
    assert measured["single", "sample"]["scaled_from"] == 3
    assert "one `predict` per image" in capsys.readouterr().out


def test_a_dask_cluster_is_measured(script: Script, tmp_path: Path, capsys):
    pytest.importorskip("distributed", reason="Dask is not installed")
    output = tmp_path / "scoring.json"

    script("scoring.py", *FEW, "--ways", "digitflow", "dask", "--output", output)

    measured = {(row["way"], row["what"]): row for row in json.loads(output.read_text())["scoring"]}
    assert measured["dask", "all"]["images"] == 20
    assert measured["dask", "all"]["median_seconds"] > 0
    assert "`--dask`, as many workers on this machine" in capsys.readouterr().out


def test_the_table_compares_whole_runs_and_tells_the_steady_pace(module: Module):
    def row(way: str, what: str, images: int, seconds: float) -> dict[str, object]:
        return {
            **{"way": way, "what": what, "images": images, "scaled_from": None},
            **{"median_seconds": seconds, "median_megabytes": 123.4},
        }

    rows = [
        *[row("digitflow", "one", 1, 0.5), row("digitflow", "middle", 10_000, 1.0)],
        *[row("digitflow", "all", 70_000, 3.0), row("digitflow", "unchanged", 70_000, 0.25)],
        *[row("keras", "one", 1, 12.0), row("keras", "all", 70_000, 21.0)],
        row("single", "sample", 70_000, 3000.0),
    ]
    result = {"scoring": rows, "data": "mnist", "model": "0" * 64, "rounds": 3, "cores": 2}

    table = module("speed_tables").scoring_table(result)

    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert ["`digitflow score`", "0.50 s", "1.00 s", "3.0 s", "23,333", "30,000"] in [
        line[:6] for line in lines
    ]
    ratios = {line[0]: line[-1] for line in lines[4:]}
    assert ratios["`image_dataset_from_directory`"] == "7.00"
    assert ratios["one `predict` per image"] == "1000.00"
    assert any(line[0] == "again, nothing changed" and line[3] == "0.2 s" for line in lines[4:])


@pytest.mark.parametrize(
    "words",
    [["--middle", 5], ["--images", 10], ["--rounds", 0], ["--sample", 0]],
)
def test_numbers_that_make_no_sense_are_refused(script: Script, words: list[object]):
    with pytest.raises(SystemExit, match="error: choose 10 <= --middle < --images"):
        script("scoring.py", *FEW, *words)


def test_a_command_that_fails_is_said(module: Module):
    failing = [sys.executable, "-c", "import sys; sys.exit('no such thing')"]

    with pytest.raises(DigitflowError, match=r"ended with 1 \(no such thing\)"):
        module("processes").run_measured(failing, {})


def test_the_memory_of_the_largest_process_is_told(module: Module):
    # Longer at work than it takes to be looked at.
    inner = "import time; x = bytearray(150_000_000)\nwhile time.process_time() < 0.5: pass"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"

    taken = module("processes").run_measured([sys.executable, "-c", outer], {})

    assert 150 < taken.megabytes < 250
    assert taken.seconds > 0.5
