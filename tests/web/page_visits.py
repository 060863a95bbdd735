"""Visits to the page in a browser, and what a person does there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from browser import CHROMIUM
from playwright.sync_api import Browser, Page, expect, sync_playwright

#: A list of points: shares of the paper's side, y downward.
Stroke = Sequence[tuple[float, float]]
Strokes = Sequence[Stroke]

_DEADLINE = 15_000  # ms that anything on the page may take

_HOSTS = ("127.0.0.1", "localhost")


@contextmanager
def browsing(camera: Path) -> Iterator[Browser]:
    """Start Chromium, with a file of JPEG pictures for a camera."""
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


class Visit:
    """One person's visit: what they do, and what they are shown."""

    def __init__(
        self, browser: Browser, address: str, screenshots: Path, **surroundings: Any
    ) -> None:
        self.screenshots = screenshots
        self.expected: list[str] = []  # parts of complaints that the console may hold
        self.context = browser.new_context(**surroundings)
        self.context.set_default_timeout(_DEADLINE)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page: Page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def __getitem__(self, selector: str) -> Any:
        """Return a part of the page by its CSS selector."""
        return self.page.locator(selector)

    def press(self, point: tuple[float, float]) -> None:
        """Press the mouse on the paper."""
        self.page.mouse.move(*self._on_paper([point])[0])
        self.page.mouse.down()

    def draw(self, strokes: Strokes) -> None:
        """Draw with the mouse."""
        for stroke in strokes:
            points = self._on_paper(stroke)
            self.page.mouse.move(*points[0])
            self.page.mouse.down()
            for point in points[1:]:
                self.page.mouse.move(*point)
            self.page.mouse.up()

    def touch(self, strokes: Strokes) -> None:
        """Draw with a finger."""
        device = self.context.new_cdp_session(self.page)
        for stroke in strokes:
            kind = "touchStart"
            for x, y in self._on_paper(stroke):
                points = [{"x": x, "y": y}]
                device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
                kind = "touchMove"
            device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def _on_paper(self, points: Stroke) -> list[tuple[float, float]]:
        box = self["#drawing"].bounding_box()
        return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]

    def give(self, *files: Path) -> None:
        """Choose files, as from the dialog."""
        self["#files"].set_input_files([str(file) for file in files])

    def settle(self) -> None:
        """Wait until what is on the paper has been answered."""
        expect(self["#answer"]).to_have_attribute("aria-busy", "false", timeout=_DEADLINE)

    def read(self) -> tuple[str, str]:
        """Return the status and the large figure, once they stand."""
        self.settle()
        return self["#answer"].get_attribute("data-status"), self["#figure"].inner_text()

    def wait_for(self, selector: str, text: str) -> None:
        expect(self[selector]).to_contain_text(text, timeout=_DEADLINE)

    def picture(self, name: str) -> None:
        """Keep a screenshot of the whole page."""
        self.page.mouse.move(1, 1)
        self.page.screenshot(path=self.screenshots / f"{name}.png", full_page=True)

    def leave(self) -> None:
        """Leave, and check that nothing left the machine and the console stayed silent."""
        self.context.close()
        for request in self.requests:
            address = urlsplit(request)
            assert address.scheme in ("blob", "data") or address.hostname in _HOSTS, request
        unexpected = [
            complaint
            for complaint in self.complaints
            if not any(text in complaint for text in self.expected)
        ]
        assert unexpected == []


Visitor = Callable[..., Visit]
