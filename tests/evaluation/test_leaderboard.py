"""The leaderboard: its order, its table, and what its picture says."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from digitflow.errors import OutputError, UsageError
from digitflow.evaluation.leaderboard import Entry, leaderboard_figure, rank, write_leaderboard

ROWS = [
    Entry("slow", {"learning_rate": 0.1, "epochs": 2}, 0.985, 0.002, 1234.5),
    Entry("$best$", {"learning_rate": 0.01, "epochs": 8}, 0.995, 0.001, 45.2),
    Entry("once", {"learning_rate": 1.0, "epochs": 1}, 0.985, None, 3.25),
]


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found]


def bar_ends(figure: Figure) -> list[float]:
    return [bar.get_x() + bar.get_width() for bar in figure.axes[0].patches]


def test_best_comes_first_and_equals_come_by_name(tmp_path: Path) -> None:
    entries = write_leaderboard(tmp_path / "new", ROWS)
    assert [entry.name for entry in entries] == ["$best$", "once", "slow"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "leaderboard.csv",
        "leaderboard.png",
    ]


def test_table_holds_every_number(tmp_path: Path) -> None:
    write_leaderboard(tmp_path, ROWS, score_name="validation accuracy")
    text = (tmp_path / "leaderboard.csv").read_text(encoding="utf-8")
    assert list(csv.DictReader(io.StringIO(text))) == [
        {
            "rank": "1",
            "name": "$best$",
            "validation accuracy": "0.995",
            "standard deviation": "0.001",
            "seconds": "45.2",
            "parameters": '{"learning_rate": 0.01, "epochs": 8}',
        },
        {
            "rank": "2",
            "name": "once",
            "validation accuracy": "0.985",
            "standard deviation": "",
            "seconds": "3.25",
            "parameters": '{"learning_rate": 1.0, "epochs": 1}',
        },
        {
            "rank": "3",
            "name": "slow",
            "validation accuracy": "0.985",
            "standard deviation": "0.002",
            "seconds": "1234.5",
            "parameters": '{"learning_rate": 0.1, "epochs": 2}',
        },
    ]


def test_picture_says_scores_spread_and_where_the_axis_starts() -> None:
    figure = leaderboard_figure(rank(ROWS), "validation accuracy")
    found = texts(figure)
    assert {"$best$", "99.50 % ± 0.10", "98.50 %", "45 s", "1,234 s", "3.25 s"} <= set(found)
    assert "learning_rate=0.01, epochs=8" in found
    assert "3 candidates, best first; mean ± standard deviation" in found
    assert bar_ends(figure) == pytest.approx([0.995, 0.985, 0.985])
    start, end = figure.axes[0].get_xlim()
    assert 0.97 <= start < 0.983 < 0.996 < end
    assert f"validation accuracy (the axis starts at {100 * start:g} %)" in found
    assert len(figure.axes[0].containers) == 1 + 2
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 9


def test_picture_is_drawn_with_the_best_in_colour(tmp_path: Path) -> None:
    write_leaderboard(tmp_path, ROWS)
    with Image.open(tmp_path / "leaderboard.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue = (np.abs(pixels - (0x00, 0x72, 0xB2)) <= 2).all(axis=2)
    grey = (np.abs(pixels - (0xB5, 0xBC, 0xC4)) <= 2).all(axis=2)
    assert blue.sum() > 5000
    # Two shorter bars, all below the blue one.
    assert 0.5 * blue.sum() < grey.sum() < 2 * blue.sum()
    assert np.nonzero(blue)[0].max() < np.nonzero(grey)[0].min()


def test_bars_of_scores_far_apart_or_alone_start_at_zero() -> None:
    for rows in ([("a", 5, 0.9, None, 1), ("b", 61018, 0.2, None, 1)], [("a", 5, 0.9, None, 1)]):
        figure = leaderboard_figure(rank(rows))
        assert figure.axes[0].get_xlim()[0] == 0
        assert "accuracy" in texts(figure)
    assert "1 candidate, best first" in texts(figure)


def test_picture_of_many_shows_the_best_twenty(tmp_path: Path) -> None:
    rows = [(f"candidate {number}", number * 1000, number / 30, 0.01, 1) for number in range(30)]
    figure = leaderboard_figure(rank(rows))
    assert bar_ends(figure) == pytest.approx(np.arange(29, 9, -1) / 30)
    assert "20 of 30 candidates, best first; mean ± standard deviation" in texts(figure)
    assert "29,000 parameters" in texts(figure)
    write_leaderboard(tmp_path, rows)
    assert len((tmp_path / "leaderboard.csv").read_text().splitlines()) == 31


def test_same_rows_give_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "leaderboard.csv").write_text("older")
    write_leaderboard(tmp_path / "a", ROWS)
    write_leaderboard(tmp_path / "b", ROWS[::-1])
    for name in ("leaderboard.csv", "leaderboard.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "give at least one"),
        ([("a", {}, 99.5, 0.1, 1.0)], "a: score 99.5"),
        ([("a", {}, float("nan"), None, 1.0)], "not a share from 0 to 1"),
        ([("a", {}, 0.5, -0.1, 1.0)], "not a share from 0 to 1"),
    ],
)
def test_what_is_no_leaderboard_is_refused(rows: list, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        write_leaderboard(tmp_path / "new", rows)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_leaderboard(tmp_path / "file" / "new", ROWS)
