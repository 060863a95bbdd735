"""The site of docs/: built without a warning, whole, and with nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import CHROMIUM, browsing

import digitflow

_FETCHED = re.compile(
    r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["'](?:https?:)?//[^"']*["'][^>]*>"""
    r"""|(?:url\(|@import )["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not importlib.util.find_spec("mkdocs") or not importlib.util.find_spec("mkdocstrings"):
        pytest.skip('needs MkDocs: pip install -e ".[docs]" -c constraints.txt')
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", target],
        cwd=repository,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return target


def test_every_page_is_there(site: Path, repository: Path):
    pages = {page.stem for page in (repository / "docs").glob("*.md")}

    assert pages <= {page.stem for page in site.glob("*.html")}
    home = (site / "index.html").read_text()
    assert [page for page in pages - {"index"} if f'href="{page}.html"' not in home] == []


def test_the_reference_has_every_public_name_and_every_command(site: Path):
    python, commands = ((site / f"{page}.html").read_text() for page in ("python", "commands"))

    assert [name for name in digitflow.__all__ if f'id="digitflow.{name}"' not in python] == []
    for command in ("predict", "score", "drift", "review", "models", "serve", "runs"):
        assert f"usage: digitflow {command} " in commands


def test_a_page_fetches_nothing_from_elsewhere(site: Path):
    fetched = {
        found[0]
        for file in [*site.rglob("*.html"), *site.rglob("*.css")]
        for found in _FETCHED.finditer(file.read_text())
        if 'rel="canonical"' not in found[0]
    }

    assert fetched == set()


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    handler = partial(_Silent, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_asks_nobody_else_and_says_nothing(address: str, tmp_path: Path):
    with browsing(tmp_path / "profile") as browser:
        loader = browser.call("Page.navigate", url=f"{address}index.html#__search")["loaderId"]
        browser.wait_for("Page.lifecycleEvent", name="networkIdle", loaderId=loader)
        heading = browser.evaluate("document.querySelector('h1').textContent")
    asked = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    said = [event for event in browser.events if event.get("method") == "Log.entryAdded"]

    assert heading.startswith("digitflow")
    assert f"{address}search/search_index.json" in asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert said == []
