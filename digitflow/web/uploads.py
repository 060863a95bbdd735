"""Images and fields out of the bodies of requests, held in memory and never on the disk."""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from digitflow.web.feedback import can_name_folder
from digitflow.web.predicting import Upload
from digitflow.web.problems import ProblemError

_MULTIPART = "multipart/form-data"
_RAW = "application/octet-stream"

# Fields beside the files; more than any endpoint knows.
_MOST_FIELDS = 8
_FIELD_LIMIT = 4096  # bytes

# What may be told of a prediction that was wrong.
_NOTES = {
    "predicted": re.compile(r"[^\x00-\x1f\x7f]{0,100}"),
    "model_id": re.compile(r"(?:[0-9a-f]{64})?"),
}


class _Form(NamedTuple):
    """A form with its parts in memory."""

    files: list[tuple[str, Upload]]  # by the name of the part
    fields: dict[str, str]  # of several of a name the last

    def files_called(self, name: str) -> list[Upload]:
        return [upload for part, upload in self.files if part == name]


class Correction(NamedTuple):
    """An image with its right label."""

    upload: Upload
    label: str
    notes: Mapping[str, str]  # what was predicted, and by which model


async def read_image(request: Request) -> Upload:
    """Return the one image of a request: its raw body, or the part `file` of a form.

    Raises
    ------
    ProblemError
        If there is none or more than one, or the body is something else.
    """
    kind = _media_type(request)
    if kind == _MULTIPART:
        return _single_file(await _read_form(request, most_files=1))
    if kind == _RAW or kind.startswith("image/"):
        return Upload("image", await request.body())
    raise _unsupported(kind, f"{_MULTIPART}, image/* or {_RAW}")


async def read_images(request: Request, most_files: int) -> list[Upload]:
    """Return the images of a request: the parts `files` of a form.

    Raises
    ------
    ProblemError
        If there is none, more than `most_files`, or the body is something else.
    """
    files = (await _read_form(request, most_files)).files_called("files")
    if not files:
        raise ProblemError(
            400, "no image: send at least one, as parts `files` of a form", "no-file"
        )
    return files


async def read_correction(request: Request, class_names: Collection[str]) -> Correction:
    """Return the image and its right label: the parts `file` and `label` of a form.

    Parameters
    ----------
    request : Request
    class_names : collection of str
        What the label may be.

    Raises
    ------
    ProblemError
        If the image or the label is missing, or the label is none that can be stored.
    """
    form = await _read_form(request, most_files=1)
    label = form.fields.get("label", "")
    if label not in class_names or not can_name_folder(label):
        known = ", ".join(sorted(filter(can_name_folder, class_names)))
        raise ProblemError(400, f"label: give the right class, one of {known:.500}", "label")
    notes = {}
    for name, pattern in _NOTES.items():
        value = form.fields.get(name, "")
        if not pattern.fullmatch(value):
            raise ProblemError(400, f"{name}: give what the prediction said, or nothing", "note")
        if value:
            notes[name] = value
    return Correction(_single_file(form), label, notes)


async def _read_form(request: Request, most_files: int) -> _Form:
    kind = _media_type(request)
    if kind != _MULTIPART:
        raise _unsupported(kind, _MULTIPART)
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=most_files,
        max_fields=_MOST_FIELDS,
        max_part_size=_FIELD_LIMIT,
    )
    parser.spool_max_size = 0  # never to the disk: the whole body has a limit already
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ProblemError(400, f"the form cannot be read: {error.message}", "form") from error
    try:
        return _taken_from(form)
    finally:
        await form.close()


def _taken_from(form: FormData) -> _Form:
    """Return what a form holds; all of it is in memory."""
    taken = _Form([], {})
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            taken.files.append((name, Upload(part.filename or "image", part.file.read())))
        else:
            taken.fields[name] = part
    return taken


def _single_file(form: _Form) -> Upload:
    files = form.files_called("file")
    if not files:
        raise ProblemError(400, "no image: send one, as part `file` of the form", "no-file")
    return files[0]


def _media_type(request: Request) -> str:
    """Return what the body is; compressed ones, which could become of any size, are refused."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        detail = f"Content-Encoding {coding[:100]!r}: send the body as it is"
        raise ProblemError(415, detail, "coding")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(kind: str, wanted: str) -> ProblemError:
    sent = f"{kind[:100]!r}" if kind else "no content type"
    return ProblemError(415, f"{sent} was sent; send {wanted}", "media-type")
