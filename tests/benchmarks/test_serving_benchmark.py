"""The benchmark of serving, with few clients and little time."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[..., None]
Module = Callable[[str], ModuleType]

FEW = ["--seconds", 1, "--clients", 4, "--dataset", "digits"]


def test_a_server_is_measured(script: Script, module: Module, tmp_path: Path, capsys):
    output = tmp_path / "serving.json"

    script("serving.py", *FEW, "--ways", "digitflow", "--output", output)

    content = json.loads(output.read_text())
    assert [row["load"] for row in content["serving"]] == ["png", "jpeg", "both"]
    for row in content["serving"]:
        assert set(row["statuses"]) == {"200"}
        assert set(row["health_statuses"]) == {"200"}
        for kind, rate in row["images_per_second"].items():
            assert rate > 0
            times = row["milliseconds"][kind]
            assert 0 < times["p50"] <= times["p99"] <= times["most"]
        assert row["after"]["open_files"] <= row["before"]["open_files"]
        assert 20 < row["after"]["megabytes"] < 1000
    table = module("speed_tables").serving_table(content)
    assert table in capsys.readouterr().out
    tables = module("tables")
    assert table in tables.accuracy_page(tables.read_results(tmp_path))


@pytest.mark.long
def test_the_plainest_server_is_measured(script: Script, tmp_path: Path, capsys):
    output = tmp_path / "serving.json"

    script("serving.py", *FEW, "--loads", "png", "--output", output)

    rows = json.loads(output.read_text())["serving"]
    assert [row["way"] for row in rows] == ["digitflow", "plain"]
    assert all(set(row["statuses"]) == {"200"} for row in rows)
    assert "`plain`" in capsys.readouterr().out


def test_the_pictures_are_what_they_are_said_to_be(module: Module):
    import io

    from PIL import Image

    requests = module("serving").make_requests("digits", seed=0)

    sizes = {
        kind: {
            Image.open(io.BytesIO(each.partition(b'"image"\r\n\r\n')[2])).size
            for each in requests[kind]
        }
        for kind in requests
    }
    assert sizes == {"png": {(28, 28)}, "jpeg": {(1152, 864)}}
    assert requests == module("serving").make_requests("digits", seed=0)


def test_numbers_that_make_no_sense_are_refused(script: Script):
    with pytest.raises(SystemExit, match="error: choose --clients from 2 on"):
        script("serving.py", *FEW, "--clients", 1)
