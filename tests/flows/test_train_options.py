"""What the command lines accept, and what they say of the rest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from train_options import parse_arguments

WINNER = {"network": "tiny", "parameters": {"batch_size": 64, "augmentation": {"shift": 1}}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "argument --epochs: 0: must be above 0\n"),
        (["--drawn-digits", "0"], "argument --drawn-digits: 0: must be above 0\n"),
        (["--error-rate", "2"], "argument --error-rate: 2: must be above 0 and at most 1\n"),
        (["--outliers", "few"], "argument --outliers: invalid whole number value: 'few'\n"),
        (["--learning-rate", "inf"], "argument --learning-rate: invalid number value: 'inf'\n"),
        (["--learning-rate", "nan"], "argument --learning-rate: invalid number value: 'nan'\n"),
        (["--seed", "4294967296"], "argument --seed: 4294967296: must be from 0 to 2^32 - 1\n"),
        (["--seed", "x"], "argument --seed: invalid seed value: 'x'\n"),
        (["--parameters", "gone.json"], "argument --parameters: gone.json: holds no winner of a"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        parse_arguments(arguments)

    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_the_winner_of_a_search_brings_its_network(tmp_path: Path):
    path = tmp_path / "winner.json"
    path.write_text(json.dumps(WINNER))

    options = parse_arguments(["--parameters", str(path)])

    assert (options.network, options.parameters) == ("tiny", WINNER["parameters"])
    assert parse_arguments(["--parameters", str(path), "--network", "tiny"]) == options
    with pytest.raises(SystemExit):
        parse_arguments(["--parameters", str(path), "--network", "fast"])


def test_what_is_not_told_is_left_to_the_flow():
    assert vars(parse_arguments([])) == {
        "dataset": "auto",
        "validation_fraction": 0.1,
        "seed": 0,
        "promote": True,
        "fresh": False,
    }


@pytest.mark.parametrize("script", ["train_flow.py", "tune_flow.py"])
def test_the_help_does_not_wait_for_tensorflow(script: str, repository: Path, prefect_home: Path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(repository / "flows" / script), "--help"],
        env=os.environ | {"PREFECT_HOME": str(prefect_home)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "train_options" in done.stderr  # it names what was imported
    assert "tensorflow" not in done.stderr
