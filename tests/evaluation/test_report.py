"""The report: its files, and a page that stands alone and trusts no text."""

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digitflow.errors import OutputError, UsageError
from digitflow.evaluation.corruptions import CORRUPTIONS, measure_robustness
from digitflow.evaluation.report import write_report

PICTURES = [
    "confusion_matrix.png",
    "misclassified.png",
    "reliability.png",
    "risk_coverage.png",
    "sample_predictions.png",
    "training_history.png",
]
TABLES = ["classification_report.csv", "history.json", "metrics.json"]
HOSTILE = '<script>alert("&")</script>'
VOID_TAGS = {"meta", "link", "img"}


def inputs(errors: int = 1, **changes: Any) -> dict[str, Any]:
    """Return what `write_report` takes: 400 samples of 10 classes with so many errors."""
    labels = np.arange(400) % 10
    predicted = labels.copy()
    predicted[:errors] = (labels[:errors] + 1) % 10
    given = {
        "title": "a run",
        "facts": {"data set": "none", "seed": "0"},
        "notes": [],
        "images": np.random.default_rng(0).integers(0, 256, (400, 28, 28), np.uint8),
        "labels": labels,
        "probabilities": (0.9 * np.eye(10) + 0.01)[predicted].astype(np.float32),
        "class_names": [str(digit) for digit in range(10)],
        "history": {"loss": [0.3], "val_accuracy": [np.float32(0.995)], "learning_rate": [np.nan]},
    }
    return given | changes


def hostile_inputs() -> dict[str, Any]:
    names = [HOSTILE, "$x$", "=1+1", *"三456789"]
    texts = {"title": HOSTILE, "notes": [HOSTILE], "facts": {HOSTILE: HOSTILE}}
    return inputs(errors=2, class_names=names, **texts)


def full_inputs() -> dict[str, Any]:
    """Return what `write_report` takes, with everything that may be left out."""
    given = inputs(errors=4)

    def certain_of_class_0(images: np.ndarray) -> np.ndarray:
        return np.eye(10)[np.zeros(len(images), int)]

    images, labels = given["images"], given["labels"]
    convolution = {
        "name": "conv1",
        "kind": "Conv2D",
        "output_shape": (12, 12, 24),
        "parameters": np.int64(600),
        "multiply_adds": 86_400,
    }
    dense = {
        "name": HOSTILE,
        "kind": "Dense",
        "output_shape": "10",
        "parameters": 34_570,
        "multiply_adds": 34_560,
    }
    return given | {
        "disputed": [0, 1, 50],
        "robustness": measure_robustness(certain_of_class_0, images, labels),
        "augmented": (images[:3], np.stack([images[:3]] * 9, axis=1)),
        "layers": [convolution, dense],
        "dependence": ([3, 50], np.stack([images[0] / 255.0] * 2)),
    }


class Page(HTMLParser):
    """A page taken apart; fails where an end tag does not fit."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data.replace("\N{NO-BREAK SPACE}", " "))

    def attributes(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a report full of hostile text."""
    folder = tmp_path_factory.mktemp("reports") / "new" / "run"
    write_report(folder, **hostile_inputs())
    return folder


@pytest.fixture(scope="module")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a report that has everything."""
    folder = tmp_path_factory.mktemp("reports") / "full"
    write_report(folder, **full_inputs())
    return folder


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_all_files_are_there_and_nothing_else(report: Path) -> None:
    assert sorted(path.name for path in report.iterdir()) == sorted(
        [*PICTURES, *TABLES, "report.html"]
    )


@pytest.mark.parametrize("name", [*PICTURES, "augmentation.png", "reasons.png", "robustness.png"])
def test_pictures_open_and_are_not_blank(full_report: Path, name: str) -> None:
    with Image.open(full_report / name) as image:
        image.load()
        assert image.format == "PNG"
        assert 700 <= image.width <= 1400
        assert 150 <= image.height <= 1200
        assert np.asarray(image.convert("L")).std() > 5


def test_numbers_are_written_as_json_and_csv(report: Path) -> None:
    metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["n"], metrics["errors"], metrics["accuracy"]) == (400, 2, 0.995)
    history = json.loads((report / "history.json").read_text(encoding="utf-8"))
    assert history["learning_rate"] == [None]
    assert history["val_accuracy"] == pytest.approx([0.995])
    table = (report / "classification_report.csv").read_text(encoding="utf-8")
    rows = {row["class"]: row for row in csv.DictReader(io.StringIO(table))}
    assert float(rows["accuracy"]["f1-score"]) == 0.995
    assert float(rows["$x$"]["recall"]) == pytest.approx(39 / 40)
    assert int(rows[HOSTILE]["support"]) == 40


def test_page_asks_for_nothing_outside(report: Path) -> None:
    html = (report / "report.html").read_text(encoding="utf-8")
    page = page_of(report)
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert "script" not in {tag for tag, _ in page.tags}
    assert all(
        image["src"].startswith("data:image/png;base64,") for image in page.attributes("img")
    )
    policy = next(meta for meta in page.attributes("meta") if "http-equiv" in meta)
    assert policy["content"].startswith("default-src 'none'")


def test_page_shows_hostile_text_as_text(report: Path) -> None:
    html = (report / "report.html").read_text(encoding="utf-8")
    assert HOSTILE not in html
    # Title twice, the note, the fact and its name, and the class.
    assert page_of(report).text.count(HOSTILE) >= 6


def test_page_is_html5_for_every_screen(report: Path) -> None:
    html = (report / "report.html").read_text(encoding="utf-8")
    page = page_of(report)
    assert html.startswith("<!DOCTYPE html>")
    assert page.attributes("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in page.attributes("meta"))
    assert "prefers-color-scheme: dark" in html
    images = page.attributes("img")
    assert len(images) == len(PICTURES)
    assert all(len(image["alt"]) > 30 for image in images)


def test_page_links_to_the_files_beside_it(report: Path) -> None:
    links = [link["href"] for link in page_of(report).attributes("a")]
    assert sorted(links) == sorted([*PICTURES, *TABLES])


def test_accuracy_errors_and_notes_come_before_everything_else(tmp_path: Path) -> None:
    metrics = write_report(tmp_path, **inputs(errors=1, notes=["trained on something else"]))
    assert metrics["errors"] == 1
    text = page_of(tmp_path).text
    top = text[: text.index("Misread")]
    assert "trained on something else" in top
    assert "99.75 %" in top
    assert "errors in 400 samples" in top
    assert "0 read as 1 (1)" in text


def test_perfect_model_without_facts_or_history(tmp_path: Path) -> None:
    metrics = write_report(tmp_path, **inputs(errors=0, facts={}, history={}))
    assert metrics["errors"] == 0
    text = page_of(tmp_path).text
    assert "100.00 %" in text
    assert "There is no mistake." in text
    assert "About this run" not in text


def test_same_input_gives_same_bytes_over_an_older_report(report: Path, tmp_path: Path) -> None:
    for name in ("report.html", "metrics.json"):
        (tmp_path / name).write_text("older")
    write_report(tmp_path, **hostile_inputs())
    expected = {path.name: path.read_bytes() for path in report.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == expected


def test_class_names_outside_the_font_are_kept_and_raise_no_warning(report: Path) -> None:
    assert "三" in page_of(report).text
    assert "三" in (report / "metrics.json").read_text(encoding="utf-8")


def test_nothing_is_written_where_the_input_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images of shape"):
        write_report(tmp_path / "run", **inputs(images=np.zeros((3, 28, 28), np.uint8)))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(tmp_path / "file" / "run", **inputs())


HEADINGS = [
    "Misread",
    "Confusions",
    "By class",
    "Can the confidence be trusted?",
    "What if the least sure were left to people?",
    "Robustness",
    "Robustness in numbers",
    "Samples",
    "Training",
    "Augmentation",
    "Network",
    "About this run",
    "Files",
]


def headings(page: Page) -> list[str]:
    return [word for word in page.words if word in HEADINGS]


def test_a_full_report_goes_from_the_result_to_how_it_came_about(full_report: Path) -> None:
    assert headings(page_of(full_report)) == HEADINGS


def test_what_was_not_given_is_not_in_the_report(report: Path) -> None:
    page = page_of(report)
    left_out = {"Robustness", "Robustness in numbers", "Augmentation", "Network"}
    assert headings(page) == [heading for heading in HEADINGS if heading not in left_out]
    assert "Disputed" not in page.text


def test_disputed_labels_are_said_at_the_top(full_report: Path) -> None:
    text = page_of(full_report).text
    top = text[: text.index("Misread")]
    # Samples 0 to 3 are misread; 0 and 1 are among the three disputed.
    assert "Disputed labels, on which people do not agree: 3; 2 of the errors" in top
    assert "with 2 errors in 397 samples" in top
    assert "99.50 %" in top
    metrics = json.loads((full_report / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["disputed"] == {"n": 3, "errors": 2}
    assert metrics["without_disputed"]["accuracy"] == 395 / 397


def test_robustness_is_a_picture_and_a_table(full_report: Path) -> None:
    with (full_report / "robustness.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 1 + 5 * len(CORRUPTIONS)
    assert rows[1] == {"corruption": "noise", "severity": "1", "n": "400", "accuracy": "0.1"}
    page = page_of(full_report)
    assert page.text.count("severity 3") == 1
    assert set(CORRUPTIONS) <= set(page.words)
    assert "10.0 % are read right as they are, 10.0 % on average over all corruptions" in page.text
    assert any("five severities" in image["alt"] for image in page.attributes("img"))


def test_layers_are_a_table_with_totals(full_report: Path) -> None:
    with (full_report / "layers.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == ["conv1", HOSTILE]
    assert rows[0]["output_shape"] == "12 × 12 × 24"
    assert rows[0]["parameters"] == "600"
    text = page_of(full_report).text
    assert "35,170 parameters and 120,960 multiply-adds per image" in text
    assert HOSTILE in text
    assert HOSTILE not in (full_report / "report.html").read_text(encoding="utf-8")


def test_every_picture_of_a_full_report_has_words_and_a_file(full_report: Path) -> None:
    page = page_of(full_report)
    images = page.attributes("img")
    assert len(images) == len(PICTURES) + 3
    assert all(len(image["alt"]) > 30 for image in images)
    links = {link["href"] for link in page.attributes("a")}
    assert links | {"report.html"} == {path.name for path in full_report.iterdir()}


def test_words_about_confidence_tell_the_numbers(report: Path) -> None:
    text = page_of(report).text
    # Two of 400 are wrong, all with the same confidence of 91 %.
    assert "The 400 surest samples have a mean confidence of 91.00 %, and 99.50 % of them" in text
    assert "Mistakes: 0.50 % if everything is accepted, 0.00 % if only the surest 99 %" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"disputed": [400]}, "disputed samples"),
        ({"robustness": [{"corruption": "none", "severity": 0, "n": 1, "accuracy": 1.0}]}, "rows"),
        ({"robustness": []}, "robustness rows"),
        ({"augmented": (np.zeros((2, 28, 28)), np.zeros((3, 1, 28, 28)))}, "augmented images"),
        (
            {"dependence": ([0], np.zeros((2, 28, 28)))},
            "dependence: .* one of its size",
        ),
        (
            {"dependence": ([], np.zeros((0, 28, 28)))},
            "dependence: .* one of its size",
        ),
        ({"layers": []}, "layers: give at least one"),
        ({"layers": [{"name": "conv1", "kind": "Conv2D"}]}, "each with name, kind, output_shape"),
    ],
)
def test_nothing_is_written_where_an_addition_does_not_fit(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write_report(tmp_path / "run", **inputs(**changes))
    assert not (tmp_path / "run").exists()
