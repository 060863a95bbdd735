"""Images and fields out of the bodies of requests, held in memory and never on the disk."""

from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from digitflow.web.problems import ProblemError

_MULTIPART = "multipart/form-data"
_RAW = "application/octet-stream"

# Fields beside the files; more than any endpoint knows.
_MOST_FIELDS = 8
_FIELD_LIMIT = 4096  # bytes


class Upload(NamedTuple):
    """An image file as a client sent it."""

    name: str  # what messages call it
    content: bytes


async def read_image(request: Request) -> Upload:
    """Return the one image of a request: its raw body, or the part `file` of a form.

    Raises
    ------
    ProblemError
        If there is none or more than one, or the body is something else.
    """
    kind = _media_type(request)
    if kind == _MULTIPART:
        return single_file(await read_form(request, most_files=1))
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
    form = await read_form(request, most_files)
    files = _files(form, "files")
    if not files:
        raise ProblemError(
            400, "no image: send at least one, as parts `files` of a form", "no-file"
        )
    return files


async def read_form(request: Request, most_files: int) -> FormData:
    """Return the form in the body of a request.

    Raises
    ------
    ProblemError
        If the body is something else or not well formed, or has too many parts.
    """
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
    parser.spool_max_size = 0  # without end: the whole body has a limit already
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise ProblemError(400, f"the form cannot be read: {error.message}", "form") from error


def single_file(form: FormData) -> Upload:
    """Return the file of a form that has one, as `file`.

    Raises
    ------
    ProblemError
        If it has none, or something else under that name.
    """
    files = _files(form, "file")
    if len(files) != 1:
        raise ProblemError(400, "no image: send one, as part `file` of the form", "no-file")
    return files[0]


def field_of(form: FormData, name: str) -> str | None:
    """Return a field of a form, or None; of several the last."""
    value = form.get(name)
    return value if isinstance(value, str) else None


def _files(form: FormData, name: str) -> list[Upload]:
    # Read without waiting: all of it is in memory.
    return [
        Upload(part.filename or "image", part.file.read())
        for part in form.getlist(name)
        if isinstance(part, UploadFile)
    ]


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(kind: str, wanted: str) -> ProblemError:
    sent = f"{kind[:100]!r}" if kind else "no content type"
    return ProblemError(415, f"{sent} was sent; send {wanted}", "media-type")
