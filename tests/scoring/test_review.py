"""The page on which doubtful readings are looked through, as files and as text."""

import csv
import io
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from datasets.samples import drawn, write_images
from PIL import Image
from scoring.scored_tables import read_row, write_table

from digitflow.datasets.image_lists import read_image_list, read_listed_images
from digitflow.errors import OutputError, UsageError
from digitflow.images.reading import read_image
from digitflow.images.segmenting import find_digits
from digitflow.scoring import review
from digitflow.scoring.review import write_sheet
from digitflow.scoring.sheet import CSV_COLUMNS
from digitflow.scoring.table import Row

IMAGES = drawn(8)

# Each is a file's name that does harm where it is not taken for text.
HOSTILE = [
    b"</script><script>window.hit=1</script>.png".replace(b"/", b""),
    b'"onload="window.hit=1".png',
    b"<img src=x onerror='window.hit=1'>.png",
    b"=HYPERLINK(1).png",
    b"-rm.png",
    b"a,b;c.png",
    b"line\nbreak\r\n.png",
    b"\xff\xfe.png",
    "ü‮ 日本.png".encode(),
    b"'quoted' \"twice\".png",
    b"&amp;\\xff.png",
]


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def rows(self) -> list[dict[str, str]]:
        """Return what the CSV would say of each card, label `7`."""
        (body,) = self.all("body")
        lines = [f"7,{card['data-row']}" for card in self.all("article")]
        return list(csv.DictReader(io.StringIO("\r\n".join([str(body["data-header"]), *lines]))))


def doubtful(path: bytes, confidence: float = 0.5, status: str = "uncertain", **more) -> Row:
    return read_row(path, 7, confidence, status=status, message="look at it", **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path / "scans", {f"{n}.png": image for n, image in enumerate(IMAGES)})
    return tmp_path / "scans"


def test_the_most_doubtful_come_first_up_to_the_limit(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digitflow.scoring.table.ROW_GROUP_ROWS", 3)  # several batches
    confidences = [0.9, 0.2, 0.5, 0.4, 0.8, 0.3, 0.2, 0.1]
    rows = [doubtful(b"%d.png" % n, each) for n, each in enumerate(confidences)]
    rows[7].status = "ok"
    table = write_table(tmp_path / "t.parquet", rows, folder=folder)
    summary = write_sheet(table, tmp_path / "s.html", limit=4)
    page = Page(tmp_path / "s.html")
    assert [row["path"] for row in page.rows()] == ["1.png", "6.png", "5.png", "3.png"]
    assert (summary.n_shown, summary.n_found, summary.n_without_picture) == (4, 7, 0)
    assert summary.in_words() == f"4 of 7 readings: {tmp_path / 's.html'}"
    assert "4 of 7 readings that are uncertain" in page.text
    assert "look at it" in page.text


def test_it_is_told_what_was_read_and_how_surely(tmp_path: Path, folder: Path) -> None:
    table = write_table(tmp_path / "t.parquet", [doubtful(b"0.png", 0.64)], folder=folder)
    write_sheet(table, tmp_path / "s.html")
    page = Page(tmp_path / "s.html")
    (field,) = page.all("select")
    assert field["data-read"] == "7"
    assert "uncertain: 7 64.0\N{NO-BREAK SPACE}% " in page.text
    assert [option["value"] for option in page.all("option")] == ["", "-", *"0123456789"]
    (row,) = page.rows()
    assert (row["read"], row["confidence"]) == ("7", "0.6400")


def test_every_name_is_text_on_the_page_and_in_the_csv(tmp_path: Path, folder: Path) -> None:
    for name in HOSTILE:
        shutil.copy(folder / "0.png", folder / os.fsdecode(name))
    table = write_table(tmp_path / "t.parquet", [doubtful(name) for name in HOSTILE], folder=folder)
    assert write_sheet(table, tmp_path / "s.html").n_without_picture == 0
    page = Page(tmp_path / "s.html")
    assert [len(page.all(tag)) for tag in ("script", "article", "img")] == [1, 11, 11]
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert str(attributes.get("src", "data:")).startswith("data:")
    for row in page.rows():
        assert not any(str(cell).startswith(("=", "+", "-", "@")) for cell in row.values())
        assert all(str(cell).isprintable() for cell in row.values())


@pytest.mark.parametrize("name", [b"scans", b"=scans", b"\xff\n"])
def test_the_csv_finds_every_image_again(tmp_path: Path, folder: Path, name: bytes) -> None:
    root = folder.rename(tmp_path / os.fsdecode(name))
    for place, hostile in enumerate(HOSTILE):
        shutil.copy(root / f"{place % 8}.png", root / os.fsdecode(hostile))
    table = write_table(tmp_path / "t.parquet", [doubtful(n) for n in HOSTILE], folder=root)
    write_sheet(table, tmp_path / "s.html", images=root)
    with (tmp_path / "answers.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS)
        writer.writeheader()
        writer.writerows(Page(tmp_path / "s.html").rows())
    listed, _ = read_image_list(tmp_path / "answers.csv")
    found = [os.path.relpath(each.path, os.fsencode(root)) for each in listed]
    assert sorted(found) == sorted(HOSTILE)
    images = read_listed_images(tmp_path / "answers.csv", listed)
    np.testing.assert_array_equal(
        images, [IMAGES[HOSTILE.index(os.path.normpath(name)) % 8] for name in found]
    )


def test_missing_and_changed_images_are_said(tmp_path: Path, folder: Path) -> None:
    good = read_image(folder / "0.png").content_hash
    rows = [
        doubtful(b"0.png", 0.1, content_hash=good),
        doubtful(b"1.png", 0.2, content_hash=good),
        doubtful(b"none.png", 0.3),
        doubtful(b"../s.html", 0.4),
        doubtful(b"/etc/passwd", 0.5),
    ]
    table = write_table(tmp_path / "t.parquet", rows, folder=folder)
    summary = write_sheet(table, tmp_path / "s.html")
    page = Page(tmp_path / "s.html")
    assert summary.in_words().startswith("5 of 5 readings, 3 without picture: ")
    assert page.text.count("changed since it was scored") == 1
    assert page.text.count("no such file") == 1
    assert page.text.count("lies outside of the folder") == 2
    # What cannot be seen cannot be answered; what changed is answered as it is now.
    assert len(page.all("select")) == 2
    assert page.rows()[1]["content_hash"] == read_image(folder / "1.png").content_hash


def test_any_status_can_be_looked_at(tmp_path: Path, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"no image")
    rows = [
        doubtful(b"0.png", 0.99, "ok"),
        doubtful(b"1.png", 0.4, "rejected"),
        Row(b"2.png", status="blank", reason="no_ink", message="nothing is written here"),
        Row(b"broken.png", status="error", reason="unreadable", message="is no image"),
    ]
    table = write_table(tmp_path / "t.parquet", rows, folder=folder)
    write_sheet(table, tmp_path / "s.html", statuses=review.STATUSES)
    page = Page(tmp_path / "s.html")
    assert [row["path"] for row in page.rows()] == ["1.png", "0.png", "2.png", "broken.png"]
    # From a blank nothing can be learned, and what cannot be read cannot be answered.
    assert len(page.all("select")) == 2
    write_sheet(table, tmp_path / "s.html", statuses=["blank", "error"])
    assert len(Page(tmp_path / "s.html").all("article")) == 2
    with pytest.raises(UsageError, match="has no rows of status uncertain"):
        write_sheet(table, tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


def test_each_of_several_digits_is_shown_and_found_again(tmp_path: Path) -> None:
    line = np.zeros((80, 240), np.uint8)
    for left in (20, 90, 160):
        line[20:60, left : left + 14] = 255
    write_images(tmp_path / "pages", {"a.png": 255 - line})
    found = [each.digit for each in find_digits(255 - line)]
    rows = [
        doubtful(b"a.png", 0.5 + n / 10, segment=n, x=d.x, y=d.y, width=d.width, height=d.height)
        for n, d in enumerate(found)
    ]
    table = write_table(tmp_path / "t.parquet", rows, folder=tmp_path / "pages")
    write_sheet(table, tmp_path / "s.html")
    page = Page(tmp_path / "s.html")
    spans = [span for span in page.all("span") if span.get("class") == "outline"]
    assert len(spans) == len(found) == 3
    assert page.rows()[1]["x"] == str(found[1].x)
    assert f"{found[1].width} × {found[1].height} px at {found[1].x}, {found[1].y}" in page.text


def test_boxes_that_do_not_fit_the_image_do_no_harm(tmp_path: Path, folder: Path) -> None:
    boxes = [(-9, -9, 3, 3), (900, 900, 5, 5), (0, 0, 0, 0), (3, 3, 10**9, 1)]
    rows = [
        doubtful(b"%d.png" % n, x=x, y=y, width=width, height=height, segment=n)
        for n, (x, y, width, height) in enumerate(boxes)
    ]
    table = write_table(tmp_path / "t.parquet", rows, folder=folder)
    assert write_sheet(table, tmp_path / "s.html").n_without_picture == 0


def test_pictures_are_small_whatever_they_were(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.effect_noise((3000, 2000), 90).save(tmp_path / "photos" / "0.jpg")
    rows = [doubtful(b"0.jpg", x=5, y=5, width=2900, height=1900)] * 20
    table = write_table(tmp_path / "t.parquet", rows, folder=tmp_path / "photos")
    write_sheet(table, tmp_path / "s.html")
    assert (tmp_path / "s.html").stat().st_size < 20 * 20_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "t.parquet"}, r"let its name end in \.html"),
        ({"limit": 0}, "limit is 0"),
        ({"images": "none"}, "--images: the folder .*none is not here"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, folder: Path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    table = write_table(tmp_path / "t.parquet", [doubtful(b"0.png")], folder=folder)
    before = table.read_bytes()
    with pytest.raises(UsageError, match=message):
        write_sheet(table, **({"output": "s.html"} | options))
    assert table.read_bytes() == before
    assert not (tmp_path / "s.html").exists()


def test_a_folder_that_moved_can_be_named(tmp_path: Path, folder: Path) -> None:
    table = write_table(tmp_path / "t.parquet", [doubtful(b"0.png")], folder=folder)
    moved = folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"scans is not here; name it with --images"):
        write_sheet(table, tmp_path / "s.html")
    assert write_sheet(table, tmp_path / "s.html", images=moved).n_without_picture == 0


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path, folder: Path) -> None:
    table = write_table(tmp_path / "t.parquet", [doubtful(b"0.png")], folder=folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_sheet(table, tmp_path / "file" / "s.html")


def test_the_same_table_gives_the_same_page(tmp_path: Path, folder: Path) -> None:
    table = write_table(tmp_path / "t.parquet", [doubtful(b"0.png")] * 3, folder=folder)
    for name in ("a.html", "b.html"):
        write_sheet(table, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_images_in_a_store_are_said_to_be_there(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", [doubtful(b"0.png")], folder="s3://bucket/scans")
    with pytest.raises(UsageError, match=r"its images are in a store; copy them .* --images"):
        write_sheet(table, tmp_path / "s.html")
