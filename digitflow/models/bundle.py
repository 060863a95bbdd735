"""The model bundle: a folder with a manifest that vouches for every other file in it.

Format 1. What a reader must find is in `_REQUIRED_FILES` and `_check_manifest`. A change that an
older reader would misread gets the next number; a reader refuses numbers above its own.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from digitflow.errors import BundleError
from digitflow.files import building_folder, sha256_of
from digitflow.models.guarded_files import read_regular_file
from digitflow.models.npz import read_npz
from digitflow.models.tflite import IMAGE_SIZE

FORMAT = 1

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
#: TFLite files by format; the first is what scoring uses.
TFLITE_FILES = {
    "dynamic": "model.tflite",
    "float32": "model_float32.tflite",
    "int8": "model_int8.tflite",
}
KERAS = "model.keras"
GOLDEN = "golden.npz"
#: The file beside a model's versions that names the promoted one; see `registry`.
CURRENT = "current"

#: The file beside it that tells which versions were current before.
PROMOTIONS = "promotions.json"

_REQUIRED_FILES = {WEIGHTS, *TFLITE_FILES.values(), KERAS, GOLDEN}
_MANIFEST_LIMIT = 1 << 20  # bytes
_FILE_LIMIT = 256 << 20  # bytes
GOLDEN_LIMIT = 64  # images
_GOLDEN_FILE_LIMIT = 1 << 20  # bytes; so many images and their probabilities have less
_CLASSES_LIMIT = 1_000
_CLASS_NAME_LIMIT = 100  # characters
_THRESHOLD_LIMIT = 1.001  # a little above 1: no confidence is enough

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Bundle:
    """A checked model bundle."""

    folder: Path  # where it lies
    manifest: Mapping[str, Any]  # manifest.json as it is
    model_id: str  # SHA-256 of manifest.json, 64 hexadecimal digits
    name: str  # for example "mnist"
    version: str  # for example "pretrained"
    class_names: tuple[str, ...]  # in the order of the model's outputs
    temperature: float  # what the logits are divided by before the softmax
    uncertain_below: float  # confidence under which a reading is `uncertain`; above 1: all are
    rejected_below: float  # familiarity under which it is `rejected`: it looks like no class

    def read(self, file: str) -> bytes:
        """Return a file's content, checked against the manifest as it is read.

        What was checked before may have been replaced since.

        Raises
        ------
        BundleError
            If the content is not what the manifest says.
        """
        facts = self.manifest["files"][file]
        content = b"".join(_read(self.folder / file, facts["size"]))
        _check_content(self.folder / file, len(content), hashlib.sha256(content), facts)
        return content

    def golden(self, tflite: str = "dynamic") -> tuple[np.ndarray, np.ndarray]:
        """Return the golden images, uint8 (n, 28, 28), and what a TFLite format must make of them.

        Raises
        ------
        BundleError
            If the file is not what `golden.npz` should be.
        """
        rows = {
            "images": np.dtype((np.uint8, (IMAGE_SIZE, IMAGE_SIZE))),
            tflite: np.dtype((np.float32, (len(self.class_names),))),
        }
        content = self.read(GOLDEN)
        try:
            images, probabilities = read_npz(content, rows, GOLDEN_LIMIT)
        except BundleError as error:
            raise BundleError(f"{self.folder / GOLDEN}: {error}") from error
        return images, probabilities


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle: files, digests, sizes and schema; no code of it is ever run.

    Parameters
    ----------
    folder : Path
        The bundle's folder, `models/<name>/<version>`.

    Raises
    ------
    BundleError
        If anything is missing, too much, altered or of a newer format.
    """
    bundle = open_bundle(folder)
    files = bundle.manifest["files"]
    _check_file_names(folder, files)
    for file, facts in files.items():
        size, digest = 0, hashlib.sha256()
        for piece in _read(folder / file, facts["size"]):
            size += len(piece)
            digest.update(piece)
        _check_content(folder / file, size, digest, facts)
    return bundle


def open_bundle(folder: Path) -> Bundle:
    """Read and check a bundle's manifest alone; its other files are checked as they are read.

    For a bundle that was checked before, or of which only some files are there.

    Parameters
    ----------
    folder : Path
        The bundle's folder.

    Raises
    ------
    BundleError
        If the manifest is missing, damaged or of a newer format.
    """
    manifest_bytes = b"".join(_read(folder / MANIFEST, _MANIFEST_LIMIT))
    manifest = _check_manifest(folder, manifest_bytes)
    return Bundle(
        folder=folder,
        manifest=MappingProxyType(manifest),
        model_id=hashlib.sha256(manifest_bytes).hexdigest(),
        name=manifest["name"],
        version=manifest["version"],
        class_names=tuple(manifest["class_names"]),
        temperature=float(manifest["temperature"]),
        uncertain_below=float(manifest["thresholds"]["uncertain_below"]),
        # Bundles made before it was known reject nothing.
        rejected_below=float(manifest["thresholds"].get("rejected_below", 0.0)),
    )


def write_bundle(source: Path, destination: Path, manifest: Mapping[str, Any]) -> Bundle:
    """Make a bundle of the files in `source`; it appears whole at `destination` or not at all.

    Parameters
    ----------
    source : Path
        A folder with the weights, the TFLite files, `model.keras` and `golden.npz`.
    destination : Path
        `models/<name>/<version>`, which must not exist yet.
    manifest : Mapping
        All of the manifest but `format` and `files`, which are added here.

    Raises
    ------
    OutputError
        If `destination` exists or cannot be written.
    BundleError
        If what was written does not pass the checks of `load_bundle`.
    """
    with building_folder(destination) as temporary:
        for file in sorted(_REQUIRED_FILES):
            (temporary / file).write_bytes((source / file).read_bytes())
        files = {
            file: {
                "sha256": sha256_of(temporary / file),
                "size": (temporary / file).stat().st_size,
            }
            for file in sorted(_REQUIRED_FILES)
        }
        whole = {"format": FORMAT, **manifest, "files": files}
        (temporary / MANIFEST).write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n")
        load_bundle(temporary)
    return load_bundle(destination)


def find_name_problem(what: str, value: object) -> str | None:
    """Return why a model or a version cannot be called that, or None; both name folders.

    Parameters
    ----------
    what : str
        What the value would name, for the message: "version" or another word for the model's name.
    value : object
        The name.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        return (
            f"{what} {value!r:.80} is not up to 100 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    # In any case, because some file systems ignore it.
    if what == "version" and value.lower() in (CURRENT, PROMOTIONS):
        return f"version {value!r} is the name of a file that tells which versions are promoted"
    return None


def _check_manifest(folder: Path, content: bytes) -> dict[str, Any]:
    """Return the manifest if every entry that the code relies on is what it should be."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(
            content.decode(), object_pairs_hook=_without_twins, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: is not JSON ({error}); the bundle is damaged") from error
    if not isinstance(manifest, dict) or not _is_whole(manifest.get("format"), 1, math.inf):
        raise BundleError(f"{path}: has no format number; this is not a model bundle")
    if manifest["format"] > FORMAT:
        raise BundleError(
            f"{path}: has format {manifest['format']!s:.20}, this digitflow reads up to {FORMAT}; "
            "install a newer digitflow"
        )
    problem = _first_problem(manifest)
    if problem:
        raise BundleError(f"{path}: {problem}; the bundle is damaged")
    return manifest


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON whose keys are distinct: of two, readers may take either."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        keys = [key for key, _ in pairs]
        twin = next(key for key in entries if keys.count(key) > 1)
        raise ValueError(f"{twin!r:.80} stands in it twice")
    return entries


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _first_problem(manifest: dict[str, Any]) -> str | None:
    """Return what is wrong with a manifest's entries, or None."""
    names = manifest.get("class_names")
    if not isinstance(names, list) or not 2 <= len(names) <= _CLASSES_LIMIT:
        return "class_names is not a list of 2 to 1000 names"
    for name in names:
        # As class names come from data; what cannot be printed could not be written either.
        if not isinstance(name, str) or not 0 < len(name) <= _CLASS_NAME_LIMIT:
            return f"class name {name!r:.80} is not a text of 1 to {_CLASS_NAME_LIMIT} characters"
        if not name.isprintable() or name != name.strip():
            return f"class name {name!r:.80} has characters that cannot be seen"
    if len({*names}) != len(names):
        return "class_names are not distinct"
    for key in ("name", "version"):
        if problem := find_name_problem(key, manifest.get(key)):
            return problem
    if not _is_number(manifest.get("temperature"), 0.01, 100.0):
        return "temperature is not a number from 0.01 to 100"
    thresholds = manifest.get("thresholds")
    if not isinstance(thresholds, dict):
        return "thresholds is not an object"
    for key, default in (("uncertain_below", None), ("rejected_below", 0.0)):
        if not _is_number(thresholds.get(key, default), 0, _THRESHOLD_LIMIT):
            return f"thresholds.{key} is not a number from 0 to {_THRESHOLD_LIMIT}"
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != _REQUIRED_FILES:
        return f"files are not exactly {', '.join(sorted(_REQUIRED_FILES))}"
    for file, facts in files.items():
        most = _GOLDEN_FILE_LIMIT if file == GOLDEN else _FILE_LIMIT
        if not isinstance(facts, dict) or not _is_whole(facts.get("size"), 1, most):
            return f"files.{file} has no size up to {most >> 20} MiB"
        if not isinstance(facts.get("sha256"), str) or not _SHA256.fullmatch(facts["sha256"]):
            return f"files.{file} has no SHA-256 of 64 hexadecimal digits"
    return None


def _is_number(value: object, low: float, high: float) -> bool:
    # Written so that NaN fails.
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_whole(value: object, low: int, high: float) -> bool:
    return isinstance(value, int) and _is_number(value, low, high)


def _check_file_names(folder: Path, files: Mapping[str, Any]) -> None:
    """Refuse a folder that holds anything but what the manifest lists."""
    try:
        with os.scandir(folder) as entries:
            extra = next((each.name for each in entries if each.name not in {MANIFEST, *files}), "")
    except OSError as error:
        raise BundleError(
            f"{folder}: cannot be listed ({error.strerror}); make the folder readable"
        ) from error
    if extra:
        raise BundleError(
            f"{folder}: holds {extra!a}, which the manifest does not list; "
            "remove it or take the bundle from its source again"
        )


def _read(path: Path, limit: int) -> Iterator[bytes]:
    """Read a file of a bundle piece by piece."""
    try:
        yield from read_regular_file(path, limit)
    except FileNotFoundError as error:
        raise BundleError(f"{path}: is missing; this is not a whole model bundle") from error
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read ({error.strerror}); take the bundle from its source again"
        ) from error


def _check_content(
    path: Path, size: int, digest: "hashlib._Hash", facts: Mapping[str, Any]
) -> None:
    """Refuse a file that is not what the manifest says."""
    if size != facts["size"] or digest.hexdigest() != facts["sha256"]:
        what = "SHA-256" if size == facts["size"] else f"size, {size:,} bytes,"
        raise BundleError(
            f"{path}: its {what} is not the manifest's; "
            "the file was altered or damaged, take the bundle from its source again"
        )
