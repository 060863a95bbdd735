"""The review page in a real browser: typed answers, what is saved, what hostile names do."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browsing
from datasets.samples import drawn, write_images
from scoring.scored_tables import NAMES, write_table
from scoring.test_review import HOSTILE, doubtful

from digitflow import load_dataset
from digitflow.scoring.review import write_sheet

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

IMAGES = drawn(12)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a page of twelve images, 0.png to 11.png, each read as 7."""
    write_images(tmp_path / "scans", {f"{n}.png": image for n, image in enumerate(IMAGES)})
    rows = [doubtful(b"%d.png" % n, 0.3 + n / 100) for n in range(12)]
    table = write_table(tmp_path / "night.parquet", rows, folder=tmp_path / "scans")
    write_sheet(table, tmp_path / "sheet.html")
    return tmp_path / "sheet.html"


def answers(browser: Browser) -> list[str]:
    return browser.evaluate("fields.map((field) => field.value)")


def saved(browser: Browser, folder: Path) -> Path:
    """Press the button, and return the file that the browser has saved."""
    browser.call(
        "Browser.setDownloadBehavior",
        behavior="allow",
        downloadPath=str(folder),
        eventsEnabled=True,
    )
    browser.evaluate("save.click()")
    name = browser.wait_for("Browser.downloadWillBegin")["suggestedFilename"]
    browser.wait_for("Browser.downloadProgress", state="completed")
    return folder / name


def test_typed_answers_become_a_data_set(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    assert browser.evaluate("save.disabled")
    # The first key needs no picture chosen; Enter agrees with the 7 that was read.
    browser.press("3", "Enter", "-", "Tab", "3", "x", "5", "Backspace", "3", "Enter")
    assert answers(browser)[:8] == ["3", "7", "-", "", "3", "5", "3", "7"]
    browser.press(*"7373")
    assert browser.evaluate("progress.textContent") == "11 of 12 answered"

    data = load_dataset(saved(browser, tmp_path))

    assert data.name == "night-answers"
    assert data.class_names == ("3", "5", "7")
    assert "1 rows without a label left out" in data.source
    label = {image.tobytes(): data.class_names[k] for image, k in zip(data.images, data.labels)}  # noqa: B905
    given = ["3", "7", "-", "", "3", "5", "3", "7", "7", "3", "7", "3"]
    expected = {IMAGES[n].tobytes(): given[n] for n in range(12)}
    assert label.items() <= expected.items()
    assert len(label) == 8  # without what is held out for the test: 1 of each 4 or 5


def test_answers_outlive_the_page_but_not_in_another(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    browser.open(page)
    browser.press("1", "2")
    browser.open(page)
    assert answers(browser)[:3] == ["1", "2", ""]
    other = write_table(tmp_path / "o.parquet", [doubtful(b"5.png")], folder=tmp_path / "scans")
    write_sheet(other, tmp_path / "other.html")
    browser.open(tmp_path / "other.html")
    assert answers(browser) == [""]


def test_backspace_takes_back_and_keys_of_the_browser_are_left_alone(browser: Browser, page: Path):
    browser.open(page)
    browser.press("4")
    browser.evaluate("fields[0].focus()")
    browser.press("Backspace")
    assert answers(browser)[0] == ""
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="5", modifiers=2)
    browser.press("q", " ")
    assert set(answers(browser)) == {""}


def test_nothing_is_fetched_and_no_name_is_code(browser: Browser, tmp_path: Path) -> None:
    write_images(tmp_path / "scans", {"0.png": IMAGES[0]})
    for name in HOSTILE:
        shutil.copy(tmp_path / "scans" / "0.png", tmp_path / "scans" / os.fsdecode(name))
    rows = [doubtful(name) for name in HOSTILE]
    table = write_table(tmp_path / "t.parquet", rows, folder=tmp_path / "scans")
    write_sheet(table, tmp_path / "sheet.html")
    browser.events.clear()
    browser.open(tmp_path / "sheet.html")
    browser.press(*NAMES, "1")
    assert browser.evaluate("window.hit") is None
    assert browser.evaluate("answered().length") == len(HOSTILE)
    content = saved(browser, tmp_path).read_bytes()
    assert content.startswith("\ufefflabel,path,".encode())
    assert content.count(b"\n") == content.count(b"\r\n") == 1 + len(HOSTILE)
    kinds = [str(event.get("method")) for event in browser.events]
    requests = [e for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    schemes = {event["params"]["request"]["url"].partition(":")[0] for event in requests}
    assert schemes <= {"file", "data", "blob"}
    assert not {"Log.entryAdded", "Runtime.exceptionThrown"} & {*kinds}
    texts = browser.evaluate("[...document.querySelectorAll('h2')].map((each) => each.textContent)")
    assert "=HYPERLINK(1).png" in texts
    assert "line\\nbreak\\r\\n.png" in texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_every_screen_and_is_legible(browser: Browser, page: Path, scheme: str, width: int):
    size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", features=features)
    browser.open(page)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    sides = "Math.max(image.naturalWidth, image.naturalHeight)"
    assert browser.evaluate(f"[...document.images].every((image) => {sides} === 112)")
    contrasts = np.array(browser.evaluate(CONTRASTS))
    assert len(contrasts) > 20
    assert contrasts.min() >= 4.5
    named = browser.evaluate("fields.every((each) => each.labels.length === 1)")
    assert named


# The contrast of every text with what lies behind it, after WCAG 2.
CONTRASTS = """
(() => {
  const luminance = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? behind(element.parentElement) : colour;
  };
  return [...document.querySelectorAll("h1, h2, p, label, select, output, kbd, b, button:enabled")]
    .map((element) => {
      const [a, b] = [getComputedStyle(element).color, behind(element)].map(luminance);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
})()
"""
