"""What tests of several rooms share."""

import hashlib
import json
from pathlib import Path

from digitflow.models.bundle import MANIFEST


def change_manifest(folder: Path, **entries: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | entries))


def replace_file(folder: Path, file: str, content: bytes) -> None:
    """Put other content into a bundle, with a manifest that vouches for it."""
    (folder / file).write_bytes(content)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    files[file] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    change_manifest(folder, files=files)
