"""Tables and sections of Markdown, and what they say of the machine."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def section(title: str, tables: Iterable[str], text: str = "") -> str:
    """Return a section, or nothing where there is no table for it."""
    body = "\n".join(tables)
    return f"## {title}\n\n" + (f"{text}\n\n" if text else "") + body if body else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns are of even width."""
    lines = [heads, ["---"] * len(heads), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        [f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)] for cells in lines
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded) + "\n"


def machine_of(facts: Mapping[str, Any]) -> str:
    """Return in words what a result was measured on."""
    # Runs from before the device was recorded had no GPU.
    device = facts.get("device", "CPU")
    cores = f"{facts['cores']} core{'s' * (facts['cores'] > 1)}"
    return cores + ("" if device == "CPU" else f", {device}")
