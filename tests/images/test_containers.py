"""Nothing but the first picture gets through, in bounded time, whatever a file holds beside it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from digitflow.errors import ImageError
from digitflow.images import limits
from digitflow.images.containers import Container, look_through
from digitflow.images.reading import decode_image

# Upright, this is dark at its top left corner alone.
CORNER = np.full((8, 6), 255, np.uint8)
CORNER[:3, :3] = 0

XMP = b'<rdf:Description tiff:Orientation="6" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/>'


def encoded(file_format: str, picture: np.ndarray = CORNER, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, file_format, **options)
    return stream.getvalue()


def turned_by_exif(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def reason_of(content: bytes, file_format: str) -> str:
    with pytest.raises(ImageError) as caught:
        look_through(content, file_format)
    assert "\n" not in caught.value.message
    return caught.value.reason


def assert_same_picture(container: Container, content: bytes) -> None:
    kept, given = (Image.open(io.BytesIO(each)) for each in (container.content, content))
    assert np.array_equal(np.asarray(kept), np.asarray(given))


# PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def png_with(*chunks: bytes, last: bytes = b"") -> bytes:
    """Return a PNG with these chunks before its pixels, and one behind them."""
    content = encoded("PNG")
    at = content.index(b"IDAT") - 4
    return content[:at] + b"".join(chunks) + content[at:-12] + last + content[-12:]


def test_of_a_png_only_pixels_and_palette_are_kept():
    bomb = zlib.compress(bytes(2**24))
    content = png_with(
        chunk(b"iCCP", b"profile\0\0" + bomb),
        chunk(b"zTXt", b"Comment\0\0" + bomb),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb),
        chunk(b"tEXt", b"Comment\0text"),
        chunk(b"prVt", bytes(100)),
        last=chunk(b"tEXt", b"Comment\0behind the pixels"),
    )
    container = look_through(content, "PNG")
    assert container == Container(encoded("PNG"), 1, 1)
    assert look_through(encoded("PNG"), "PNG").content == encoded("PNG")
    stream = io.BytesIO()
    Image.fromarray(CORNER).convert("P").save(stream, "PNG", transparency=0)
    assert look_through(stream.getvalue(), "PNG").content == stream.getvalue()


@pytest.mark.parametrize(
    "turned",
    [
        chunk(b"eXIf", turned_by_exif()[6:]),
        chunk(b"eXIf", turned_by_exif()),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 26\n" + turned_by_exif().hex().encode()),
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n 26\n" + turned_by_exif().hex().encode()),
        ),
    ],
    ids=["exif", "exif with prefix", "xmp", "raw", "packed raw"],
)
def test_a_png_tells_its_orientation_in_any_way(turned: bytes):
    assert look_through(png_with(turned), "PNG") == Container(encoded("PNG"), 1, 6)
    assert look_through(png_with(last=turned), "PNG").orientation == 6
    image = decode_image(png_with(turned))
    assert np.array_equal(image.pixels, np.rot90(CORNER, -1))
    assert (image.orientation, image.width, image.height) == (6, 8, 6)


@pytest.mark.parametrize(
    "damaged",
    [
        chunk(b"eXIf", b""),
        chunk(b"eXIf", b"II*\0"),
        chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
        chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65535)),
        chunk(b"eXIf", turned_by_exif(9)),
        chunk(b"eXIf", turned_by_exif(0)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0tiff:Orientation=9"),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 26\nno hexadecimal"),
        chunk(b"tEXt", b"Raw profile type exif\0"),
        chunk(b"zTXt", b"Raw profile type exif\0\0not packed"),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(2**24))),
    ],
)
def test_damaged_words_of_an_orientation_leave_it_upright(damaged: bytes):
    assert look_through(png_with(damaged), "PNG") == Container(encoded("PNG"), 1, 1)


def test_many_words_of_an_orientation_are_not_all_unpacked():
    silent = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(2**20)))
    turned = chunk(b"eXIf", turned_by_exif())
    assert look_through(png_with(silent, turned), "PNG").orientation == 6
    assert look_through(png_with(*[silent] * 10, turned), "PNG").orientation == 1


def test_frames_of_an_animated_png_are_counted_not_believed():
    frames = [Image.fromarray(np.roll(CORNER, shift)) for shift in (1, 2)]
    animated = encoded("PNG", save_all=True, append_images=frames)
    hidden = encoded("PNG", save_all=True, append_images=frames, default_image=True)
    for content in (animated, hidden):
        container = look_through(content, "PNG")
        assert container.n_frames == Image.open(io.BytesIO(content)).n_frames == 3
        assert b"fcTL" not in container.content
        assert_same_picture(container, encoded("PNG"))
    lie = png_with(chunk(b"acTL", struct.pack(">II", 2**31, 0)))
    assert look_through(lie, "PNG").n_frames == 1


# JPEG


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg_with(*segments: bytes, **options: object) -> bytes:
    content = encoded("JPEG", **options)
    return content[:2] + b"".join(segments) + content[2:]


def test_of_a_jpeg_only_what_decodes_it_is_kept():
    content = jpeg_with(
        segment(0xE1, turned_by_exif()),
        *[segment(0xE1, b"Exif\0\0" + bytes(60_000))] * 20,
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(1000)),
        segment(0xED, b"Photoshop 3.0\0" + bytes(1000)),
        segment(0xFE, b"comment"),
    )
    assert look_through(content, "JPEG") == Container(encoded("JPEG"), 1, 6)
    assert look_through(content + b"a film behind it", "JPEG").content == encoded("JPEG")
    xmp = jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP))
    assert look_through(xmp, "JPEG").orientation == 6


def test_colours_of_a_jpeg_stay_what_they_are():
    blue = np.zeros((16, 16, 4), np.uint8)
    blue[..., 0] = 200
    cmyk = io.BytesIO()
    Image.fromarray(blue, "CMYK").save(cmyk, "JPEG")
    rgb = encoded("JPEG", blue[..., :3], keep_rgb=True)
    for content in (cmyk.getvalue(), rgb):
        assert_same_picture(look_through(content, "JPEG"), content)


def test_junk_and_fill_bytes_in_a_jpeg_are_passed_over_up_to_a_point():
    plain = encoded("JPEG")
    for junk in (b"\xff" * 50, b"\xff\0" * 50, b"junk"):
        # Which `decode_image` takes for no JPEG, unless its first marker stands where it should.
        content = plain[:20] + junk + plain[20:]
        assert look_through(content, "JPEG").content == plain
    for junk in (b"\xff", b"\xff\0", b"\0"):
        content = plain[:20] + junk * 100_000 + plain[20:]
        assert reason_of(content, "JPEG") == "unreadable"


def test_the_pictures_of_a_jpeg_are_told_by_its_index():
    index = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0xB001, 4, 1, 3, 0)
    assert look_through(jpeg_with(segment(0xE2, b"MPF\0" + index)), "JPEG").n_frames == 3
    lie = index.replace(struct.pack("<I", 3), b"\xff" * 4)
    assert look_through(jpeg_with(segment(0xE2, b"MPF\0" + lie)), "JPEG").n_frames == 1
    cut = jpeg_with(segment(0xE2, b"MPF\0" + index[:12]))
    assert look_through(cut, "JPEG").n_frames == 1


def progressive(size: tuple[int, int], mode: str = "L") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "JPEG", progressive=True)
    return stream.getvalue()


def test_a_jpeg_of_too_many_scans_is_refused():
    content = progressive((4000, 4000))
    assert look_through(content, "JPEG").n_frames == 1
    last = content[content.rindex(b"\xff\xda") : -2]
    bomb = content[:-2] + last * 100 + b"\xff\xd9"
    assert reason_of(bomb, "JPEG") == "too_large"
    # An end mark before the others hides them from the decoder as well.
    hidden = content + last * 100 + b"\xff\xd9"
    assert look_through(hidden, "JPEG").content == content


def test_large_progressive_jpegs_are_refused_for_their_memory():
    content = progressive((64, 64), "CMYK")
    at = content.index(b"\xff\xc2") + 5
    large = content[:at] + struct.pack(">HH", 6000, 6000) + content[at + 4 :]
    assert reason_of(large, "JPEG") == "too_large"
    # A single scan is decoded line by line.
    second = large.index(b"\xff\xda", large.index(b"\xff\xda") + 2)
    assert look_through(large[:second], "JPEG").n_frames == 1


# GIF


def gif(*blocks: bytes, size: tuple[int, int] = (1, 1)) -> bytes:
    palette = b"\0\0\0\xff\xff\xff"
    return b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 0, 0) + palette + b"".join(blocks) + b";"


def gif_frame(width: int = 1, height: int = 1) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x44\1\0"


COMMENT = b"!\xfe" + (b"\xff" + b"x" * 255) * 100 + b"\0"
CONTROL = b"!\xf9\4\1\0\0\1\0"


def test_of_a_gif_the_first_frame_and_its_control_are_kept():
    content = gif(COMMENT, CONTROL, COMMENT, gif_frame(), CONTROL, gif_frame(), COMMENT)
    assert look_through(content, "GIF") == Container(gif(CONTROL, gif_frame()), 2, 1)
    assert look_through(gif(b"junk", gif_frame()), "GIF").content == gif(gif_frame())


def test_damage_behind_the_first_frame_of_a_gif_ends_the_count():
    content = gif(gif_frame(), gif_frame(), gif_frame())
    assert look_through(content[:-1], "GIF").n_frames == 3  # the end mark is missing
    assert look_through(content[:-8], "GIF").n_frames == 2
    assert reason_of(gif(gif_frame())[:-4], "GIF") == "truncated"


def test_a_gif_says_how_large_it_is_in_two_places():
    assert reason_of(gif(gif_frame(), size=(65535, 65535)), "GIF") == "too_large"
    assert reason_of(gif(gif_frame(65535, 65535)), "GIF") == "too_large"
    second = gif(gif_frame(), gif_frame(65535, 65535))
    assert look_through(second, "GIF").n_frames == 2  # nobody decodes it


# WebP


def riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def webp(*chunks: bytes) -> bytes:
    return riff(b"RIFF", b"WEBP" + b"".join(chunks))


def test_of_a_webp_the_first_frame_is_kept():
    exif = turned_by_exif()
    turned = encoded("WEBP", lossless=True, exif=exif, xmp=XMP, icc_profile=bytes(1000))
    container = look_through(turned, "WEBP")
    assert (container.n_frames, container.orientation) == (1, 6)
    assert exif[6:] not in container.content
    assert len(container.content) < 200
    assert_same_picture(container, turned)
    xmp = look_through(encoded("WEBP", lossless=True, xmp=XMP), "WEBP")
    assert xmp.orientation == 6

    frames = [Image.fromarray(np.roll(CORNER, shift)) for shift in (1, 2)]
    animated = encoded("WEBP", lossless=True, save_all=True, append_images=frames)
    container = look_through(animated, "WEBP")
    assert container.n_frames == 3
    assert container.content.count(b"ANMF") == 1
    assert_same_picture(container, animated)


def test_a_few_bytes_behind_a_webp_do_no_harm():
    content = encoded("WEBP", lossless=True)
    longer = content[:4] + struct.pack("<I", len(content) - 8 + 3) + content[8:] + b"xxx"
    assert look_through(longer, "WEBP").content == content


def test_a_webp_with_transparency_keeps_it():
    picture = np.dstack([CORNER] * 3 + [255 - CORNER])
    content = encoded("WEBP", picture, quality=90, exif=turned_by_exif())
    assert b"ALPH" in content
    assert_same_picture(look_through(content, "WEBP"), content)


# TIFF


def tiff(*directories: list[tuple[int, int, int, int]], order: str = "<") -> bytes:
    """Return a TIFF of these directories of (tag, kind, number of values, value)."""
    content = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    for number, entries in enumerate(directories, 1):
        content += struct.pack(order + "H", len(entries))
        content += b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
        following = len(content) + 4 if number < len(directories) else 0
        content += struct.pack(order + "I", following)
    return content


def tags(**other: int) -> list[tuple[int, int, int, int]]:
    """Return those of a picture of one pixel, which lies at the file's beginning."""
    values = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 1, 279: 1}
    values |= {int(tag[1:]): value for tag, value in other.items()}
    return [(tag, 4, 1, values[tag]) for tag in sorted(values)]


def test_of_a_tiff_the_first_directory_keeps_what_the_picture_needs():
    first = [*tags(_274=6), (282, 5, 2**20, 8), (700, 1, 2**20, 8), (34665, 4, 1, 8)]
    content = tiff(first, tags(), tags())
    container = look_through(content, "TIFF")
    assert (container.n_frames, container.orientation) == (3, 6)
    assert container.content.startswith(tiff(tags()))
    assert len(container.content) == len(content)
    assert decode_image(content).pixels.tolist() == [[ord("I")]]


def test_both_byte_orders_and_large_tiffs_are_understood():
    for options in ({}, {"big_tiff": True}, {"compression": "tiff_lzw"}):
        content = encoded("TIFF", exif=turned_by_exif(), **options)
        assert look_through(content, "TIFF").orientation == 6
        assert np.array_equal(decode_image(content).pixels, np.rot90(CORNER, -1))
    big_endian = tiff(tags(_274=6), order=">")
    assert look_through(big_endian, "TIFF").orientation == 6
    assert decode_image(big_endian).pixels.tolist() == [[ord("M")]]


def test_pages_that_go_in_circles_or_nowhere_end_the_count():
    content = tiff(tags(), tags(), tags())
    for following in (0, 8, len(content) - 4, 2**31):
        assert look_through(content[:-4] + struct.pack("<I", following), "TIFF").n_frames == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tiff([*tags(), *[(tag, 3, 1, 1) for tag in range(40_000, 45_000)]]), "unreadable"),
        (tiff([(256, 4, 1, 1), (257, 4, 1, 1), (273, 4, 60_000, 8)]), "unreadable"),
        (tiff(tags(_322=30_000, _323=30_000)), "too_large"),
        (tiff(tags())[:60], "truncated"),
        (b"II*\0\xff\xff\xff\xff" + bytes(100), "truncated"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(100), "truncated"),
    ],
    ids=["tags", "strips", "tile", "cut off", "nowhere", "far away"],
)
def test_tiffs_made_to_keep_a_decoder_busy_are_refused(content: bytes, reason: str):
    assert reason_of(content, "TIFF") == reason


# BMP, PPM


def bmp(width: int, height: int, coding: int, pixels: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, coding, len(pixels), 1, 1, 256, 0)
    palette = b"".join(bytes([tone, tone, tone, 0]) for tone in range(256))
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024) + header + palette + pixels


def test_bmps_with_the_shortest_header_are_read():
    header = struct.pack("<IHHHH", 12, 1, 1, 1, 24)
    content = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + header + b"\7\7\7\0"
    assert decode_image(content).pixels.tolist() == [[7]]


def test_large_run_length_coded_bmps_are_refused():
    lines = b"\3\7\0\0" * 2 + b"\0\1"
    assert decode_image(bmp(3, 2, 1, lines)).pixels.tolist() == [[7, 7, 7]] * 2
    assert reason_of(bmp(6000, 6000, 1, lines), "BMP") == "too_large"
    assert reason_of(bmp(6000, -6000, 2, lines), "BMP") == "too_large"
    assert reason_of(bmp(3, 2, 1, bytes(2**22)), "BMP") == "too_large"
    assert decode_image(bmp(6000, 600, 0, bytes(3_600_000))).pixels.shape == (600, 6000)


def test_large_ppms_that_are_decoded_slowly_are_refused():
    for header in (b"P2 1 1 255 ", b"P3\n1\n1\n255\n", b"P1 1 1 ", b"P5 1 1 4095 ", b"P6 1 1 1 "):
        assert look_through(header + bytes(1000), "PPM").n_frames == 1
        assert reason_of(header + b" " * 2**22, "PPM") == "too_large"
    for header in (b"P5 1 1 255 ", b"P5 1 1 65535 ", b"P6 1 1 255 ", b"P4 1 1 ", b"Pf 1 1 -1.0 "):
        assert look_through(header + b" " * 2**22, "PPM").n_frames == 1


@pytest.mark.parametrize(
    "content",
    [
        b"P5\n" + b" " * 2**20 + b"1 1 255 1",
        b"P5\n" + b"#\n" * 2**19 + b"1 1 255 1",
        b"P5\n" + b"#" * 2**20,
        b"P5\n" + b"1" * 2**20,
        b"P2\n1 1 255\n" + b"#\n" * 1000 + b"1",
        b"P5 -1 1 255 1",
        b"P5",
    ],
    ids=["space", "comments", "comment", "digits", "comments within", "negative", "nothing"],
)
def test_ppm_headers_without_end_are_refused(content: bytes):
    assert reason_of(content, "PPM") == "unreadable"


# All of them


@pytest.mark.parametrize(
    ("file_format", "content"),
    [
        ("PNG", png_with(*[chunk(b"tEXt", b"")] * 50)),
        ("JPEG", jpeg_with(*[segment(0xE5, b"")] * 50)),
        ("GIF", gif(gif_frame(), *[gif_frame()] * 50)),
        ("GIF", gif(b"!\xfe" + b"\1x" * 50 + b"\0", gif_frame())),
        ("GIF", gif(gif_frame(), b"\0" * 50)),
        ("WEBP", webp(*[riff(b"ANMF", b"")] * 50)),
        ("TIFF", tiff(*[tags()] * 50)),
    ],
    ids=["chunks", "segments", "frames", "blocks", "junk", "webp", "pages"],
)
def test_files_of_too_many_parts_are_refused(
    file_format: str, content: bytes, monkeypatch: pytest.MonkeyPatch
):
    look_through(content, file_format)
    monkeypatch.setattr(limits, "MAX_PARTS", 40)
    assert reason_of(content, file_format) == "unreadable"


@pytest.mark.parametrize(
    ("size", "refused"),
    [((10_000, 5_000), False), ((10_000, 5_001), True), ((65_535, 1), False), ((65_536, 1), True)],
)
def test_sizes_are_refused_by_area_and_by_side(size: tuple[int, int], refused: bool):
    content = b"P5 %d %d 255 " % size
    with pytest.raises(ImageError) as caught:
        decode_image(content)
    assert caught.value.reason == ("too_large" if refused else "truncated")
