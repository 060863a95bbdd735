"""Whatever the bytes, reading gives a grey image or one of few reasons, and nothing else."""

import io
import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from digitflow.errors import ImageError
from digitflow.images.reading import ReadImage, decode_image

# The same examples in every run, none of them kept: what passes here passes elsewhere.
FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=400)

REASONS = {"empty", "too_large", "unsupported_format", "truncated", "unreadable"}

MAGIC = [
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*",
    b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0", b"P1\n", b"P2\n", b"P3\n", b"P4\n", b"P5\n", b"P6\n",
    b"Pf\n", b"RIFF\x80\0\0\0WEBPVP8 ", b"RIFF\x80\0\0\0WEBPVP8L", b"RIFF\x80\0\0\0WEBPVP8X",
]  # fmt: skip

KINDS: dict[str, tuple[str, str, dict[str, object]]] = {
    "PNG": ("PNG", "L", {}),
    "PNG with palette": ("PNG", "P", {"transparency": 0}),
    "PNG of 16 bits": ("PNG", "I;16", {}),
    "animated PNG": ("PNG", "RGBA", {"save_all": True}),
    "JPEG": ("JPEG", "RGB", {}),
    "progressive JPEG": ("JPEG", "RGB", {"progressive": True}),
    "CMYK JPEG": ("JPEG", "CMYK", {}),
    "GIF": ("GIF", "P", {}),
    "animated GIF": ("GIF", "P", {"save_all": True, "disposal": 2}),
    "BMP": ("BMP", "RGB", {}),
    "BMP with palette": ("BMP", "P", {}),
    "TIFF": ("TIFF", "L", {}),
    "TIFF by LZW": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "TIFF by deflate": ("TIFF", "I;16", {"compression": "tiff_deflate"}),
    "TIFF by fax": ("TIFF", "1", {"compression": "group4"}),
    "TIFF by JPEG": ("TIFF", "RGB", {"compression": "jpeg"}),
    "BigTIFF": ("TIFF", "F", {"big_tiff": True}),
    "TIFF of pages": ("TIFF", "L", {"save_all": True}),
    "WebP": ("WEBP", "RGB", {}),
    "lossless WebP": ("WEBP", "RGBA", {"lossless": True}),
    "animated WebP": ("WEBP", "RGB", {"save_all": True}),
    "PBM": ("PPM", "1", {}),
    "PGM": ("PPM", "L", {}),
    "PGM of 16 bits": ("PPM", "I;16", {}),
    "PPM": ("PPM", "RGB", {}),
}
kinds = st.sampled_from([*KINDS, "text PGM"])


@cache
def small_file(kind: str) -> bytes:
    """Return a file of 13 × 9 pixels, turned by EXIF where the format can tell it."""
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (9, 13), np.uint8)
    if kind == "text PGM":
        return b"P2 # a comment\n13 9\n255\n" + b" ".join(b"%d" % value for value in grey.flat)
    file_format, mode, options = KINDS[kind]
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(np.dstack([grey, grey // 2, 255 - grey])).convert(mode)
    if "save_all" in options:
        options = options | {"append_images": [picture.rotate(90), picture.rotate(180)]}
    if file_format in ("JPEG", "PNG", "TIFF", "WEBP"):
        exif = Image.Exif()
        exif[0x0112] = 6
        options = options | {"exif": exif}
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def read(content: bytes) -> ReadImage | str:
    """Return what reading gives, the reason where it refuses; nothing else may come of it."""
    refused: ImageError | None = None
    try:
        image = decode_image(content, "small")
    except ImageError as error:
        refused = error
    if refused:
        assert refused.reason in REASONS
        assert refused.message.startswith("small: ")
        assert refused.message.isprintable()
        assert " at 0x" not in refused.message  # another one each time
        return refused.reason
    assert image.pixels.dtype == np.uint8
    assert image.pixels.ndim == 2
    rows, columns = image.pixels.shape
    reduced = round(image.scale) if image.format == "JPEG" else 1
    assert (-(-image.height // reduced), -(-image.width // reduced)) == (rows, columns)
    assert image.orientation in range(1, 9)
    assert image.n_frames >= 1
    assert image.size_bytes == len(content)
    return image


@pytest.mark.parametrize("kind", [*KINDS, "text PGM"])
def test_a_file_cut_off_anywhere_is_refused_or_was_whole_already(kind: str):
    content = small_file(kind)
    whole = read(content)
    assert isinstance(whole, ReadImage)
    assert (whole.width, whole.height) == ((9, 13) if whole.orientation == 6 else (13, 9))
    cut = [read(content[:length]) for length in range(len(content))]

    assert cut[0] == "empty"
    for image in cut:
        if isinstance(image, ReadImage):  # an end mark is missing, padding, or the other frames
            assert np.array_equal(image.pixels, whole.pixels)
    # Once whole, always whole; before, always refused.
    complete = [isinstance(image, ReadImage) for image in cut]
    assert complete == sorted(complete)
    if "anim" not in kind and "pages" not in kind:
        assert sum(complete) <= 40


@FIXED
@given(kinds, st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_give_an_image_or_a_reason(kind: str, flips: list[tuple[int, int]]):
    content = bytearray(small_file(kind))
    for position, change in flips:
        content[position % len(content)] ^= change
    outcome = read(bytes(content))
    if kind == "PNG" and bytes(content) != small_file(kind):
        assert isinstance(outcome, str)  # its sums tell


@FIXED
@given(st.sampled_from(MAGIC), st.binary(max_size=300))
def test_a_header_with_anything_behind_it_gives_an_image_or_a_reason(header: bytes, rest: bytes):
    read(header + rest)


@FIXED
@given(st.binary(max_size=100))
def test_bytes_of_no_format_have_a_reason(content: bytes):
    assert read(b"\0" + content) == "unsupported_format"


@FIXED
@given(kinds, st.lists(st.integers(0), min_size=3, max_size=3))
def test_parts_changed_about_give_an_image_or_a_reason(kind: str, cuts: list[int]):
    content = small_file(kind)
    first, second, third = sorted(cut % (len(content) + 1) for cut in cuts)
    read(content[:first] + content[second:third] + content[first:second] + content[third:])


@FIXED
@given(kinds, kinds, st.integers(0), st.integers(0))
def test_one_file_that_goes_on_as_another_gives_an_image_or_a_reason(
    kind: str, other: str, length: int, start: int
):
    content, rest = small_file(kind), small_file(other)
    read(content[: length % (len(content) + 1)] + rest[start % (len(rest) + 1) :])


@FIXED
@given(kinds, st.integers(0), st.binary(min_size=1, max_size=8))
def test_bytes_put_in_or_numbers_overwritten_give_an_image_or_a_reason(
    kind: str, position: int, new: bytes
):
    content = small_file(kind)
    at = position % len(content)
    for after in (at, at + len(new)):
        read(content[:at] + new + content[after:])


def test_the_same_bytes_give_the_same():
    for kind, step in itertools.product([*KINDS, "text PGM"], (1, 7)):
        content = small_file(kind)[::step]
        first, second = read(content), read(content)
        if isinstance(first, ReadImage) and isinstance(second, ReadImage):
            assert np.array_equal(first.pixels, second.pixels)
        else:
            assert first == second
