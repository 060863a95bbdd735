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
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from digitflow.console import native_chatter_hidden
from digitflow.errors import ImageError
from digitflow.images.grey import to_grey

#: Larger files are refused before they are read.
MAX_BYTES = 64 * 2**20

#: Larger pictures are refused before they are decoded.
MAX_PIXELS = 50_000_000

# JPEGs are decoded at 1/2, 1/4 or 1/8 as long as the shorter side keeps this many pixels.
_DRAFT_SIDE = 1000

# How the file of each format begins; Pillow's plug-in of that name is the only one tried.
_MAGIC = (
    ("PNG", (b"\x89PNG\r\n\x1a\n",)),
    ("JPEG", (b"\xff\xd8\xff",)),
    ("GIF", (b"GIF87a", b"GIF89a")),
    ("BMP", (b"BM",)),
    ("TIFF", (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
    ("PPM", (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf")),
)

# A PNG of 64 MiB in the usual chunks of 8 KiB has 8,192; millions of empty ones only cost time.
_MAX_PNG_CHUNKS = 65_536

# The keys of `Image.info` under which an orientation can hide (TIFF keeps it among its tags).
_ORIENTATION_KEYS = {"exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"}

# `warnings.catch_warnings` changes state of the whole process: one thread at a time.
_WARNINGS_LOCK = threading.Lock()

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
    # As Python writes it, so that a name with a line break stays one line.
    name = repr(name or os.fsdecode(path))[1:-1]
    content, modified_at_ns = _read_regular_file(path, name)
    return decode_image(content, name, modified_at_ns)


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
    if not content:
        raise ImageError("empty", f"{name}: the file is empty; save it again")
    if len(content) > MAX_BYTES:
        raise _too_large_file(name, len(content))
    file_format = _format_of(content)
    if file_format is None:
        raise ImageError(
            "unsupported_format",
            f"{name}: not a PNG, JPEG, WebP, BMP, GIF, TIFF or PPM image; convert it to one",
        )
    if file_format == "PNG":
        _check_png_chunks(content, name)
    try:
        with _WARNINGS_LOCK, _quiet(file_format):
            return _decode(content, file_format, name, modified_at_ns)
    except ImageError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageError("too_large", f"{name}: too many pixels; make it smaller") from error
    except Exception as error:
        # Pillow's plug-ins raise whatever the bytes lead them to: struct.error, KeyError, ...
        raise _unreadable(name, error) from error


@contextlib.contextmanager
def _quiet(file_format: str) -> Iterator[None]:
    """Drop Pillow's warnings, and what libtiff prints: the outcome says all there is to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if file_format == "TIFF":
            with native_chatter_hidden(also_on_failure=True):
                yield
        else:
            yield


def _read_regular_file(path: Path | str | bytes, name: str) -> tuple[bytes, int]:
    """Return the content and the time of change (ns) of a file that stood still meanwhile."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        reason, why = _REASON_OF_ERRNO.get(
            error.errno or 0, ("unreadable", f"cannot be opened ({error.strerror})")
        )
        raise ImageError(reason, f"{name}: {why}") from error
    except ValueError as error:
        raise ImageError("not_found", f"{name}: no file can have this name") from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise ImageError("not_a_file", f"{name}: not a regular file; give an image file")
        if before.st_size > MAX_BYTES:
            raise _too_large_file(name, before.st_size)
        content = _read_up_to(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise ImageError("unreadable", f"{name}: cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or len(content) != before.st_size:
        raise ImageError(
            "changed_while_reading", f"{name}: changed while it was read; run again when it is done"
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


def _format_of(content: bytes) -> str | None:
    for name, beginnings in _MAGIC:
        if content.startswith(beginnings):
            return name
    return "WEBP" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def _check_png_chunks(content: bytes, name: str) -> None:
    """Walk a PNG's chunks to its end mark, checking each sum: Pillow lets damaged pixels pass."""
    view = memoryview(content)
    position = 8
    for _ in range(_MAX_PNG_CHUNKS):
        end = position + 12 + int.from_bytes(view[position : position + 4])
        if position + 12 > len(content) or end > len(content):
            raise ImageError("truncated", f"{name}: the PNG file is cut off; copy it again")
        checksum = int.from_bytes(view[end - 4 : end])
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise ImageError("unreadable", f"{name}: the PNG file is damaged; copy it again")
        if content.startswith(b"IEND", position + 4):
            return
        position = end
    raise ImageError("unreadable", f"{name}: the PNG file has too many chunks; save it again")


def _decode(content: bytes, file_format: str, name: str, modified_at_ns: int | None) -> ReadImage:
    with Image.open(io.BytesIO(content), formats=(file_format,)) as image:
        size = image.size
        if size[0] * size[1] > MAX_PIXELS:
            raise ImageError(
                "too_large",
                f"{name}: {size[0]}×{size[1]} pixels, over {MAX_PIXELS:,}; make it smaller",
            )
        mode = image.mode
        tags = getattr(image, "tag_v2", {})
        orientation = tags.get(ExifTags.Base.Orientation, 1)
        if file_format == "JPEG":
            image.draft(None, (_DRAFT_SIDE, _DRAFT_SIDE))
        image.load()
        if not _ORIENTATION_KEYS.isdisjoint(image.info):
            orientation = image.getexif().get(ExifTags.Base.Orientation, orientation)
        # Pillow turns TIFFs by itself; their tag is gone then and nothing is turned twice.
        pixels = to_grey(ImageOps.exif_transpose(image) if orientation != 1 else image)
        height, width = pixels.shape
        if file_format == "JPEG":  # may have been reduced
            width, height = size[::-1] if orientation in (5, 6, 7, 8) else size
        return ReadImage(
            pixels=pixels,
            width=width,
            height=height,
            format=image.format or file_format,
            mode=mode,
            orientation=orientation if orientation in range(1, 9) else 1,
            n_frames=_count_frames(image),
            size_bytes=len(content),
            modified_at_ns=modified_at_ns,
            content_hash=hashlib.sha256(content).hexdigest(),
        )


def _count_frames(image: Image.Image) -> int:
    """Return the number of frames; damage behind the first frame leaves it the only one."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:
        return 1


def _too_large_file(name: str, size: int) -> ImageError:
    return ImageError("too_large", f"{name}: {size:,} bytes, over {MAX_BYTES:,}; make it smaller")


def _unreadable(name: str, error: Exception) -> ImageError:
    """Tell a file that was cut off from one that is damaged in another way."""
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return ImageError("truncated", f"{name}: the file is cut off; copy it again")
    what = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return ImageError("unreadable", f"{name}: the image is damaged ({what}); save it again")
