"""Disks that fail, models that change, signals: nothing is lost, and the next run mends it."""

import errno
import io
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from scoring_support import FailsOnce, frame_of, same_rows
from support import change_manifest

from digitflow.errors import BundleError, OutputError, in_one_line
from digitflow.scoring import folder, plan, shard, workers
from digitflow.scoring.folder import score_folder
from digitflow.scoring.request import Request


@pytest.fixture
def expected(images: Path, tmp_path: Path) -> Path:
    """The table of an undisturbed run."""
    table = tmp_path / "expected.parquet"
    score_folder(images, table)
    return table


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_FILES", 4)


@pytest.mark.parametrize("earlier", [False, True], ids=["no table yet", "over a table"])
@pytest.mark.parametrize(
    ("name", "code", "step"),
    [
        ("fsync", errno.EIO, 1),
        ("write", errno.ENOSPC, 61),
        pytest.param("write", errno.ENOSPC, 1, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
        ("replace", errno.EIO, 1),
        ("rename", errno.EROFS, 1),
        ("mkdir", errno.ENOSPC, 1),
        ("unlink", errno.EIO, 1),
    ],
)
def test_whatever_call_fails_is_told_and_the_next_run_ends_as_it_should(
    images: Path, output: Path, expected: Path, name: str, code: int, step: int, earlier: bool
) -> None:
    function = io.FileIO.write if name == "write" else getattr(os, name)
    for number in itertools.count(1, step):
        _empty(output.parent)
        if earlier:
            shutil.copy2(expected, output)
        before = output.read_bytes() if earlier else None
        _leave_an_interrupted_run(images, output)
        failing = FailsOnce(function, number, code)
        with pytest.MonkeyPatch.context() as patch, suppress(OutputError):
            failing.put_in(name, patch)
            score_folder(images, output, workers=1)
        if output.exists() and output.read_bytes() != before:
            same_rows(output, expected)
        score_folder(images, output, workers=1)
        same_rows(output, expected)
        assert list(output.parent.iterdir()) == [output]
        if failing.calls < number:
            break
    assert number > 1


def _empty(place: Path) -> None:
    for leftover in place.iterdir():
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _leave_an_interrupted_run(images: Path, output: Path) -> None:
    """Leave a part, so that there is something to take up, and something to remove."""

    def interrupt(job: workers.Job, given: plan.Shard) -> object:
        if given.number == 1:
            raise KeyboardInterrupt
        return score(job, given)

    score = workers.Job.score
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers.Job, "score", interrupt)
        with pytest.raises(KeyboardInterrupt):
            score_folder(images, output, workers=1)


def test_an_error_names_the_place_the_space_and_how_to_go_on(
    images: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first two syncs are those of the record, the next two those of the first part.
    monkeypatch.setattr(os, "fsync", FailsOnce(os.fsync, 5, errno.ENOSPC))
    with pytest.raises(OutputError) as caught:
        score_folder(images, output, workers=1)
    told = in_one_line(str(caught.value), caught.value)
    for words in [str(output.parent), "No space left", "MB are free there", "the same command"]:
        assert words in told
    assert "\n" not in told


def test_a_part_that_was_damaged_or_taken_away_is_scored_again(
    images: Path, output: Path, expected: Path
) -> None:
    for damage in (Path.unlink, lambda part: part.write_bytes(part.read_bytes()[:-9])):
        _leave_an_interrupted_run(images, output)
        (part,) = output.parent.rglob("part-*.parquet")
        damage(part)
        assert score_folder(images, output, workers=1).n_resumed == 0
        same_rows(output, expected)
        output.unlink()


def test_an_output_that_vanishes_is_told_and_not_made_again(
    images: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = workers.Job.score

    def vanish(job: workers.Job, given: plan.Shard) -> object:
        if given.number == 2:
            shutil.rmtree(output.parent)
        return score(job, given)

    monkeypatch.setattr(workers.Job, "score", vanish)
    with pytest.raises(OutputError, match=r"No such file or directory.*out of reach"):
        score_folder(images, output, workers=1)
    assert not output.parent.exists()


def test_a_model_that_changes_in_the_middle_ends_the_run_and_costs_nothing(
    images: Path, output: Path, other_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = score_folder(images, output, model=str(other_model))
    before = output.read_bytes()
    manifest = (other_model / "manifest.json").read_bytes()
    score = workers.Job.score

    def change(job: workers.Job, given: plan.Shard) -> object:
        if given.number == 2:
            change_manifest(other_model, version="changed")
            shard._load_predictor.cache_clear()
        return score(job, given)

    with monkeypatch.context() as patch:
        patch.setattr(workers.Job, "score", change)
        with pytest.raises(BundleError, match="the model was changed during the run"):
            score_folder(images, output, model=str(other_model), workers=1, fresh=True)
    assert output.read_bytes() == before
    second = score_folder(images, output, model=str(other_model))
    assert (second.n_kept, second.n_resumed) == (0, 0)
    assert set(frame_of(output)["model_id"]) == {second.model_id} != {first.model_id}
    (other_model / "manifest.json").write_bytes(manifest)
    assert score_folder(images, output, model=str(other_model)).model_id == first.model_id


def test_a_table_that_another_run_makes_at_the_last_moment_is_not_mistaken(
    images: Path, output: Path, other_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_folder(images, output, workers=1)
    other = output.with_name("other.parquet")
    score_folder(images, other, model=str(other_model), workers=1)
    lock = folder.working_folder

    def comes_late(*arguments: object) -> object:
        other.rename(output)
        return lock(*arguments)

    monkeypatch.setattr(folder, "working_folder", comes_late)
    summary = score_folder(images, output, workers=1)
    assert summary.n_kept == 0
    assert set(frame_of(output)["model_id"]) == {summary.model_id}


@pytest.mark.parametrize("end", ["", "/"], ids=["table", "dataset"])
def test_what_another_run_added_at_the_last_moment_is_not_taken_for_gone(
    images: Path, output: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    n_files = score_folder(images, f"{output}{end}", workers=1).n_files
    check = folder.check_request

    def is_slow(*arguments: Any, **options: Any) -> Request:
        request = check(*arguments, **options)
        monkeypatch.setattr(folder, "check_request", check)
        shutil.copy(images / "a.png", images / "new.png")
        assert score_folder(images, f"{output}{end}", workers=1).n_files == n_files + 1
        return request

    monkeypatch.setattr(folder, "check_request", is_slow)
    summary = score_folder(images, f"{output}{end}", workers=1)
    assert (summary.n_files, summary.n_removed) == (n_files + 1, 0)


def test_an_interrupted_fresh_run_is_finished_by_one_without_fresh(
    images: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_folder(images, output, run_id="first")
    score = workers.Job.score

    def interrupt(job: workers.Job, given: plan.Shard) -> object:
        if given.number == 2:
            raise KeyboardInterrupt
        return score(job, given)

    with monkeypatch.context() as patch:
        patch.setattr(workers.Job, "score", interrupt)
        with pytest.raises(KeyboardInterrupt):
            score_folder(images, output, run_id="second", fresh=True, workers=1)
    summary = score_folder(images, output, run_id="third")
    assert (summary.n_kept, summary.n_resumed, summary.n_scored) == (0, 6, 9)
    assert set(frame_of(output)["run_id"]) == {"second", "third"}


def command(images: Path, output: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "digitflow", "score", str(images), str(output), *options]


def test_a_file_that_may_not_grow_is_told_by_the_command(
    images: Path, output: Path, expected: Path, repository: Path
) -> None:
    parts = "from digitflow.scoring import plan; plan.SHARD_FILES = 1"
    script = f"{parts}; from digitflow.cli import main; import sys; sys.exit(main())"
    arguments = ["score", str(images), str(output), "--workers", "1"]
    small = expected.stat().st_size - 100  # bytes: enough for each part, not for the table

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (small, small))

    run = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(repository)},
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (OutputError.exit_code, "")
    assert run.stderr.startswith(f"error: {output}: cannot be written (File too large); ")
    assert run.stderr.endswith("the same command goes on from there\n")
    assert run.stderr.count("\n") == 1
    assert not output.exists()
    summary = score_folder(images, output)
    assert summary.n_resumed == 10
    same_rows(output, expected)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    with suppress(FileNotFoundError):
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            yield place
            subprocess.run(["umount", "--lazy", str(place)], check=True)
            return
    pytest.skip("this user may mount nothing")


def test_a_full_disk_and_one_that_may_only_be_read(
    images: Path, expected: Path, small_disk: Path
) -> None:
    output = small_disk / "out.parquet"
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    with pytest.raises(OutputError, match=r"No space left on device.*0 MB are free there"):
        score_folder(images, output, workers=1)
    assert not output.exists()
    os.truncate(ballast, ballast.stat().st_size - 40_000)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        score_folder(images, output, workers=1)
    assert "the same command goes on" in in_one_line("", caught.value)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="Read-only file system"):
        score_folder(images, output, workers=1)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    ballast.unlink()
    assert score_folder(images, output, workers=1).n_resumed > 0
    same_rows(output, expected)
    assert list(small_disk.iterdir()) == [output]


WAITS = """
import os, sys
from digitflow import cli
from digitflow.scoring import plan, workers

plan.SHARD_FILES = 4
score = workers.Job.score
def wait(job, shard):
    if shard.number == 2:
        os.write(1, b"waiting\\n")
        os.read(0, 1)
    return score(job, shard)
workers.Job.score = wait
sys.exit(cli.main())
"""


@pytest.mark.parametrize(
    ("number", "exit_code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_the_run_with_a_word_on_how_to_go_on(
    images: Path,
    output: Path,
    expected: Path,
    repository: Path,
    number: int,
    exit_code: int,
    said: str,
) -> None:
    arguments = ["score", str(images), str(output), "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", WAITS, *arguments],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "waiting\n"
        run.send_signal(number)
        printed, complaint = run.communicate(timeout=60)
    assert (run.returncode, printed) == (exit_code, "")
    assert complaint == (f"{said}; what is finished is kept: the same command goes on from there\n")
    assert not output.exists()
    done = subprocess.run(command(images, output), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert "taken up from an interrupted run 6" in done.stdout
    same_rows(output, expected)
    assert list(output.parent.iterdir()) == [output]
