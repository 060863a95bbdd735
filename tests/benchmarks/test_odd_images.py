import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Script = Callable[..., None]
Module = Callable[[str], ModuleType]


@pytest.fixture
def pictures(repository: Path, tmp_path: Path) -> Path:
    """Return a folder with a picture, half of it, and no picture in a folder of its own."""
    folder = tmp_path / "pictures"
    (folder / "text").mkdir(parents=True)
    (folder / "MANIFEST.csv").write_text("file\n")
    whole = folder / "whole.png"
    shutil.copy(repository / "tests" / "images" / "seven.png", whole)
    (folder / "half.png").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (folder / "text" / "text.png").write_text("no picture")
    return folder


def test_every_file_has_a_row(
    script: Script, pictures: Path, tmp_path: Path, capsys, module: Module
):
    output = tmp_path / "odd.json"

    script("odd_images.py", pictures, "--output", output)

    content = json.loads(output.read_text())
    assert {row["file"]: row["outcome"] for row in content["files"]} == {
        "half.png": "truncated",
        "text/text.png": "unsupported_format",
        "whole.png": "read",
    }
    assert all(row["seconds"] >= 0 and row["megabytes"] >= 0 for row in content["files"])
    assert content["files"][-1]["megabytes"] > 0
    assert content["command"] == "python benchmarks/odd_images.py FOLDER"
    tables = module("tables")
    table = tables.odd_images_table(content)
    assert table in capsys.readouterr().out
    assert table in tables.accuracy_page(tables.read_results(tmp_path))


def test_a_file_that_crashes_hangs_or_takes_too_much_fails(
    script: Script, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys, module: Module
):
    odd_images = module("odd_images")
    monkeypatch.setattr(odd_images, "_PATIENCE", 0.01)
    hung = odd_images.read_alone(pictures, pictures / "whole.png")
    monkeypatch.setattr("sys.executable", "/bin/false")
    monkeypatch.setattr(odd_images, "_PATIENCE", 60)
    crashed = odd_images.read_alone(pictures, pictures / "whole.png")
    within = {"file": "a", "outcome": "read", "seconds": 1.0, "megabytes": 300.0}

    assert (hung["outcome"], crashed["outcome"]) == ("hung", "crashed")
    assert odd_images.is_too_much(hung)
    assert odd_images.is_too_much(crashed)
    assert not odd_images.is_too_much(within)
    assert odd_images.is_too_much(within | {"seconds": 1.1})
    assert odd_images.is_too_much(within | {"megabytes": 300.1})
    with pytest.raises(SystemExit) as raised:
        script("odd_images.py", pictures)
    assert raised.value.code == 1
    assert "text/text.png: crashed" in capsys.readouterr().out


def test_a_folder_without_files_is_refused(script: Script, tmp_path: Path):
    with pytest.raises(SystemExit, match=r"error: .*: holds no files"):
        script("odd_images.py", tmp_path)
