"""Bytes to a grey image and the facts about it, or an `ImageError` that says why not.

Nothing that comes in is trusted: size and pixels are capped before memory is taken, only known
formats are decoded, and whatever Pillow raises or warns of becomes one reason and one line.
"""

import contextlib
import errno
import hashlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from digitflow.console import native_chatter_hidden
from digitflow.errors import ImageError
from digitflow.images.containers import Container, format_of, look_through
from digitflow.images.grey import to_grey
from digitflow.images.limits import (
    MAX_COLOUR_PIXELS,
    MAX_PIXELS,
    MAX_WEBP_PIXELS,
    check_bytes,
    check_size,
)

# JPEGs are decoded at 1/2, 1/4 or 1/8 as long as the longer side keeps this many pixels.
_DRAFT_SIDE = 1600

# How to turn what is stored with each EXIF orientation upright.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: partial(np.rot90, k=2),
    4: np.flipud,
    5: np.transpose,
    6: partial(np.rot90, k=-1),
    7: lambda pixels: np.rot90(pixels, 2).T,
    8: np.rot90,
}

# What is done about warnings is state of the whole process: the first thread that reads an image
# turns them off, and the last one turns them on again.
_WARNINGS_LOCK = threading.Lock()
_warnings_off = contextlib.ExitStack()
_n_reading = 0

# What Pillow says of files that end too early.
_CUT_OFF = ("truncated", "not enough image data", "unexpected end of file")

_REASON_OF_ERRNO = {
    errno.ENOENT: ("not_found", "no such file; it may have been moved"),
    errno.ENOTDIR: ("not_found", "no such file; it may have been moved"),
    errno.ENAMETOOLONG: ("not_found", "the name is too long for any file"),
    errno.EACCES: ("no_permission", "may not be read; change its permissions"),
    errno.EPERM: ("no_permission", "may not be read; change its permissions"),
    errno.ELOOP: ("not_a_file", "a symbolic link; give the file that it points to"),
    errno.ENXIO: ("not_a_file", "a socket or device, not a regular file"),
}


@dataclass(frozen=True)
class ReadImage:
    """A grey image and the facts about the file it came from."""

    pixels: np.ndarray  # uint8 (rows, columns), upright; smaller than the original if reduced
    width: int  # of the upright original, px
    height: int  # of the upright original, px
    format: str  # Pillow's name of the file format, for example "PNG"
    mode: str  # Pillow's name of the pixel format as stored, for example "RGBA"
    orientation: int  # as stored in EXIF, 1 (upright) to 8; already applied to `pixels`
    n_frames: int  # `pixels` is the first of them
    size_bytes: int  # of the file
    modified_at_ns: int | None  # of the file, ns since 1970; None where there is no file
    content_hash: str  # SHA-256 of the file's content, 64 hexadecimal digits

    @property
    def scale(self) -> float:
        """Return how many pixels of the original one pixel of `pixels` stands for."""
        return self.width / self.pixels.shape[1]


def read_image(path: Path | str | bytes, name: str | None = None) -> ReadImage:
    """Read a regular file as a grey image, without following links and without blocking.

    Parameters
    ----------
    path : Path, str or bytes
        Bytes for names that are not valid UTF-8.
    name : str, optional
        What messages call the image; by default its path.

    Returns
    -------
    ReadImage
        Its `pixels` are upright, uint8, of shape (rows, columns).

    Raises
    ------
    ImageError
        With reason ``not_found``, ``no_permission``, ``not_a_file``, ``changed_while_reading``,
        or any of `decode_image`.
    """
    name = name or os.fsdecode(path)
    content, modified_at_ns = read_content(path, name)
    return decode_image(content, name, modified_at_ns)


def read_content(path: Path | str | bytes, name: str) -> tuple[bytes, int]:
    """Read a regular file that may be an image, without following links and without blocking.

    Parameters
    ----------
    path : Path, str or bytes
    name : str
        What messages call the image.

    Returns
    -------
    content : bytes
        At most `limits.MAX_BYTES` of them.
    modified_at_ns : int
        When the file was changed last, ns since 1970.

    Raises
    ------
    ImageError
        As `read_image`, but for what `decode_image` finds.
    """
    try:
        return _read_regular_file(path)
    except ImageError as error:
        raise named(error, name) from error


def decode_image(
    content: bytes, name: str = "image", modified_at_ns: int | None = None
) -> ReadImage:
    """Decode the content of an image file.

    Parameters
    ----------
    content : bytes
        A PNG, JPEG, WebP, BMP, GIF, TIFF or PPM/PGM/PBM file.
    name : str
        What messages call the image.
    modified_at_ns : int, optional
        Goes into the result as it is, ns since 1970.

    Returns
    -------
    ReadImage
        Its `pixels` are upright, uint8, of shape (rows, columns). Transparent pictures lie on the
        paper their strokes contrast with; of animations it is the first frame.

    Raises
    ------
    ImageError
        With reason ``empty``, ``too_large``, ``unsupported_format``, ``truncated`` or
        ``unreadable``.
    """
    try:
        check_bytes(len(content))
        file_format = format_of(content)
        container = look_through(content, file_format)
        pixels, mode, (width, height) = _decode(container, file_format)
    except ImageError as error:
        raise named(error, name) from error
    except Exception as error:
        # Pillow's plug-ins raise whatever the bytes lead them to: struct.error, KeyError, ...
        raise named(_refusal(error), name) from error
    return ReadImage(
        pixels=pixels,
        width=width,
        height=height,
        format=file_format,
        mode=mode,
        orientation=container.orientation,
        n_frames=container.n_frames,
        size_bytes=len(content),
        modified_at_ns=modified_at_ns,
        content_hash=hashlib.sha256(content).hexdigest(),
    )


@contextlib.contextmanager
def _quiet(of_native_code_too: bool) -> Iterator[None]:
    """Drop Pillow's warnings and libtiff's lines: the outcome says all there is."""
    with contextlib.ExitStack() as stack:
        if of_native_code_too:
            stack.enter_context(native_chatter_hidden(also_on_failure=True))
        _begin_reading()
        stack.callback(_end_reading)
        yield


def _begin_reading() -> None:
    global _n_reading
    with _WARNINGS_LOCK:
        if _n_reading == 0:
            _warnings_off.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _n_reading += 1


def _end_reading() -> None:
    global _n_reading
    with _WARNINGS_LOCK:
        _n_reading -= 1
        if _n_reading == 0:
            _warnings_off.close()


def _read_regular_file(path: Path | str | bytes) -> tuple[bytes, int]:
    """Return the content and the time of change (ns) of a file that stood still meanwhile."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        why = ("unreadable", f"cannot be opened ({error.strerror})")
        raise ImageError(*_REASON_OF_ERRNO.get(error.errno or 0, why)) from error
    except ValueError as error:
        raise ImageError("not_found", "no file can have this name") from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise ImageError("not_a_file", "not a regular file; give an image file")
        check_bytes(before.st_size)
        content = _read_up_to(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise ImageError("unreadable", f"cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or len(content) != before.st_size:
        raise ImageError(
            "changed_while_reading", "changed while it was read; run again when it is done"
        )
    return content, before.st_mtime_ns


def _read_up_to(descriptor: int, size: int) -> bytes:
    """Read to the end of the file or to `size` bytes, whichever comes first."""
    content = os.read(descriptor, size)
    while len(content) < size:
        more = os.read(descriptor, size - len(content))
        if not more:
            break
        content += more
    return content


def _unpack(container: Container) -> Image.Image | None:
    """Unpack plain pixels, by Pillow's own decoder, in a third of the time that opening takes."""
    if container.plain is None:
        return None
    mode, width, height, packed = container.plain
    check_size(width, height, _most_pixels("PNG", mode))
    try:
        return Image.frombytes(mode, (width, height), packed, "zip", mode)
    except ValueError:  # the usual way tells what is wrong
        return None


def _decode(container: Container, file_format: str) -> tuple[np.ndarray, str, tuple[int, int]]:
    """Return the pixels, upright, the mode of the file, and the size of the upright original."""
    unpacked = _unpack(container)
    if unpacked and unpacked.mode == "L" and container.orientation == 1:
        # Nothing is left that warns or could be transparent, and there are millions.
        size = width, height = unpacked.size
        return np.frombuffer(unpacked.tobytes(), np.uint8).reshape(height, width), "L", size
    with (
        _quiet(file_format == "TIFF"),
        unpacked or Image.open(io.BytesIO(container.content), formats=(file_format,)) as image,
    ):
        width, height = image.size
        check_size(width, height, _most_pixels(file_format, image.mode))
        mode = image.mode
        if file_format == "JPEG":
            reduced = max(1, max(image.size) // _DRAFT_SIDE)
            image.draft(None, (max(1, width // reduced), max(1, height // reduced)))
        image.load()
        pixels = to_grey(image)
    turn = _UPRIGHT.get(container.orientation)
    if turn is not None:
        pixels = np.ascontiguousarray(turn(pixels))
    return pixels, mode, (height, width) if container.orientation >= 5 else (width, height)


def _most_pixels(file_format: str, mode: str) -> int:
    """Return how many pixels a picture may have, by what each takes in memory meanwhile."""
    if file_format == "WEBP":
        return MAX_WEBP_PIXELS
    # JPEGs are reduced while they are decoded.
    return MAX_PIXELS if file_format == "JPEG" or mode in ("1", "L", "P") else MAX_COLOUR_PIXELS


def _refusal(error: Exception) -> ImageError:
    """Return the reason behind an error of a decoder."""
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return ImageError("too_large", "too many pixels; make it smaller")
    said = " ".join(str(error).split())
    if any(words in said.lower() for words in _CUT_OFF) or isinstance(error, EOFError):
        return ImageError("truncated", "the file is cut off; copy it again")
    what = said[:120] or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # its own message holds an address in memory
        what = "its header makes no sense"
    return ImageError("unreadable", f"the image is damaged ({what}); save it again")


def named(error: ImageError, name: str) -> ImageError:
    # The name as Python writes it, so that one with a line break stays one line.
    return ImageError(error.reason, f"{repr(name)[1:-1]}: {error.message}")
