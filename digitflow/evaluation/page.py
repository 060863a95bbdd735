"""The report as one page of HTML: numbers, pictures and facts, with nothing fetched from outside.

Every function returns a piece of HTML; all text passes through `html.escape`.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from digitflow.evaluation.metrics import percent

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --link: #0969da; --warning-paper: #fff4e5; --warning-line: #b84a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --ink: #e6edf3; --soft: #9da7b1; --line: #30363d; --card: #1b2129;
    --link: #6cb6ff; --warning-paper: #33230f; --warning-line: #f08a3c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 83rem; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; }
p { max-width: 46rem; margin: .25rem 0 .75rem; }
a { color: var(--link); }
.note {
  margin: .75rem 0; padding: .7rem 1rem; max-width: none; overflow-wrap: anywhere;
  background: var(--warning-paper); border-left: .35rem solid var(--warning-line);
}
.headline { display: flex; flex-wrap: wrap; gap: .5rem 3.5rem; margin: 1.25rem 0 1rem; }
.headline div, .figures div {
  display: flex; flex-direction: column-reverse; justify-content: flex-end;
}
.headline dt, .figures dt { color: var(--soft); }
.headline dd { margin: 0; font-size: clamp(2.6rem, 9vw, 4rem); font-weight: 700; line-height: 1.1; }
.disputed { margin: 1rem 0 0; max-width: none; }
.headline dd, .figures dd, td { font-variant-numeric: tabular-nums; }
.figures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .6rem;
  margin: 0;
}
.figures div { padding: .6rem .9rem; background: var(--card); border-radius: .4rem; }
.figures dt { font-size: .9rem; }
.figures dd { margin: 0; font-size: 1.2rem; font-weight: 600; }
figure { margin: .75rem 0 0; }
.picture {
  overflow-x: auto; background: #ffffff; border: 1px solid var(--line); border-radius: .4rem;
}
.picture img { display: block; margin: 0 auto; height: auto; max-width: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; }
th { vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; }
.numbers th:not(:first-child, .text), .numbers td:not(.text) {
  text-align: right; padding-left: 1rem;
}
.facts th { color: var(--soft); font-weight: 400; }
.facts td { overflow-wrap: anywhere; min-width: 8rem; }
@media (max-width: 48rem) {
  .picture img { max-width: none; width: 46rem; }
}
@media print {
  .picture { overflow: visible; break-inside: avoid; }
}
"""

#: Forbids the page to load anything but what it carries.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Picture:
    """A picture of the report."""

    name: str  # of its file, beside the report
    heading: str
    explanation: str  # one or two sentences for the reader
    alternative: str  # what it shows, for those who cannot see it
    png: bytes


@dataclass(frozen=True)
class Table:
    """A table of the report: counts are whole numbers, shares are floats from 0 to 1."""

    heading: str
    explanation: str  # one or two sentences for the reader
    rows: Sequence[Mapping[str, Any]]  # alike; the first column names the row


def report_page(
    title: str,
    notes: Sequence[str],
    metrics: Mapping[str, Any],
    sections: Sequence[Picture | Table],
    facts: Mapping[str, str],
    files: Sequence[str],
) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
    notes : sequence of str
        Warnings, shown in boxes above everything else.
    metrics : mapping
        As `digitflow.evaluation.metrics.compute_metrics` returns it.
    sections : sequence of Picture or Table
        In the order of the page.
    facts : mapping of str to str
        What a reader should know about the run.
    files : sequence of str
        Names of the files beside the page, to link to.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<header>",
            f"<h1>{escape(title)}</h1>",
            *(
                f'<p class="note" role="note"><strong>Note:</strong> {escape(note)}</p>'
                for note in notes
            ),
            _headline(metrics),
            _figures(metrics),
            _disputed(metrics),
            "</header>",
            "<main>",
            *(_picture(part) if isinstance(part, Picture) else _table(part) for part in sections),
            _section("About this run", _facts_table(facts)) if facts else "",
            _section("Files", _links(files)),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _headline(metrics: Mapping[str, Any]) -> str:
    low, high = metrics["accuracy_interval_95"]
    return _definitions(
        "headline",
        [
            (
                f"accuracy (95 % interval {percent(low)} to {percent(high)})",
                percent(metrics["accuracy"]),
            ),
            (f"errors in {metrics['n']:,} samples", f"{metrics['errors']:,}"),
        ],
    )


def _figures(metrics: Mapping[str, Any]) -> str:
    return _definitions(
        "figures",
        [
            ("macro F1", percent(metrics["macro_f1"])),
            ("right in two guesses", percent(metrics["top_2_accuracy"])),
            ("mean confidence", percent(metrics["mean_confidence"])),
            ("calibration error", percent(metrics["expected_calibration_error"])),
            ("log loss", f"{metrics['log_loss']:.4f}"),
            ("Brier score", f"{metrics['brier_score']:.4f}"),
        ],
    )


def _disputed(metrics: Mapping[str, Any]) -> str:
    if "disputed" not in metrics:
        return ""
    disputed, rest = metrics["disputed"], metrics["without_disputed"]
    low, high = rest["accuracy_interval_95"]
    return (
        f'<p class="disputed">Disputed labels, on which people do not agree: {disputed["n"]:,};'
        f" {disputed['errors']:,} of the errors are among them. Without them the accuracy is"
        f" <strong>{percent(rest['accuracy'])}</strong>, with {rest['errors']:,} errors in"
        f" {rest['n']:,} samples (95 % interval {percent(low)} to {percent(high)}).</p>"
    )


def _definitions(kind: str, items: Iterable[tuple[str, str]]) -> str:
    rows = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in items)
    return f'<dl class="{kind}">{"".join(rows)}</dl>'


def _section(heading: str, content: str) -> str:
    return f"<section>\n<h2>{escape(heading)}</h2>\n{content}\n</section>"


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    image = f'<img src="data:image/png;base64,{data}" alt="{escape(picture.alternative)}">'
    return _section(
        picture.heading,
        f"<p>{escape(picture.explanation)}</p>\n"
        f'<figure class="picture" tabindex="0">{image}</figure>',
    )


def _table(table: Table) -> str:
    columns = list(table.rows[0])
    texts = {
        c for c in columns[1:] if any(isinstance(row[c], str) and row[c] for row in table.rows)
    }
    kind = {column: ' class="text"' if column in texts else "" for column in columns}
    head = "".join(f'<th scope="col"{kind[column]}>{escape(column)}</th>' for column in columns)
    body = "\n".join(
        f'<tr><th scope="row">{escape(str(row[columns[0]]))}</th>'
        + "".join(f"<td{kind[column]}>{_cell(row[column])}</td>" for column in columns[1:])
        + "</tr>"
        for row in table.rows
    )
    return _section(
        table.heading,
        f"<p>{escape(table.explanation)}</p>\n"
        '<div class="scroll" tabindex="0"><table class="numbers">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>",
    )


def _cell(value: str | float | int) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return escape(value if isinstance(value, str) else percent(value))


def _facts_table(facts: Mapping[str, str]) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f'<table class="facts">\n<tbody>\n{rows}\n</tbody>\n</table>'


def _links(files: Sequence[str]) -> str:
    items = "".join(f'<li><a href="{quote(name)}">{escape(name)}</a></li>' for name in files)
    return f"<ul>{items}</ul>"
