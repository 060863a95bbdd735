"""The files of the page, read once: no path of a request ever reaches the disk."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "page"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """A file of the page."""

    content: bytes
    media_type: str


@cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page by the path of their address; `/` is the page itself."""
    files = {
        f"/{path.relative_to(_FOLDER).as_posix()}": PageFile(
            path.read_bytes(), _MEDIA_TYPES[path.suffix]
        )
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _MEDIA_TYPES
    }
    if "/index.html" in files:
        files["/"] = files.pop("/index.html")
    return files
