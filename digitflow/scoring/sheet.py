"""The page of a review: cards with pictures, and answers that are saved as CSV.

Whatever a file or a class may be called, it is text: in HTML through `html.escape`, in CSV through
`csv`. A spreadsheet takes no cell for a formula, and no name for two lines.
"""

import base64
import csv
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from digitflow.evaluation.metrics import percent
from digitflow.scoring.scored import shown

#: The columns of the CSV that the page saves; `digitflow.datasets.image_lists` reads them.
CSV_COLUMNS = (
    "label", "path", "folder", "path_bytes", "x", "y", "width", "height", "content_hash", "read",
    "confidence",
)  # fmt: skip

# Nothing is fetched, and no script runs but the page's own.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_TOLD_CLASSES = 3  # the most probable
_NO_ANSWER, _NO_DIGIT = "", "-"


@dataclass(frozen=True)
class Card:
    """One reading."""

    path: bytes  # below the folder
    status: str
    message: str  # why it is doubtful, or what is wrong with the image; may be empty
    label: str | None  # what was read
    confidence: float | None
    probabilities: tuple[float, ...]  # of each class; empty where nothing was read
    box: tuple[int, ...] | None  # x, y, width, height, px, where the image may have several digits
    content_hash: str  # of the image shown
    png: bytes | None  # None where there is no picture
    outline: tuple[float, ...] | None  # left, top, width, height of the box in the picture, 0..1

    @property
    def can_teach(self) -> bool:
        """Whether a label for it can become training data."""
        return self.png is not None and self.status != "blank"


@dataclass(frozen=True)
class Sheet:
    """All that is on the page."""

    table: str  # the scored table's name
    model: str  # in words
    class_names: tuple[str, ...]
    folder: bytes  # of the images, absolute
    statuses: tuple[str, ...]
    n_found: int  # readings of these statuses, shown or not
    cards: tuple[Card, ...]


def sheet_page(sheet: Sheet) -> str:
    """Return the page as HTML."""
    rows = [_csv_line(_cells(card, sheet.folder)) for card in sheet.cards]
    cards = (
        _card(card, row, place, sheet)
        for place, (card, row) in enumerate(zip(sheet.cards, rows, strict=True))
    )
    identity = hashlib.sha256("".join(rows).encode()).hexdigest()[:16]
    script = _file("sheet.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"{_POLICY}; script-src 'sha256-{digest}'"
    title = f"Review of {sheet.table}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{_file('sheet.css')}</style>",
            "</head>",
            f'<body data-sheet="{identity}" data-header="{escape(_csv_line(CSV_COLUMNS))}"'
            f' data-file="{escape(_csv_name(sheet.table))}">',
            "<header>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(_introduction(sheet))}</p>",
            _INSTRUCTIONS,
            "</header>",
            _BAR,
            "<main>",
            *cards,
            "</main>",
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


_INSTRUCTIONS = """\
<p id="keys">Type what a picture shows; the next is then chosen.
<kbd>Enter</kbd> it was read rightly ·
<kbd>-</kbd> it shows no digit, or several ·
<kbd>Backspace</kbd> take back ·
<kbd>Tab</kbd> skip</p>
<noscript><p class="problem">Without scripts the pictures can be looked at, but no answer is
kept.</p></noscript>"""

_BAR = """\
<div class="bar">
<output id="progress" aria-live="polite"></output>
<button type="button" id="save">Save answers as CSV</button>
</div>"""


def _introduction(sheet: Sheet) -> str:
    n, words = len(sheet.cards), " or ".join(sheet.statuses)
    what = f"{n:,} of {sheet.n_found:,}" if n < sheet.n_found else f"All {n:,}"
    return f"{what} readings that are {words}, the most doubtful first. Model {sheet.model}."


def _card(card: Card, row: str, place: int, sheet: Sheet) -> str:
    name = shown(Path(os.fsdecode(card.path)))
    title = f"path{place}"
    parts = [
        f'<article class="card" aria-labelledby="{title}" data-row="{escape(row)}">',
        _picture(card, name),
        f'<h2 id="{title}">{escape(name)}</h2>',
        '<p class="box">{2} × {3} px at {0}, {1}</p>'.format(*card.box) if card.box else "",
        f'<p class="read">{_reading(card, sheet.class_names)}</p>',
        f'<p class="{"message" if card.png else "problem"}">{escape(card.message)}</p>'
        if card.message
        else "",
        _answer(card, place, sheet.class_names) if card.can_teach else "",
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def _picture(card: Card, name: str) -> str:
    if card.png is None:
        return '<div class="picture none">no picture</div>'
    data = base64.b64encode(card.png).decode("ascii")
    outline = ""
    if card.outline:
        sides = zip(("left", "top", "width", "height"), card.outline, strict=True)
        style = ";".join(f"{side}:{100 * share:.1f}%" for side, share in sides)
        outline = f'<span class="outline" style="{style}"></span>'
    return (
        f'<div class="picture"><div><img src="data:image/png;base64,{data}"'
        f' alt="{escape(name)}" decoding="async">{outline}</div></div>'
    )


def _reading(card: Card, class_names: Sequence[str]) -> str:
    if card.label is None:
        return escape(card.status)
    best = sorted(zip(card.probabilities, class_names, strict=False), reverse=True)
    told = (
        f"<span><b>{escape(name)}</b> {percent(share, 1)}</span>"
        for share, name in best[:_TOLD_CLASSES]
    )
    return f"{escape(card.status)}: {' '.join(told)}"


def _answer(card: Card, place: int, class_names: Sequence[str]) -> str:
    """Return the field for what the picture shows; its values are ready to be cells."""
    none = _NO_DIGIT if _NO_DIGIT not in class_names else "no digit"
    choices = [(_NO_ANSWER, "no answer"), (none, "no digit")]
    choices += [(name, name) for name in class_names]
    options = "".join(
        f'<option value="{escape(value)}" data-cell="{escape(_csv_cell(value, none))}">'
        f"{escape(said)}</option>"
        for value, said in choices
    )
    read = f' data-read="{escape(card.label)}"' if card.label is not None else ""
    return (
        f'<p class="answer"><label for="answer{place}">shows</label>'
        f'<select id="answer{place}" autocomplete="off" aria-describedby="path{place} keys"{read}>'
        f"{options}</select></p>"
    )


def _csv_cell(value: str, none: str) -> str:
    """Return what the CSV says for an answer: nothing where it is no digit."""
    return "" if value in (_NO_ANSWER, none) else _csv_line([_harmless(value, " ")])


def _cells(card: Card, folder: bytes) -> Iterator[str]:
    """Yield the cells of a reading, all but the first, which is the answer."""
    path, where, raw = _written(card.path), _written(folder), ""
    if path.encode() != card.path or where.encode() != folder:
        where, raw = "", f"0x{(folder + b'/' + card.path).hex()}"
    yield _harmless(path, "./")
    yield where
    yield raw
    yield from map(str, card.box or [""] * 4)
    yield card.content_hash
    yield _harmless(card.label or "", " ")
    yield "" if card.confidence is None else f"{card.confidence:.4f}"


def _written(path: bytes) -> str:
    return shown(Path(os.fsdecode(path)))


def _harmless(cell: str, before: str) -> str:
    """Put something before what a spreadsheet would take for a formula, and readers drop."""
    return before + cell if cell.startswith(("=", "+", "-", "@")) else cell


def _csv_line(cells: Sequence[str] | Iterator[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="").writerow(list(cells))
    return line.getvalue()


def _csv_name(table: str) -> str:
    """Return what the CSV is called when it is saved."""
    stem = Path(table).name.removesuffix(".parquet")
    return (
        "".join(each if each.isalnum() or each in "-_." else "-" for each in stem)[:60]
        + "-answers.csv"
    )


@cache
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")
