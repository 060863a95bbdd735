"""What the site adds to the reference: docstrings of what digitflow exports, and `--help`.

A hook of MkDocs (see mkdocs.yml). On a code host, the pages tell where to find the same.
"""

import argparse
import os
from collections.abc import Iterator
from typing import Any

import digitflow
from digitflow.cli import command_line


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page with what is generated for it below."""
    additions = {"python.md": docstrings, "commands.md": help_texts}
    addition = additions.get(page.file.src_uri)
    return f"{markdown}\n{addition()}" if addition else markdown


def docstrings() -> str:
    """Return what mkdocstrings takes for the docstring of each public name."""
    return "\n".join(f"::: digitflow.{name}\n" for name in digitflow.__all__)


def help_texts() -> str:
    """Return what each command says of itself, as sections."""
    os.environ["COLUMNS"] = "90"
    sections = (
        f"## {parser.prog}\n\n```text\n{parser.format_help()}```\n"
        for parser in _with_commands(command_line())
    )
    return "\n".join(sections)


def _with_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _with_commands(command)
