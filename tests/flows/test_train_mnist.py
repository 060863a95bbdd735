"""The training flow on MNIST itself, held to what the README promises."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("network", "at_least"), [("fast", 0.994), ("ann", 0.98)])
def test_mnist_in_four_minutes(
    network: str, at_least: float, repository: Path, shared_data: Path, tmp_path: Path, prefect_home
):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DIGITFLOW")},
        "DIGITFLOW_DATA": str(shared_data),
        "PREFECT_HOME": str(prefect_home),
    }
    script = str(repository / "flows" / "train_flow.py")
    started = time.monotonic()

    done = subprocess.run(
        [sys.executable, script, "--dataset", "mnist", "--network", network],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    seconds = time.monotonic() - started
    print(done.stdout, f"{seconds:.0f} s from start to exit")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (metrics,) = (tmp_path / "reports").glob("*/metrics.json")
    assert json.loads(metrics.read_text())["accuracy"] >= at_least
    assert seconds <= 240
