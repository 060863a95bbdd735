"""A whole folder: one row for each file, and nothing lost when something goes wrong."""

import gzip
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from scoring_support import frame_of, same_rows

from digitflow.errors import (
    BundleError,
    OutputError,
    UnknownModelError,
    UsageError,
)
from digitflow.models.predictor import Predictor
from digitflow.scoring import plan, workers
from digitflow.scoring.folder import score_folder
from digitflow.scoring.scored import read_facts


def test_every_file_is_a_row_in_the_order_of_the_plan(images: Path, output: Path) -> None:
    summary = score_folder(images, output)
    frame = frame_of(output)
    expected = [each.path for each in plan.walk(os.fsencode(images))]
    paths = [
        raw if raw is not None else path.encode()
        for path, raw in zip(frame["path"], frame["path_bytes"], strict=True)
    ]
    assert paths == expected
    assert len(paths) == 15
    without_digit = frame[frame["status"].isin(["blank", "error"])].set_index("path")
    assert without_digit["reason"].to_dict() == {
        "blank.png": "no_ink",
        "cut.png": "truncated",
        "empty.png": "empty",
        "link.png": "not_a_file",
        "notes.txt": "unsupported_format",
        "pipe.png": "not_a_file",
    }
    assert (summary.n_files, summary.n_rows) == (15, 15)
    assert list(output.parent.iterdir()) == [output]


def test_the_summary_counts_what_the_table_holds(images: Path, output: Path) -> None:
    summary = score_folder(images, output, run_id="tonight")
    frame = frame_of(output)
    assert summary.statuses == Counter(frame["status"])
    assert summary.reasons == Counter(frame["reason"].dropna())
    assert summary.labels == Counter(frame["label"].dropna())
    assert summary.images_per_second == pytest.approx(15 / summary.seconds)
    facts = read_facts(output)
    assert facts["model"]["model_id"] == summary.model_id == frame["model_id"][0]
    assert facts["model"]["class_names"] == list("0123456789")
    assert facts["run"]["run_id"] == summary.run_id == frame["run_id"][0] == "tonight"


def test_the_summary_in_words_tells_what_an_operator_asks(images: Path, output: Path) -> None:
    summary = score_folder(images, output)
    words = summary.in_words()
    assert words.startswith("files    15 in 15 rows\nstatus   blank 1, error 5, ")
    assert "truncated 1, unsupported_format 1" in words
    assert f"{summary.model}@{summary.version} ({summary.model_id[:12]})" in words
    assert words.endswith(f"table    {output}")


def test_a_profile_accounts_for_all_the_time_of_all_processes(
    images: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = score_folder(images, output, workers=1, profile=True)
    # The rest of the call is a handful of additions.
    assert sum(summary.profile.values()) == pytest.approx(summary.seconds, rel=1e-6)
    for stage in ("plan", "read", "decode", "normalise", "infer", "rows", "write", "assemble"):
        assert summary.profile[stage] > 0, stage
    assert "\n\nstage " in summary.in_words()

    monkeypatch.setattr(plan, "SHARD_FILES", 1)
    summary = score_folder(images, output, workers=2, fresh=True, profile=True)
    assert sum(summary.profile.values()) >= summary.seconds
    assert summary.profile["decode"] > 0
    assert score_folder(images, output).profile == {}


def test_the_summary_of_a_table_whose_name_is_not_text_can_be_printed(
    images: Path, output: Path
) -> None:
    summary = score_folder(images, output.with_name(os.fsdecode(b"o\xff.parquet")))
    assert summary.in_words().encode().endswith(rb"/tables/o\xff.parquet")
    assert frame_of(summary.output.rename(output))["run_id"][0] == summary.run_id


def test_digits_and_null_values_follow_the_status(images: Path, output: Path) -> None:
    score_folder(images, output)
    frame = parquet.read_table(output).to_pandas()
    read = frame["status"].isin(["ok", "uncertain"])
    assert read.sum() == 9
    for name in ("label", "digit", "confidence", "probabilities", "x", "width"):
        assert (frame[name].notna() == read).all(), name
    probabilities = np.stack(frame["probabilities"][read])
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (probabilities.argmax(axis=1) == frame["digit"][read]).all()
    assert (probabilities.max(axis=1) == frame["confidence"][read]).all()
    assert (frame["label"][read].astype(int) == frame["digit"][read]).all()


def test_several_processes_give_the_same_rows_as_one(
    images: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = output.with_name("alone.parquet")
    score_folder(images, alone, workers=1)
    monkeypatch.setattr(plan, "SHARD_FILES", 1)
    summary = score_folder(images, output, workers=2)
    same_rows(output, alone)
    assert summary.n_rows == 15
    assert sorted(output.parent.iterdir()) == [alone, output]


def test_mnist_in_files_is_read_as_mnist_in_arrays(
    shared_data: Path, tmp_path: Path, output: Path
) -> None:
    with gzip.open(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        digits = np.frombuffer(stream.read(16 + 500 * 784), np.uint8, offset=16)
    digits = digits.reshape(-1, 28, 28)
    folder = tmp_path / "digits"
    folder.mkdir()
    for number, pixels in enumerate(digits):
        Image.fromarray(pixels).save(folder / f"{number:05d}.png")
    score_folder(folder, output)
    frame = parquet.read_table(output).to_pandas()
    expected = Predictor.load().predict_proba(digits)
    assert np.stack(frame["probabilities"]) == pytest.approx(expected, abs=1e-6)


def test_every_odd_image_is_a_row(shared_data: Path, output: Path) -> None:
    folder = shared_data / "odd-images" / "pngsuite"
    summary = score_folder(folder, output)
    assert summary.n_rows == len(list(plan.walk(os.fsencode(folder)))) > 50
    frame = frame_of(output)
    errors = frame[frame["status"] == "error"]
    assert not errors["message"].str.contains("unexpected").any()


def test_an_earlier_table_is_replaced_and_one_inside_the_folder_is_not_scored(
    images: Path,
) -> None:
    inside = images / "out.parquet"
    score_folder(images, inside)
    summary = score_folder(images, inside, run_id="second", fresh=True)
    assert summary.n_files == 15
    assert set(frame_of(inside)["run_id"]) == {"second"}


def test_an_empty_folder_leaves_the_old_table(images: Path, output: Path, tmp_path: Path) -> None:
    score_folder(images, output)
    before = output.read_bytes()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no files"):
        score_folder(tmp_path / "empty", output)
    assert output.read_bytes() == before


def test_a_name_that_leaves_no_room_for_the_working_folder_is_refused(
    images: Path, output: Path
) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        score_folder(images, output.with_name("n" * 250))


@pytest.mark.parametrize("kind", ["text", "empty", "other table"])
def test_what_is_not_a_scored_table_is_never_overwritten(
    images: Path, output: Path, kind: str
) -> None:
    if kind == "other table":
        parquet.write_table(pa.table({"a": [1]}), output)
    else:
        output.write_text("precious" if kind == "text" else "")
    before = output.read_bytes()
    with pytest.raises(OutputError, match="exists and is not a scored table"):
        score_folder(images, output)
    assert output.read_bytes() == before
    assert list(output.parent.iterdir()) == [output]


def test_an_unknown_model_and_a_damaged_one_are_refused(
    images: Path, output: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownModelError):
        score_folder(images, output, model="nonesuch")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    with pytest.raises(BundleError):
        score_folder(images, output, model=str(tmp_path / "bundle"))
    assert list(output.parent.iterdir()) == []


def test_a_failure_in_the_middle_leaves_the_old_table(
    images: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_folder(images, output)
    before = output.read_bytes()
    monkeypatch.setattr(plan, "SHARD_FILES", 4)
    whole = workers.Job.score

    def fails_at_the_third(job: workers.Job, shard: plan.Shard) -> object:
        if shard.number == 2:
            raise OutputError("the disk is full")
        return whole(job, shard)

    monkeypatch.setattr(workers.Job, "score", fails_at_the_third)
    with pytest.raises(OutputError, match="the disk is full"):
        score_folder(images, output, workers=1, fresh=True)
    assert output.read_bytes() == before
    monkeypatch.undo()
    # Of the eight files that were finished, two could not be read.
    assert score_folder(images, output).n_resumed == 6
    assert list(output.parent.iterdir()) == [output]


SCORE = """
import sys
from pathlib import Path
{before}
from digitflow.scoring.folder import score_folder
{after}
summary = score_folder(Path(sys.argv[1]), Path(sys.argv[2]), model=sys.argv[3], workers=1)
"""


def start(images: Path, output: Path, repository: Path, before: str = "", after: str = ""):
    model = str(Predictor.load().bundle.folder)
    script = SCORE.format(before=before, after=after)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(images), str(output), model],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_run_leaves_the_old_table_and_the_next_one_clears_up(
    images: Path, output: Path, repository: Path
) -> None:
    score_folder(images, output)
    before = output.read_bytes()
    stop = """
import os, signal
from digitflow.scoring import folder
folder.write_table = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
    process = start(images, output, repository, after=stop)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert output.read_bytes() == before
    assert len(list(output.parent.iterdir())) == 2
    score_folder(images, output, run_id="next", fresh=True)
    assert list(output.parent.iterdir()) == [output]
    assert set(frame_of(output)["run_id"]) == {"next"}


def test_scoring_is_light_and_silent(images: Path, output: Path, repository: Path) -> None:
    heavy = "tensorflow keras sklearn matplotlib prefect pandas scipy"
    refuse = f"sys.modules.update(dict.fromkeys({heavy.split()}))  # an import of these now fails"
    process = start(images, output, repository, before=refuse)
    printed, complained = process.communicate(timeout=60)
    assert (process.returncode, printed, complained) == (0, "", "")
    assert len(frame_of(output)) == 15


def test_a_progress_bar_is_shown_when_asked_for(
    images: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score_folder(images, output)
    assert capsys.readouterr().err == ""
    score_folder(images, output, progress=True)
    assert "scoring" in capsys.readouterr().err
