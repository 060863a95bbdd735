from pathlib import Path

import pytest

from digitflow.errors import DigitflowError


@pytest.mark.long
def test_each_flow_starts_and_says_nothing_beside_its_work(module, tmp_path: Path):
    seconds = module("flow_start").measure(tmp_path, rounds=1)

    assert seconds.keys() == {"empty", "score-folder", "nightly"}
    assert all(len(each) == 1 and each[0] > 0 for each in seconds.values())


@pytest.mark.parametrize("script", ["raise SystemExit(2)", "import sys; sys.stderr.write('noise')"])
def test_a_flow_that_fails_or_says_more_ends_the_benchmark(module, tmp_path: Path, script: str):
    with pytest.raises(DigitflowError, match="ended with"):
        module("flow_start").run(["-c", script], tmp_path)
