"""`kill -9` at any moment: what is visible is whole, and the next runs end as if nothing were."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from scoring.scored_datasets import parts_of, rows_of
from scoring_support import MOMENTS, frame_of, make_images, same_rows

#: A run as on the command line, with shards small enough that a few hundred images are many.
SMALL = """
import sys
from digitflow import cli
from digitflow.scoring import growing, plan, workers

plan.SHARD_FILES = 16
growing.PART_FILES = growing.DEALT_FILES = 20
workers._ALONE_SHARDS = 2
sys.exit(cli.main())
"""


class Killing:
    """Runs that are killed and begun again, on a table that must never be seen broken."""

    def __init__(self, command: list[str], images: Path, output: Path, repository: Path):
        self.command = [*command, "score", str(images), str(output)]
        self.output = output
        self.checked: os.stat_result | None = None  # the table that was found right last
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
            self.check_visible()
        return run.returncode == -signal.SIGKILL

    def check_visible(self) -> None:
        # To compare takes longer than to be killed, and most runs leave what was there.
        found = self.output.stat()
        if self.checked is None or not same_file(found, self.checked):
            same_rows(self.output, self.expected)
            self.checked = found

    def discard(self) -> None:
        self.output.unlink()

    def kill(self, times: int, moments: random.Random) -> None:
        """Kill runs, each of which goes on where the last one was, until so many have died."""
        killed, options = 0, []
        while killed < times:
            if self.is_killed(moments.uniform(0, self.seconds), *options):
                killed, options = killed + 1, []
            elif moments.random() < 0.5:
                self.discard()
            else:
                options = ["--fresh"]
        self.finish()
        self.check_visible()


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Tell whether a file is what it was: nothing here writes into one that is there already."""
    return os.path.samestat(one, other) and one.st_mtime_ns == other.st_mtime_ns


class KillingDataset(Killing):
    """The same for a dataset: it may grow part by part, but no row is ever twice or wrong."""

    def __init__(self, command: list[str], images: Path, output: Path, repository: Path):
        super().__init__(command, images, output, repository)
        self.command[-1] = f"{output}/"

    def check_visible(self) -> None:
        expected = frame_of(self.expected).drop(columns=MOMENTS).set_index("path")
        if parts_of(self.output):
            found = rows_of(self.output).drop(columns=MOMENTS).set_index("path")
            there = expected.loc[found.index]
            pd.testing.assert_frame_equal(found, there, check_dtype=False)

    def discard(self) -> None:
        shutil.rmtree(self.output)

    def finish(self, *options: str) -> None:
        super().finish(*options)
        if self.output.is_dir():
            assert len(rows_of(self.output)) == len(frame_of(self.expected))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_runs_end_as_an_undisturbed_one(
    tmp_path: Path, output: Path, repository: Path, workers: str
) -> None:
    images = tmp_path / "images"
    make_images(images, 300)
    killing = Killing([sys.executable, "-c", SMALL], images, output, repository)
    killing.command += ["--workers", workers]
    killing.kill(5, random.Random(int(workers)))


def test_killed_runs_over_a_dataset_end_as_an_undisturbed_one(
    tmp_path: Path, output: Path, repository: Path
) -> None:
    images = tmp_path / "images"
    make_images(images, 300)
    command = [sys.executable, "-c", SMALL]
    KillingDataset(command, images, output, repository).kill(4, random.Random(3))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_200_killed_runs_over_20_000_images(tmp_path: Path, output: Path, repository: Path) -> None:
    images = tmp_path / "images"
    make_images(images, 20_000)
    killing = Killing([sys.executable, "-m", "digitflow"], images, output, repository)
    killing.kill(200, random.Random(0))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_60_killed_runs_over_a_dataset(tmp_path: Path, output: Path, repository: Path) -> None:
    images = tmp_path / "images"
    make_images(images, 1_000)
    command = [sys.executable, "-c", SMALL]
    KillingDataset(command, images, output, repository).kill(60, random.Random(4))
