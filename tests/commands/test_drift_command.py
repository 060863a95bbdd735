"""`digitflow drift` as a person uses it."""

import json
from pathlib import Path

import pytest
from PIL import Image
from scoring.scored_tables import many_rows, write_table

from digitflow.cli import main


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move into a folder with the tables of an ordinary night, of a like one and of a bad one."""
    monkeypatch.chdir(tmp_path)
    write_table(Path("earlier.parquet"), many_rows(1000))
    write_table(Path("like.parquet"), many_rows(1000, seed=1))
    # A tenth as wide again: noticed, and no reason to stop.
    write_table(Path("wider.parquet"), many_rows(1000, seed=2, width=17, height=22))
    write_table(Path("bad.parquet"), many_rows(1000, seed=3, polarity="light_on_dark"))
    return tmp_path


@pytest.mark.parametrize(
    ("table", "options", "exit_code"),
    [
        ("like", [], 0),
        ("like", ["--fail-on", "shifted"], 0),
        ("wider", [], 0),
        ("wider", ["--fail-on", "shifted"], 7),
        ("bad", [], 7),
        ("bad", ["--fail-on", "drifted"], 7),
        ("bad", ["--fail-on", "never"], 0),
    ],
)
def test_the_exit_code_follows_the_policy(
    tables: Path, capsys, table: str, options: list[str], exit_code: int
) -> None:
    arguments = ["drift", f"{table}.parquet", "--against", "earlier.parquet", *options]
    assert main(arguments) == exit_code
    said = capsys.readouterr()
    first, _, *columns = said.out.splitlines()
    verdict = {"like": "stable", "wider": "shifted", "bad": "drifted"}[table]
    assert first.startswith(f"{verdict}: {table}.parquet (1,000 rows) against earlier.parquet")
    assert len(columns) == 10
    assert all(line.isascii() for line in columns)
    assert said.err == ""


def test_json_can_be_kept_and_compared_with(tables: Path, capsys) -> None:
    assert main(["drift", "bad.parquet", "--against", "like.parquet", "--json"]) == 7
    told = capsys.readouterr().out
    facts = json.loads(told)
    assert facts["verdict"] == "drifted"
    assert facts["table"]["n_rows"] == 1000
    assert {column["column"] for column in facts["columns"]} >= {"status", "polarity"}
    Path("kept.json").write_text(told)
    assert main(["drift", "bad.parquet", "--against", "kept.json"]) == 0
    assert capsys.readouterr().out.startswith("stable: ")


def test_the_picture_is_drawn(tables: Path, capsys) -> None:
    arguments = ["drift", "bad.parquet", "--against", "earlier.parquet", "like.parquet"]
    assert main([*arguments, "--picture", "drift.png"]) == 7
    assert "against earlier.parquet and 1 more (2,000 rows)" in capsys.readouterr().out
    with Image.open("drift.png") as picture:
        picture.load()
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.parquet"], "none.parquet: no such file"),
        (["like.parquet"], "its model 'small@1' is not here; name its bundle's folder"),
        (["like.parquet", "--against", "none.parquet"], "none.parquet: no such file"),
        (["like.parquet", "--against", "like.parquet", "--picture", "like.parquet"], ".png"),
        (["s3://key:secret@bucket/x.parquet"], "error: s3://…: only a local path will do here"),
        (["like.parquet", "--picture", "s3://key:secret@bucket/x.png"], "error: s3://…: only"),
    ],
)
def test_a_mistake_gives_one_line_and_changes_nothing(
    tables: Path, capsys, arguments: list[str], message: str
) -> None:
    before = {entry: entry.read_bytes() for entry in tables.iterdir()}
    assert main(["drift", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert "secret" not in said.err
    assert before == {entry: entry.read_bytes() for entry in tables.iterdir()}
