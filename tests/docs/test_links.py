"""Links between the pages, as a code host follows them; of docs/ alone the site's build tells."""

import re
from pathlib import Path

import pytest
from documents import PAGES, REPOSITORY

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as code hosts make them."""
    text = _BLOCK.sub("", page.read_text())
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(name: str):
    page = REPOSITORY / name
    dead = []
    for link in _LINK.findall(_BLOCK.sub("", page.read_text())):
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            dead.append(link)

    assert dead == []


def test_a_dead_link_would_be_noticed():
    assert "a-dataset-that-grows" in anchors_of(PAGES["docs/scoring.md"])
    assert "no-such-heading" not in anchors_of(PAGES["docs/scoring.md"])
