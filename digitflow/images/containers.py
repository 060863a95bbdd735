"""What an image file holds beside its first picture, looked through before a decoder sees it.

Decoders read all that they find: texts, profiles, tags, frames, some of it byte by byte. A file
made for that keeps them busy for minutes, or fills the memory. So each is walked here once, in
bounded time, and handed on with nothing but what its first picture needs.
"""

import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

from digitflow.errors import ImageError
from digitflow.images.limits import MAX_COLOUR_PIXELS, check_size, count_part, cut_off
from digitflow.images.tiff import first_page, n_pictures_of, orientation_of

# A JPEG is passed over once for each of its scans. Progressive ones have about ten.
_MAX_SCANNED_PIXELS = 500_000_000

# Files have one EXIF and one XMP block. So many are asked for the orientation.
_MOST_METADATA = 4

# Some codings Pillow decodes in Python: 0.5 s for as many bytes, as many pixels.
_MAX_SLOW = 2**20
_MAX_PPM_COMMENTS = 100
_MAX_PPM_HEADER = 65_536  # bytes

# How the file of each format begins; Pillow's plug-in of that name is the only one tried.
_BEGINNINGS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf"),
}


class PlainPixels(NamedTuple):
    """The pixels of a PNG file of the usual kind: of 8 bits, not interlaced."""

    mode: str  # as Pillow names it
    width: int  # px
    height: int  # px
    packed: bytes  # filtered row by row and deflated


@dataclass(frozen=True)
class Container:
    """An image file's first picture, and what is to be known of the file beside."""

    content: bytes  # a file of the same format, with what the first picture needs alone
    n_frames: int
    orientation: int  # as in EXIF, 1 (upright) to 8; `content` tells none
    #: The same pixels as in `content`, for those that can use them.
    plain: PlainPixels | None = field(default=None, compare=False)


def format_of(content: bytes) -> str:
    """Return Pillow's name of the format that a file begins like.

    Raises
    ------
    ImageError
        With reason ``empty`` or ``unsupported_format``; its message names no file.
    """
    if not content:
        raise ImageError("empty", "the file is empty; save it again")
    for name, beginnings in _BEGINNINGS.items():
        if content.startswith(beginnings):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    what = "not a PNG, JPEG, WebP, BMP, GIF, TIFF or PPM image; convert it to one"
    raise ImageError("unsupported_format", what)


def look_through(content: bytes, file_format: str) -> Container:
    """Return the first picture of an image file alone, and what is to be known beside it.

    Parameters
    ----------
    content : bytes
        The file.
    file_format : str
        What `format_of` says of it.

    Raises
    ------
    ImageError
        With reason ``truncated``, ``unreadable`` or ``too_large``; its message names no file.
    """
    try:
        return _WALKS[file_format](content)
    except (struct.error, IndexError, OverflowError) as error:
        raise cut_off(file_format) from error


def _png(content: bytes) -> Container:
    """Look at every chunk, checking each sum: Pillow lets damaged pixels pass."""
    return _three_chunks(content) or _walked_png(content)


_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def _three_chunks(content: bytes) -> Container | None:
    """Return a PNG file of header, pixels and end alone; None where it is not, or is damaged.

    Small pictures are so, and there are millions: it takes a quarter of the time of the walk.
    """
    if content[8:16] != b"\0\0\0\x0dIHDR" or content[37:41] != b"IDAT":
        return None
    end = 41 + int.from_bytes(content[33:37])
    if content[end + 4 :] != _PNG_END:
        return None
    view = memoryview(content)  # pixels may be many
    header, pixels = view[12:29], view[37:end]
    if zlib.crc32(header) != int.from_bytes(content[29:33]):
        return None
    if zlib.crc32(pixels) != int.from_bytes(content[end : end + 4]):
        return None
    return Container(content, 1, 1, _plain_pixels(header[4:], content[41:end]))


def _walked_png(content: bytes) -> Container:
    """Walk the chunks of a PNG file to the end mark."""
    view = memoryview(content)
    kept, pixels = [view[:8]], []
    metadata: list[bytes] = []
    n_chunks, n_frames, animated = 0, 0, False
    position, kind = 8, b""
    while kind != b"IEND":
        end = position + 12 + int.from_bytes(view[position : position + 4])
        if position + 12 > len(content) or end > len(content):
            raise cut_off("PNG")
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise ImageError("unreadable", "the PNG file is damaged; copy it again")
        n_chunks = count_part(n_chunks, "PNG")
        kind = content[position + 4 : position + 8]
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(view[position:end])
            if kind == b"IDAT":  # a frame of its own where no frame control stands before it
                n_frames = n_frames or 1
                pixels.append(view[position + 8 : end - 4])
        elif kind == b"fcTL":
            n_frames += 1
        elif kind == b"acTL":
            animated = True
        elif len(metadata) < _MOST_METADATA:
            metadata += _png_metadata(kind, content[position + 8 : end - 4])
        position = end
    needed = content if len(kept) > n_chunks else b"".join(kept)
    n_frames = n_frames if animated else 1
    # Where nothing but them, the beginning and the end is needed.
    plain = None
    if pixels and len(kept) == len(pixels) + 3 and kept[1][:8].tobytes() == b"\0\0\0\x0dIHDR":
        plain = _plain_pixels(kept[1][8:21], b"".join(pixels))
    return Container(needed, n_frames, orientation_of(metadata), plain)


# Pillow's names of the kinds of colour that need neither palette nor a transparent one.
_PNG_MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}


def _plain_pixels(header: bytes | memoryview, packed: bytes) -> PlainPixels | None:
    """Return the pixels of a PNG file whose header tells that they are of the usual kind."""
    width, height, depth, colour, *methods = struct.unpack(">II5B", header)
    if depth != 8 or colour not in _PNG_MODES or methods != [0, 0, 0] or not width * height:
        return None
    return PlainPixels(_PNG_MODES[colour], width, height, packed)


def _png_metadata(kind: bytes, data: bytes) -> list[bytes]:
    """Return the EXIF or XMP block that a chunk holds, if it does, in one of three ways."""
    raw = b"Raw profile type exif\0"  # ImageMagick's: name, length and data in hexadecimal
    if kind == b"eXIf" or (kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0")):
        return [data]
    if kind not in (b"tEXt", b"zTXt") or not data.startswith(raw):
        return []
    text = data[len(raw) :]
    try:
        if kind == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], 2**20)
        return [bytes.fromhex(text.split(maxsplit=2)[2].decode())]
    except (ValueError, IndexError, zlib.error):
        return [b""]


# Junk that decoders skip, then a marker with its fill bytes, within so many bytes.
_JPEG_MARKER = re.compile(rb"(?:[^\xff]++|\xff++\x00)*+\xff++([^\x00\xff])")
_MAX_JPEG_JUNK = 65_536
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(content: bytes) -> Container:
    """Walk the segments to the first scan, then look for the end mark."""
    kept = [content[:2]]
    metadata: list[bytes] = []
    n_segments, frame, index, position = 0, (0, 0, 0), b"", 2
    while True:
        found = _JPEG_MARKER.match(content, position, position + _MAX_JPEG_JUNK)
        if not found:
            if position + _MAX_JPEG_JUNK > len(content):
                raise cut_off("JPEG")
            raise ImageError("unreadable", "the JPEG file is damaged; save it again")
        marker, position = found[1][0], found.end()
        n_segments = count_part(n_segments, "JPEG")
        if marker == 0xDA:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:  # these stand alone
            continue
        end = position + max(2, *struct.unpack_from(">H", content, position))
        if end > len(content):
            raise cut_off("JPEG")
        data = content[position + 2 : end]
        if marker in _JPEG_FRAMES:
            frame = struct.unpack_from(">xHHB", data)
        elif data.startswith((b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/")):
            metadata += [data] if len(metadata) < _MOST_METADATA else []
        elif data.startswith(b"MPF\0"):
            index = data[4:]
        if marker < 0xE0 or marker in (0xE0, 0xEE):  # the others say nothing of the colours
            kept.append(b"\xff%c" % marker + content[position:end])
        position = end
    # Neither mark can stand among coded pixels; what lies behind the end is of no use.
    end = content.find(b"\xff\xd9", position)
    picture = content[position - 2 : end + 2 if end >= 0 else None]
    _check_scans(picture.count(b"\xff\xda"), *frame)
    return Container(b"".join([*kept, picture]), n_pictures_of(index), orientation_of(metadata))


def _check_scans(n_scans: int, height: int, width: int, n_colours: int) -> None:
    """Refuse a JPEG of several scans that is kept in memory in full, or passed over, too often."""
    if n_scans > 1:
        check_size(width, height, 3 * MAX_COLOUR_PIXELS // max(n_colours, 3))
    if n_scans * width * height > _MAX_SCANNED_PIXELS:
        raise ImageError("too_large", f"a JPEG file of {n_scans:,} scans; save it again")


def _gif(content: bytes) -> Container:
    """Walk the blocks to the end mark; damage behind the first frame ends the count of frames."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    check_size(width, height)
    position = 13 + _gif_palette(flags)
    kept = [content[:position]]
    n_frames = n_blocks = 0
    try:
        while (kind := content[position]) != 0x3B:
            start = position
            if kind == 0x2C and not n_frames:
                x, y, columns, rows = struct.unpack_from("<HHHH", content, start + 1)
                check_size(max(width, x + columns), max(height, y + rows))
            position, n_blocks = _gif_block(content, start, n_blocks)
            if not n_frames and (kind == 0x2C or content[start + 1] == 0xF9):
                kept.append(content[start:position])
            n_frames += kind == 0x2C
    except (struct.error, IndexError):
        if not n_frames:
            raise
    return Container(b"".join([*kept, b";"]), max(n_frames, 1), 1)


def _gif_block(content: bytes, position: int, n_blocks: int) -> tuple[int, int]:
    """Return where a frame or an extension ends, and how many blocks there were up to there."""
    n_blocks = count_part(n_blocks, "GIF")
    if content[position] == 0x2C:
        position += 11 + _gif_palette(content[position + 9])
    elif content[position] == 0x21:
        position += 2
    else:  # decoders skip what they do not know
        return position + 1, n_blocks
    while size := content[position]:
        position += size + 1
        n_blocks = count_part(n_blocks, "GIF")
    return position + 1, n_blocks


def _gif_palette(flags: int) -> int:
    """Return how many bytes of palette follow these flags."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_WEBP_PICTURE = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}


def _webp(content: bytes) -> Container:
    """Walk the chunks to the end; of an animation, the first frame is kept."""
    kept: list[bytes] = []
    metadata: list[bytes] = []
    n_chunks = n_frames = 0
    position, end = 12, 8 + struct.unpack_from("<I", content, 4)[0]
    while position + 8 <= end:
        n_chunks = count_part(n_chunks, "WEBP")
        kind, size = struct.unpack_from("<4sI", content, position)
        data = content[position + 8 : position + 8 + size]
        if len(data) < size:
            raise cut_off("WEBP")
        n_frames += kind == b"ANMF"
        if kind in _WEBP_PICTURE and not (kind == b"ANMF" and n_frames > 1):
            kept.append(content[position : position + 8 + size + size % 2])
        elif kind in (b"EXIF", b"XMP ") and len(metadata) < _MOST_METADATA:
            metadata.append(data)
        position += 8 + size + size % 2
    body = b"WEBP" + b"".join(kept)
    needed = b"RIFF" + struct.pack("<I", len(body)) + body
    return Container(needed, max(n_frames, 1), orientation_of(metadata))


def _bmp(content: bytes) -> Container:
    """Look at the coding: run lengths are decoded in Python."""
    (header,) = struct.unpack_from("<I", content, 14)
    if header > 12:
        width, height, coding = struct.unpack_from("<ii4xI", content, 18)
        if coding in (1, 2):
            check_size(abs(width), abs(height), _MAX_SLOW)
            _check_slow(content, "a run-length coded BMP file")
    return Container(content, 1, 1)


# The kind, the width, the height, and where there is one, the highest value.
_PPM_HEADER = re.compile(
    rb"P(.)(?:S\d++){2}(?:S(\d++))?".replace(b"S", rb"(?:[ \t-\r]|#[^\r\n]*+[\r\n])++")
)
_QUICK_PPM = {(b"5", b"255"), (b"5", b"65535"), (b"6", b"255")}


def _ppm(content: bytes) -> Container:
    """Look at the coding: text, and values up to an unusual one, are decoded in Python."""
    found = _PPM_HEADER.match(content, 0, _MAX_PPM_HEADER)
    if not found:
        raise ImageError("unreadable", "the PPM file tells no size; save it again")
    kind, highest = found.groups()
    is_text = kind in b"123"
    if is_text and content.count(b"#") > _MAX_PPM_COMMENTS:
        raise ImageError("unreadable", "a PPM file of too many comments; save it again")
    if is_text or (kind in b"56" and (kind, highest) not in _QUICK_PPM):
        _check_slow(content, "a PPM file of text or unusual depth")
    return Container(content, 1, 1)


def _check_slow(content: bytes, what: str) -> None:
    if len(content) > _MAX_SLOW:
        raise ImageError("too_large", f"{what}, over {_MAX_SLOW:,} bytes; save it as PNG")


_WALKS = {
    "PNG": _png,
    "JPEG": _jpeg,
    "GIF": _gif,
    "WEBP": _webp,
    "TIFF": lambda content: Container(*first_page(content)),
    "BMP": _bmp,
    "PPM": _ppm,
}
