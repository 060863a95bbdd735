"""The notebook, run as it is stored: its code is plain Python, so that no Jupyter is needed."""

import json
from pathlib import Path

import pytest
from documents import environment_of, run_python


@pytest.mark.long
def test_the_notebook_runs(repository: Path, tmp_path: Path):
    notebook = json.loads((repository / "docs" / "notebooks" / "digits.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    (tmp_path / "digitflow").symlink_to(repository / "digitflow")
    check = "assert reader.predict(pictures).tolist() == [2, 7]\nassert scores.mean() > 0.6"

    blocks = ["".join(cell["source"]) for cell in cells]
    printed = run_python([*blocks, check], tmp_path, environment_of(tmp_path))

    assert "accuracy" in "".join(printed)
