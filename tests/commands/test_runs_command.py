"""`digitflow runs` as a person uses it."""

import json
from pathlib import Path

import pytest
from PIL import Image
from runs_support import record_run

from digitflow.cli import main

METRICS = {"accuracy": 0.9, "class_names": ["0", "1"], "confusion_matrix": [[90, 10], [0, 900]]}


@pytest.fixture
def runs() -> None:
    """Leave two trainings that differ in seed and result, and a scoring run between them."""
    better = METRICS | {"accuracy": 0.95, "confusion_matrix": [[95, 5], [1, 899]]}
    record_run("1-a", parameters={"seed": 1}, metrics=METRICS, outcome="promoted: first")
    record_run("2-score", "score", parameters={"images": "scans"}, outcome="9 files scored")
    record_run("3-b", parameters={"seed": 2}, metrics=better, outcome="not promoted: " + "x" * 90)


def test_the_list_has_the_newest_first(runs, capsys):
    assert main(["runs", "list"]) == 0

    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "kind", "state", "started", "(UTC)", "took", "outcome"]
    assert [row.split()[:3] for row in rows] == [
        ["3-b", "train", "completed"],
        ["2-score", "score", "completed"],
        ["1-a", "train", "completed"],
    ]
    assert rows[0].endswith("xxx…")

    assert main(["runs", "list", "--kind", "train", "--limit", "1"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["run", "3-b"]


def test_damaged_and_foreign_folders_are_told_below(runs, capsys):
    damaged = record_run("4-bad")
    (damaged / "run.json").write_text("{")
    (damaged.parent / "older").mkdir()

    assert main(["runs", "list"]) == 0

    said = capsys.readouterr()
    assert said.err == ""
    *_, unrecorded, line = said.out.splitlines()
    assert unrecorded == "note: 1 without a record, older or not digitflow's: older"
    assert line.startswith(f"note: {damaged / 'run.json'}: is damaged")


def test_without_runs_it_says_where_it_looked(capsys):
    assert main(["runs", "list"]) == 0
    assert capsys.readouterr().out.startswith("no runs in /")


def test_a_run_is_shown_in_words_or_whole(runs, capsys):
    assert main(["runs", "show", "1-a"]) == 0
    said = capsys.readouterr().out
    for expected in ("completed: promoted: first", "parameters seed", "made.txt", "code digest"):
        assert expected in said

    assert main(["runs", "show", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["metrics"]["confusion_matrix"] == [[95, 5], [1, 899]]


def test_two_runs_are_compared_in_a_table_with_their_confusions(runs, capsys):
    assert main(["runs", "compare", "1-a", "3-b"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["1-a", "3-b"]
    assert ["parameters.seed", "1", "2"] in [line.split() for line in lines]
    assert ["metrics.accuracy", "0.9", "0.95"] in [line.split() for line in lines]
    assert not any("confusion_matrix" in line for line in lines)
    assert [line.split() for line in lines[-3:]] == [
        ["0", "1", "0", "1"],
        ["0", "90", "10", "0", "95", "5"],
        ["1", ".", "900", "1", "1", "899"],
    ]


def test_the_confusions_are_drawn_side_by_side(runs, tmp_path: Path, capsys):
    picture = tmp_path / "both.png"

    assert main(["runs", "compare", "1-a", "3-b", "--picture", str(picture), "--json"]) == 0

    with Image.open(picture) as drawn:
        assert drawn.width > 1.5 * drawn.height
    found = json.loads(capsys.readouterr().out)
    assert found["runs"] == ["1-a", "3-b"]
    seed = {"section": "parameters", "name": "seed", "first": 1, "second": 2}
    assert seed in found["differences"]


def test_what_has_no_confusions_is_compared_all_the_same(runs, capsys):
    assert main(["runs", "compare", "1-a", "2-score"]) == 0
    assert capsys.readouterr().out.endswith("confusions: 2-score has no confusion matrix\n")

    record_run("5-letters", metrics=METRICS | {"class_names": ["a", "b"]})
    assert main(["runs", "compare", "1-a", "5-letters"]) == 0
    assert "confusions: the classes of the two are not the same" in capsys.readouterr().out

    names = [str(n) for n in range(13)]
    record_run("6-many", metrics={"class_names": names, "confusion_matrix": [[1] * 13] * 13})
    assert main(["runs", "compare", "6-many", "6-many"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("the two do not differ\n")
    assert "too many classes for a console; --picture draws them" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "none"], "run 'none': there is none in "),
        (["compare", "1-a", "none"], "run 'none': there is none in "),
        (["compare", "1-a", "2-score", "--picture", "x.png"], "2-score has no confusion matrix"),
        (["compare", "1-a", "3-b", "--picture", "x.jpg"], "is drawn as PNG"),
        (["compare", "1-a", "4-bad"], "its confusion matrix is damaged"),
    ],
)
def test_a_mistake_is_one_line(runs, arguments: list[str], message: str, capsys):
    record_run("4-bad", metrics=METRICS | {"confusion_matrix": [[1, 2], [3]]})

    assert main(["runs", *arguments]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1
