"""A dataset whose runs fail or are killed: no row twice, none lost, and the next run mends it."""

import errno
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from scoring.scored_datasets import parts_of, rows_of, stand_of
from scoring_support import MOMENTS, FailsOnce, frame_of, settle

from digitflow.drawing import draw_digits
from digitflow.errors import BundleError, OutputError
from digitflow.scoring import growing, plan, shard, workers
from digitflow.scoring.folder import score_folder

#: Files whose rows must be there whenever somebody looks: they are there before and after.
STAY = {"00.png", "01.png", "02.png", "08.png", "09.png", "10.png", "11.png"}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as in `KILLED`."""
    monkeypatch.setattr(plan, "SHARD_FILES", 4)
    monkeypatch.setattr(growing, "PART_FILES", 4)
    monkeypatch.setattr(growing, "DEALT_FILES", 5)


class Changing:
    """A dataset, and what it becomes after changes of every kind in the scanned folder."""

    def __init__(self, images: Path, place: Path):
        self.images, self.place = images, place
        self.before, self.after = place.with_name("before"), place.with_name("after.parquet")
        images.mkdir()
        digits = draw_digits(20, seed=0)[0]
        for number in range(12):
            Image.fromarray(digits[number]).save(images / f"{number:02d}.png")
        for broken in ("09.png", "10.png"):
            (images / broken).write_bytes(b"cut")
        settle(images)
        score_folder(images, f"{place}/", workers=1)
        assert [len(frame_of(part)) for part in parts_of(place)] == [4, 4, 4]
        shutil.copytree(place, self.before)
        for gone in range(3, 8):  # a row of the first part, and all of the second
            (images / f"{gone:02d}.png").unlink()
        for new in ("000.png", "09.png", *(f"{number}.png" for number in range(12, 18))):
            Image.fromarray(digits[15]).save(images / new)
        settle(images)
        os.utime(images / "01.png", (1_600_000_000, 1_600_000_000))
        score_folder(images, self.after, workers=1)

    def begin_anew(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(self.place.with_name(f".{self.place.name}.digitflow"), ignore_errors=True)
        shutil.copytree(self.before, self.place)

    def check_visible(self) -> None:
        """Each part is whole, no file is there twice, and none is missing that should not be."""
        assert {*rows_of(self.place)["path"]} >= STAY

    def check_done(self) -> None:
        one, other = rows_of(self.place), frame_of(self.after)
        pd.testing.assert_frame_equal(
            one.drop(columns=MOMENTS), other.drop(columns=MOMENTS), check_dtype=False
        )
        others = {self.before.name, self.after.name, self.place.name}
        assert {path.name for path in self.place.parent.iterdir()} == others


@pytest.fixture
def changing(tmp_path: Path) -> Changing:
    (tmp_path / "tables").mkdir()
    return Changing(tmp_path / "images", tmp_path / "tables" / "scored")


@pytest.mark.parametrize("options", [{}, {"fresh": True}], ids=str)
def test_readers_find_each_file_at_every_moment_and_never_twice(
    changing: Changing, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing.begin_anew()
    moments = []

    def look_around(function: Callable) -> Callable:
        def called(*arguments: object, **more: object) -> object:
            given = function(*arguments, **more)
            moments.append(len(parts_of(changing.place)))
            changing.check_visible()
            return given

        return called

    for name in ("replace", "unlink", "mkdir", "rename"):
        monkeypatch.setattr(os, name, look_around(getattr(os, name)))
    score_folder(changing.images, changing.place, workers=1, **options)
    assert {3, 4, 5} == {*moments}
    changing.check_done()


@pytest.mark.parametrize(
    ("name", "code", "step"),
    [
        ("fsync", errno.EIO, 3),
        ("write", errno.ENOSPC, 211),
        ("replace", errno.EIO, 1),
        ("mkdir", errno.ENOSPC, 1),
        ("unlink", errno.EIO, 2),
        pytest.param("fsync", errno.EIO, 1, marks=pytest.mark.long),
        pytest.param("write", errno.ENOSPC, 3, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_whatever_call_fails_the_next_run_ends_as_it_should(
    changing: Changing, name: str, code: int, step: int
) -> None:
    function = io.FileIO.write if name == "write" else getattr(os, name)
    for number in itertools.count(1, step):
        changing.begin_anew()
        failing = FailsOnce(function, number, code)
        with pytest.MonkeyPatch.context() as patch, suppress(OutputError):
            failing.put_in(name, patch)
            score_folder(changing.images, changing.place, workers=1)
        changing.check_visible()
        score_folder(changing.images, changing.place, workers=1)
        changing.check_done()
        if failing.calls < number:
            break
    assert number > step


KILLED = """
import os, signal, sys
from digitflow.scoring import growing, plan
from digitflow.scoring.folder import score_folder

plan.SHARD_FILES = growing.PART_FILES = 4
growing.DEALT_FILES = 5
name, number, images, place = sys.argv[1:]
function, calls = getattr(os, name), 0

def kill_at(*arguments, **options):
    global calls
    calls += 1
    if calls == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*arguments, **options)

setattr(os, name, kill_at)
score_folder(images, place, workers=1)
"""


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("replace", 6),
        pytest.param("replace", 1, marks=pytest.mark.long),
        pytest.param("fsync", 1, marks=pytest.mark.long),
        pytest.param("unlink", 1, marks=pytest.mark.long),
    ],
)
def test_a_run_killed_between_any_two_steps_is_finished_by_the_next(
    changing: Changing, repository: Path, name: str, first: int
) -> None:
    for number in itertools.count(first):
        changing.begin_anew()
        arguments = [name, str(number), str(changing.images), f"{changing.place}/"]
        done = subprocess.run(
            [sys.executable, "-c", KILLED, *arguments],
            env={**os.environ, "PYTHONPATH": str(repository)},
            check=False,
        )
        changing.check_visible()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        summary = score_folder(changing.images, changing.place, workers=1)
        if name == "replace" and number > 5:  # those before are of the record and the shards
            assert summary.n_scored == 1  # which cannot be read
        changing.check_done()
    assert number > first + 2


def test_a_vanished_dataset_is_told_and_not_begun_anew(
    changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing.begin_anew()
    score = workers.Job.score

    def vanish(job: workers.Job, given: plan.Shard) -> object:
        shutil.rmtree(changing.place, ignore_errors=True)
        return score(job, given)

    monkeypatch.setattr(workers.Job, "score", vanish)
    with pytest.raises(OutputError, match="cannot be"):
        score_folder(changing.images, changing.place, workers=1)
    assert not changing.place.exists()


def test_a_model_that_changes_in_the_middle_leaves_the_dataset_as_it_was(
    changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing.begin_anew()
    stand = stand_of(changing.place)

    def changed(*_: object) -> object:
        raise BundleError("the model was changed during the run")

    monkeypatch.setattr(shard, "_load_predictor", changed)
    with pytest.raises(BundleError):
        score_folder(changing.images, changing.place, workers=1)
    assert stand_of(changing.place) == stand
