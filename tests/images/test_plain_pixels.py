"""PNG files of the usual kind are unpacked at once; what comes of it is what came of it before."""

import itertools
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from digitflow.errors import ImageError
from digitflow.images import reading
from digitflow.images.containers import look_through
from digitflow.images.reading import ReadImage, decode_image

# The same examples in every run, none of them kept: what passes here passes elsewhere.
FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=300)

COLOURS = {0: 1, 2: 3, 4: 2, 6: 4}  # numbers of a pixel


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file of these chunks, their sums right."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        total = struct.pack(">I", zlib.crc32(kind + data))
        parts.append(struct.pack(">I", len(data)) + kind + data + total)
    return b"".join(parts)


def header(width: int, height: int, depth: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    return struct.pack(">II5B", width, height, depth, colour, 0, 0, interlaced)


def usual_outcome(content: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """Return what comes of a file without the short cut."""
    with monkeypatch.context() as patch:
        patch.setattr(
            reading, "look_through", lambda *given: replace(look_through(*given), plain=None)
        )
        return outcome(content)


def outcome(content: bytes) -> tuple[object, ...]:
    try:
        read: ReadImage = decode_image(content)
    except ImageError as error:
        # Of several things that are wrong with a file, either may be told of.
        return (error.reason,)
    return read.pixels.tolist(), read.mode, read.width, read.height, read.orientation


@FIXED
@given(
    colour=st.sampled_from([*COLOURS, 3]),
    size=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    claimed=st.sampled_from([None, None, None, (28, 28), (3, 3), (20_000, 20_000), (70_000, 1)]),
    interlaced=st.sampled_from([0, 0, 0, 1]),
    random=st.randoms(use_true_random=False),
    cut=st.integers(0, 12),
    behind=st.binary(max_size=8),
    flips=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=2),
    n_parts=st.integers(1, 4),
    extra=st.sampled_from([None, None, b"tEXt", b"tRNS", b"IHDR", b"PLTE", b"IEND"]),
)
def test_any_file_gives_what_it_gave_before(
    colour, size, claimed, interlaced, random, cut, behind, flips, n_parts, extra
):
    width, height = size
    rows = [
        bytes([random.randrange(6)]) + random.randbytes(width * COLOURS.get(colour, 1))
        for _ in range(height)
    ]
    packed = bytearray(zlib.compress(b"".join(rows)) + behind)
    packed = packed[: len(packed) - cut] if cut < 6 else packed
    for place, change in flips:
        packed[place % len(packed)] ^= change
    ends = [len(packed) * part // n_parts for part in range(n_parts + 1)]
    data = [(b"IDAT", bytes(packed[start:end])) for start, end in itertools.pairwise(ends)]
    first = (b"IHDR", header(*(claimed or size), colour=colour, interlaced=interlaced))
    others = [(extra, b"\0" * 6)] if extra else []
    content = png(first, *others, *data, (b"IEND", b""))

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert outcome(content) == usual_outcome(content, monkeypatch)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_the_usual_kinds_take_the_short_cut(mode: str, tmp_path: Path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 4), np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    usual = usual_outcome(content, monkeypatch)
    monkeypatch.setattr(Image, "open", None)

    assert outcome(content) == usual
    assert usual[1:4] == (mode, 13, 9)


def test_the_odd_images_give_what_they_gave_before(shared_data: Path, monkeypatch):
    paths = sorted((shared_data / "odd-images").rglob("*.png"))

    assert len(paths) > 100
    for path in paths:
        content = path.read_bytes()
        assert outcome(content) == usual_outcome(content, monkeypatch), path.name
