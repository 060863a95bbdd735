"""The benchmarks of several digits and of none."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from digitflow.images.reading import decode_image

Script = Callable[..., None]
Module = Callable[[str], ModuleType]


def test_lines_and_pages_are_measured(script: Script, module: Module, tmp_path: Path, capsys):
    output = tmp_path / "several.json"
    told = ["--dataset", "digits", "--pictures", 2, "--model", "mnist@pretrained"]

    script("several_digits.py", *told, "--output", output)

    content = json.loads(output.read_text())
    line, page = content["pages"]
    assert (line["kind"], page["kind"], page["pictures"], page["digits"]) == ("line", "page", 2, 80)
    assert page["accuracy"] > 0.7  # scikit-learn's digits are of 8×8 pixels
    assert page["whole"] + len(page["misread"]) == 2
    assert "--pictures 2 --seed 0" in content["command"]
    table = module("tables").several_digits_table(content)
    assert table in capsys.readouterr().out
    assert f"{page['accuracy']:.2%}" in table


@pytest.mark.parametrize(
    ("written", "read", "right"),
    [
        ("12\n34", "12\n34", 4),
        ("12\n34", "1234", 4),
        ("1234", "124", 3),
        ("1234", "51234", 4),
        ("1234", "", 0),
        ("12\n34", "\n", 0),
    ],
)
def test_digits_count_where_they_stand_at_their_place(module, written, read, right):
    assert module("several_digits").count_right(written, read) == right


def test_each_kind_of_no_digit_is_a_picture_made_by_its_seed_alone(module: Module):
    benchmark = module("non_digits")
    for kind in benchmark.KINDS:
        first, same, other = (
            decode_image(benchmark.paint_picture(kind, seed, 3)).pixels for seed in (0, 0, 1)
        )
        assert np.array_equal(first, same)
        assert not np.array_equal(first, other)
        assert kind == "blank" or np.ptp(first) > 60


def test_no_digits_are_measured(
    script: Script, module: Module, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DIGITFLOW_DATA", str(tmp_path))
    output = tmp_path / "none.json"

    script(
        "non_digits.py",
        *("--dataset", "digits", "--pictures", 3, "--model", "mnist@pretrained"),
        *("--output", output),
    )

    content = json.loads(output.read_text())
    kinds = {kind["kind"]: kind for kind in content["non_digits"]}
    assert [*kinds] == ["blank", "noise", "texture", "scribble", "letter", "test digit"]
    assert kinds["blank"]["statuses"] == {"blank": 3}
    assert kinds["blank"]["refused"] == 1
    assert kinds["test digit"]["refused"] < 0.7
    assert module("tables").non_digits_table(content) in capsys.readouterr().out
