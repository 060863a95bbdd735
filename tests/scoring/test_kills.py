"""`kill -9` at any moment: what is visible is whole, and the next runs end as if nothing were."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scoring_support import make_images, same_rows

#: A run as on the command line, with shards small enough that a few hundred images are many.
SMALL = """
import sys
from digitflow import cli
from digitflow.scoring import plan, workers

plan.SHARD_FILES = 16
workers._ALONE_SHARDS = 2
sys.exit(cli.main())
"""


class Killing:
    """Runs that are killed and begun again, on a table that must never be seen broken."""

    def __init__(self, command: list[str], images: Path, output: Path, repository: Path):
        self.command = [*command, "score", str(images), str(output)]
        self.output = output
        self.environment = {**os.environ, "PYTHONPATH": str(repository)}
        self.expected = output.parent.with_name("expected.parquet")
        started = time.monotonic()
        self.finish()
        self.seconds = time.monotonic() - started
        self.output.rename(self.expected)

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self.command, *options],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def finish(self, *options: str) -> None:
        with self.start(*options) as run:
            assert run.wait(timeout=300) == 3
        assert list(self.output.parent.iterdir()) == [self.output]

    def is_killed(self, after: float, *options: str) -> bool:
        """Kill a run at some moment; return False where it has ended before."""
        with self.start(*options) as run:
            try:
                assert run.wait(timeout=after) == 3
            except subprocess.TimeoutExpired:
                run.kill()
        if self.output.exists():
            same_rows(self.output, self.expected)
        return run.returncode == -signal.SIGKILL

    def kill(self, times: int, moments: random.Random) -> None:
        """Kill runs, each of which goes on where the last one was, until so many have died."""
        killed, options = 0, []
        while killed < times:
            if self.is_killed(moments.uniform(0, self.seconds), *options):
                killed, options = killed + 1, []
            elif moments.random() < 0.5:
                self.output.unlink()
            else:
                options = ["--fresh"]
        self.finish()
        same_rows(self.output, self.expected)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_runs_end_as_an_undisturbed_one(
    tmp_path: Path, output: Path, repository: Path, workers: str
) -> None:
    images = tmp_path / "images"
    make_images(images, 300)
    killing = Killing([sys.executable, "-c", SMALL], images, output, repository)
    killing.command += ["--workers", workers]
    killing.kill(5, random.Random(int(workers)))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_200_killed_runs_over_20_000_images(tmp_path: Path, output: Path, repository: Path) -> None:
    images = tmp_path / "images"
    make_images(images, 20_000)
    killing = Killing([sys.executable, "-m", "digitflow"], images, output, repository)
    killing.kill(200, random.Random(0))
