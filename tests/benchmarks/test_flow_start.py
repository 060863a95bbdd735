import json
from argparse import Namespace
from pathlib import Path

import pytest

from digitflow.errors import DigitflowError


@pytest.mark.long
def test_each_flow_starts_and_says_nothing_beside_its_work(module, tmp_path: Path):
    seconds = module("flow_start").measure(tmp_path, rounds=1)

    assert seconds.keys() == {"bare", "empty", "score-folder", "nightly"}
    assert all(len(each) == 1 and each[0] > 0 for each in seconds.values())


def test_a_result_is_kept_with_its_ratios_and_has_a_place_on_the_page(module, tmp_path: Path):
    benchmark = module("flow_start")
    taken = {"bare": [12.0, 9.0], "empty": [10.0], "score-folder": [12.0], "nightly": [15.0]}
    rows = benchmark.summed_up(taken)

    benchmark.keep(rows, Namespace(rounds=2, output=tmp_path / "flow_start.json"))

    kept = json.loads((tmp_path / "flow_start.json").read_text())
    assert [row["ratio"] for row in kept["flow_start"]] == [1.05, 1.0, 1.2, 1.5]
    assert kept["command"] == "python benchmarks/flow_start.py --rounds 2"
    tables = module("tables")
    page = tables.accuracy_page(tables.read_results(tmp_path))
    assert "| `nightly`      | 15.0 s  | 1.50" in page


@pytest.mark.parametrize("script", ["raise SystemExit(2)", "import sys; sys.stderr.write('noise')"])
def test_a_flow_that_fails_or_says_more_ends_the_benchmark(module, tmp_path: Path, script: str):
    with pytest.raises(DigitflowError, match="ended with"):
        module("flow_start").run(["-c", script], tmp_path)
