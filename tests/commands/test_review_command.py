"""`digitflow review` as a person uses it."""

from pathlib import Path

import pytest
from datasets.samples import drawn, write_images
from scoring.scored_tables import read_row, write_table

from digitflow.cli import main
from digitflow.scoring.review import LIMIT, STATUSES


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move into a folder with a table of an uncertain and a rejected image."""
    monkeypatch.chdir(tmp_path)
    write_images(Path("scans"), {f"{n}.png": image for n, image in enumerate(drawn(2))})
    rows = [read_row(b"0.png", status="uncertain"), read_row(b"1.png", status="rejected")]
    return write_table(Path("t.parquet"), rows, folder=tmp_path / "scans")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "1 of 1 readings: s.html\n"),
        (["--status", "rejected", "uncertain"], "2 of 2 readings: s.html\n"),
        (["--status", "all"], "2 of 2 readings: s.html\n"),
        (["--status", "all", "--limit", "1"], "1 of 2 readings: s.html\n"),
        (["--images", "."], "1 of 1 readings, 1 without picture: s.html\n"),
    ],
)
def test_a_page_is_written(table: Path, capsys, options: list[str], said: str) -> None:
    assert main(["review", str(table), "--out", "s.html", *options]) == 0
    assert capsys.readouterr() == (said, "")
    assert Path("s.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "t.parquet"], "let its name end in .html"),
        (["--out", "s.html", "--limit", "0"], "limit is 0"),
        (["--out", "s.html", "--images", "none"], "is not here"),
        (["--out", "s.html", "--status", "error"], "has no rows of status error"),
    ],
)
def test_a_mistake_gives_one_line_and_changes_nothing(
    table: Path, capsys, options: list[str], message: str
) -> None:
    before = table.read_bytes()
    assert main(["review", str(table), *options]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert message in said.err
    assert table.read_bytes() == before
    assert not Path("s.html").exists()


def test_the_help_tells_the_limit_and_every_status(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["review", "--help"])
    told = capsys.readouterr().out
    assert f"default: {LIMIT}" in " ".join(told.split())
    assert all(status in told for status in STATUSES)
