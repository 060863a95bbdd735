"""Requests to an app of the web room, without a network between."""

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from PIL import Image, ImageDraw

from digitflow.web.api import create_app
from digitflow.web.options import ServerOptions

SEVEN = Path(__file__).parent / "images" / "seven.png"

#: A long one: nothing here waits for time to pass.
PATIENCE = 60


@contextmanager
def app_of(**options: Any) -> Iterator[FastAPI]:
    """Make an app, and end its threads."""
    app = create_app(ServerOptions(**options))
    try:
        yield app
    finally:
        asyncio.run(app.state.service.close())


def ask(app: FastAPI, method: str, target: str, **request: Any) -> httpx.Response:
    """Return the answer to one request."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, target, timeout=PATIENCE, **request)

    return asyncio.run(answer())


def ask_raw(app: FastAPI, content: bytes, query: str = "") -> httpx.Response:
    """Return what is said of an image that is sent as it is."""
    headers = {"content-type": "application/octet-stream"}
    return ask(app, "POST", f"/v1/predict{query}", content=content, headers=headers)


def ask_batch(app: FastAPI, files: dict[str, bytes], query: str = "") -> httpx.Response:
    """Return what is said of images that are sent together."""
    parts = [("files", (name, content)) for name, content in files.items()]
    return ask(app, "POST", f"/v1/predict/batch{query}", files=parts)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def blank() -> bytes:
    return encoded(Image.new("L", (60, 80), 240))


def several() -> bytes:
    """Return a picture that says 71."""
    picture = Image.new("L", (300, 160), 240)
    pen = ImageDraw.Draw(picture)
    pen.line((40, 40, 90, 40, 60, 120), fill=30, width=8, joint="curve")
    pen.line((200, 40, 195, 120), fill=30, width=8)
    return encoded(picture)
