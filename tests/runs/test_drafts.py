"""What a killed training leaves to the next one, and what it does not leave."""

import os
import time
from pathlib import Path

import pytest

from digitflow.errors import OutputError, TrainingError
from digitflow.runs import drafts, repeating
from digitflow.runs.drafts import working_draft
from digitflow.runs.repeating import identity_of

IDENTITY = identity_of({"seed": 0})


def train(models: Path, error: BaseException) -> None:
    with working_draft(models, IDENTITY) as draft:
        draft.mkdir()
        (draft / "checkpoint.npz").write_text("epoch 1")
        raise error


def leave(models: Path, error: BaseException) -> Path:
    """Return the draft of a run that an error ended after its first epoch."""
    with pytest.raises(type(error)):
        train(models, error)
    return next(models.glob(".draft-*"), models)


def visible(models: Path) -> list[str]:
    return sorted(entry.name for entry in models.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), OutputError("disk full")])
def test_the_same_run_finds_what_an_interrupted_one_left(tmp_path: Path, error: BaseException):
    left = leave(tmp_path / "d", error)

    with working_draft(tmp_path / "d", IDENTITY) as draft:
        assert draft == left
        assert (draft / "checkpoint.npz").read_text() == "epoch 1"
    assert visible(tmp_path / "d") == []


def test_what_went_wrong_is_begun_anew(tmp_path: Path):
    leave(tmp_path, TrainingError("no number"))

    assert visible(tmp_path) == []


def test_a_fresh_run_begins_anew(tmp_path: Path):
    leave(tmp_path, KeyboardInterrupt())

    with working_draft(tmp_path, IDENTITY, fresh=True) as draft:
        assert not draft.exists()


def test_another_run_leaves_it_alone(tmp_path: Path):
    left = leave(tmp_path, KeyboardInterrupt())

    with working_draft(tmp_path, identity_of({"seed": 1})) as draft:
        assert not draft.exists()
    assert visible(tmp_path) == [left.name]


def test_two_same_runs_at_once_do_not_share_a_draft(tmp_path: Path):
    with working_draft(tmp_path, IDENTITY) as first:
        first.mkdir()
        with working_draft(tmp_path, IDENTITY) as second:
            assert second != first
            assert not second.exists()
        assert first.exists()
    left = tmp_path / f"{first.name}-0123abcd"  # such a second one, killed
    left.mkdir()

    with working_draft(tmp_path, IDENTITY):
        assert not left.exists()


def test_no_run_can_go_on_from_the_draft_of_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    leave(tmp_path, KeyboardInterrupt())
    monkeypatch.setattr(repeating, "code_digest", lambda: "changed")

    with working_draft(tmp_path, identity_of({"seed": 0})) as draft:
        assert visible(tmp_path) == [f"{draft.name}.lock"]


def test_a_draft_that_is_worked_on_is_never_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with working_draft(tmp_path, IDENTITY) as draft:
        draft.mkdir()
        monkeypatch.setattr(repeating, "code_digest", lambda: "changed")
        with working_draft(tmp_path, identity_of({"seed": 0})):
            assert draft.exists()


def test_a_draft_of_long_ago_is_removed(tmp_path: Path):
    left = leave(tmp_path, KeyboardInterrupt())
    before = time.time() - drafts._KEPT - 60
    os.utime(left, (before, before))

    with working_draft(tmp_path, IDENTITY) as draft:
        assert not draft.exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "models").write_text("no folder")

    with (
        pytest.raises(OutputError, match=r"models: cannot be written"),
        working_draft(tmp_path / "models", IDENTITY),
    ):
        pass
