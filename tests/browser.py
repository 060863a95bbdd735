"""A real browser, driven over its debugging pipe; nothing but Chromium itself is needed."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

_DEADLINE = 60  # seconds that any answer may take


class Browser:
    """One page of a browser."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._number, self._buffer, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do something, and return what it answers."""
        self._send(method, parameters)
        number = self._number
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
            if answer.get("method") == "Page.javascriptDialogOpening":  # "leave this page?"
                self._send("Page.handleJavaScriptDialog", {"accept": True})
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def wait_for(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the next event of a kind, with these parameters."""

        def fits(event: dict[str, Any]) -> bool:
            given = event.get("params", {})
            return event.get("method") == method and parameters.items() <= given.items()

        while not (found := [event for event in self.events if fits(event)]):
            self.events.append(self._next())
        self.events.remove(found[0])
        return found[0]["params"]

    def open(self, page: Path) -> None:
        loader = self.call("Page.navigate", url=page.absolute().as_uri())["loaderId"]
        self.wait_for("Page.lifecycleEvent", name="load", loaderId=loader)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys, named as JavaScript does: "7", "Enter"."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            code = {"Enter": 13, "Backspace": 8, "Tab": 9}.get(key, ord(key[0]))
            pressed = {"key": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown", **pressed, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def screenshot(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def _send(self, method: str, parameters: dict[str, Any]) -> None:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _DEADLINE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            content = os.read(self._reading, 1 << 16)
            assert content, "the browser is gone"
            self._buffer += content
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Start Chromium with a profile of its own, without a window, and end it afterwards."""
    to_browser, from_browser = os.pipe(), os.pipe()
    # Chromium reads its commands from descriptor 3 and answers on 4.
    command = (
        f'exec "$0" --headless --no-sandbox --disable-gpu --user-data-dir="$1" '
        f"--remote-debugging-pipe 3<&{to_browser[0]} 4>&{from_browser[1]} >/dev/null 2>&1"
    )
    process = subprocess.Popen(
        ["bash", "-c", command, str(CHROMIUM), str(profile)],
        pass_fds=(to_browser[0], from_browser[1]),
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        browser = Browser(from_browser[0], to_browser[1])
        yield browser
        browser._session = ""
        browser.call("Browser.close")
    finally:
        process.kill()
        process.wait()
        os.close(to_browser[1])
        os.close(from_browser[0])
