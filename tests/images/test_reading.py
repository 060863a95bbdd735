"""Every kind of file that may lie in a folder becomes a grey image or one reason."""

import contextlib
import io
import json
import os
import stat
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitflow.errors import ImageError
from digitflow.images import reading as reading_module
from digitflow.images.reading import ReadImage, decode_image, read_image


def drawing(rows: int = 40, columns: int = 30) -> np.ndarray:
    """Return a dark L on white, which no turn or flip leaves as it is."""
    grey = np.full((rows, columns), 255, np.uint8)
    grey[6:34, 8:12] = 0
    grey[30:34, 8:24] = 0
    return grey


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def reason_of(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(content)
    return caught.value.reason


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file with this size in its header and these chunks behind it."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (header, *chunks, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + body


# Threads


def test_threads_do_not_wait_for_each_other() -> None:
    content = encoded(Image.fromarray(drawing()), "JPEG")
    reading, go_on = threading.Event(), threading.Event()

    def read_slowly() -> None:
        with reading_module._quiet(False):
            reading.set()
            go_on.wait(60)

    slow = threading.Thread(target=read_slowly)
    quick = threading.Thread(target=decode_image, args=(content,), daemon=True)
    slow.start()
    reading.wait(60)
    quick.start()
    quick.join(30)
    waited = quick.is_alive()
    go_on.set()
    slow.join(60)
    assert not waited


def test_warnings_are_off_until_the_last_thread_has_read() -> None:
    before = list(warnings.filters)
    first, second = reading_module._quiet(False), reading_module._quiet(False)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("of a decoder", stacklevel=1)  # an error in the suite
    second.__exit__(None, None, None)
    with pytest.warns(UserWarning, match="of other code"):
        warnings.warn("of other code", stacklevel=1)
    assert list(warnings.filters) == before


# Files of a folder


def test_a_file_comes_with_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(encoded(Image.fromarray(drawing())))
    image = read_image(path)
    assert np.array_equal(image.pixels, drawing())
    assert (image.width, image.height, image.scale) == (30, 40, 1.0)
    assert (image.format, image.mode, image.orientation, image.n_frames) == ("PNG", "L", 1, 1)
    assert image.size_bytes == path.stat().st_size
    assert image.modified_at_ns == path.stat().st_mtime_ns
    assert len(image.content_hash) == 64
    assert read_image(str(path)).content_hash == image.content_hash


def test_names_need_not_be_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe\n.png"
    Path(os.fsdecode(path)).write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"udcff.*\\n\.png: not a PNG") as caught:
        read_image(path)
    assert caught.value.message.isprintable()
    Path(os.fsdecode(path)).write_bytes(encoded(Image.fromarray(drawing())))
    assert read_image(path).width == 30


def make_link(path: Path) -> None:
    target = path.with_suffix(".png")
    target.write_bytes(encoded(Image.fromarray(drawing())))
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "not_found"),
        (lambda path: path.mkdir(), "not_a_file"),
        (lambda path: os.mkfifo(path), "not_a_file"),
        (make_link, "not_a_file"),
        (lambda path: path.touch(), "empty"),
        (lambda path: path.write_text("seven"), "unsupported_format"),
        (lambda path: path.write_bytes(b"\x00" * 100), "unsupported_format"),
    ],
    ids=["missing", "folder", "fifo", "link", "empty", "text", "zeros"],
)
def test_what_is_no_image_file_has_a_reason(tmp_path: Path, make, reason: str) -> None:
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(ImageError, match=r"thing: .*[;,(]") as caught:
        read_image(path)
    assert caught.value.reason == reason


def test_a_socket_is_not_a_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    os.mknod(path, stat.S_IFSOCK | 0o600)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.reason == "not_a_file"


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "digit.png/inside"])
def test_impossible_names_are_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "digit.png").touch()
    with pytest.raises(ImageError) as caught:
        read_image(f"{tmp_path}/{name}")
    assert caught.value.reason == "not_found"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(encoded(Image.fromarray(drawing())))
    path.chmod(0)
    with pytest.raises(ImageError, match="permissions") as caught:
        read_image(path)
    assert caught.value.reason == "no_permission"


def test_a_file_that_grows_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "digit.png"
    path.write_bytes(encoded(Image.fromarray(drawing())))
    read = os.read

    def read_while_it_grows(descriptor: int, size: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(b"more")
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", read_while_it_grows)
    with pytest.raises(ImageError, match="changed while") as caught:
        read_image(path)
    assert caught.value.reason == "changed_while_reading"


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as stream:
        stream.truncate(10 * 2**30)  # sparse
    with pytest.raises(ImageError, match="over 67,108,864") as caught:
        read_image(path)
    assert caught.value.reason == "too_large"


# Pixels


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [
        ("1", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGB", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"),
        ("I;16", "PNG"), ("L", "BMP"), ("RGB", "BMP"), ("P", "GIF"), ("RGB", "WEBP"),
        ("RGBA", "WEBP"), ("L", "TIFF"), ("I;16", "TIFF"), ("I;16B", "TIFF"), ("I", "TIFF"),
        ("F", "TIFF"), ("CMYK", "TIFF"), ("LAB", "TIFF"), ("1", "PPM"), ("L", "PPM"),
        ("RGB", "PPM"), ("I;16", "PPM"), ("L", "JPEG"), ("RGB", "JPEG"), ("CMYK", "JPEG"),
    ],
)  # fmt: skip
def test_every_mode_and_format_gives_the_same_grey(mode: str, file_format: str) -> None:
    if mode.startswith("I"):
        wide = drawing().astype({"I": "<i4", "I;16": "<u2", "I;16B": ">u2"}[mode])
        picture = Image.fromarray(wide * 257)
    elif mode == "LAB":
        lightness = drawing()
        neutral = np.full_like(lightness, 128)
        picture = Image.frombytes(
            "LAB", lightness.shape[::-1], np.stack([lightness, neutral, neutral], 2).tobytes()
        )
    else:
        picture = Image.fromarray(drawing()).convert(mode)
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    image = decode_image(encoded(picture, file_format, **lossless))
    assert image.format == file_format
    assert image.pixels.dtype == np.uint8
    tolerance = 12 if file_format == "JPEG" else 0
    difference = np.abs(image.pixels.astype(int) - drawing())
    assert np.percentile(difference, 95) <= tolerance


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 4095]], np.uint16), [0, 255]),  # 12 bits stored in 16
        (np.array([[0, 30000, 65535]], np.uint16), [0, 117, 255]),
        (np.array([[0, 200]], np.uint16), [0, 200]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 51.0, 255.0]], np.float32), [0, 51, 255]),
        (np.array([[np.nan, np.inf, 1e30]], np.float32), [0, 0, 255]),
        (np.array([[-5.0, -5.0]], np.float32), [0, 0]),
    ],
)
def test_deep_pixels_are_scaled_by_their_range(values: np.ndarray, expected: list[int]) -> None:
    pixels = decode_image(encoded(Image.fromarray(values), "TIFF")).pixels
    assert pixels[0].tolist() == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("ink", [0, 60, 200, 255])
def test_strokes_on_transparent_paper_contrast_with_it(ink: int) -> None:
    strokes = drawing() == 0
    rgba = np.zeros((40, 30, 4), np.uint8)  # transparent pixels are black, as in a canvas
    rgba[strokes] = (ink, ink, ink, 255)
    pixels = decode_image(encoded(Image.fromarray(rgba))).pixels
    paper = 255 if ink < 128 else 0
    assert (pixels[~strokes] == paper).all()
    assert (pixels[strokes] == ink).all()


def test_a_picture_with_transparent_corners_gets_its_own_paper() -> None:
    rgba = np.dstack([drawing()] * 3 + [np.full((40, 30), 255, np.uint8)])
    rgba[:5, :5] = 0
    pixels = decode_image(encoded(Image.fromarray(rgba))).pixels
    assert np.array_equal(pixels, drawing())


def test_half_transparent_strokes_keep_their_shade() -> None:
    strokes = drawing() == 0
    rgba = np.zeros((40, 30, 4), np.uint8)
    rgba[strokes, 3] = 100
    pixels = decode_image(encoded(Image.fromarray(rgba))).pixels
    assert (pixels[strokes] == 155).all()
    assert (pixels[~strokes] == 255).all()


def test_nothing_but_transparency_is_plain_paper() -> None:
    pixels = decode_image(encoded(Image.new("RGBA", (9, 9)))).pixels
    assert (pixels == 255).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_counts_as_transparent(mode: str) -> None:
    picture = Image.fromarray(np.where(drawing() == 0, 255, 0).astype(np.uint8)).convert(mode)
    transparent = (0, 0, 0) if mode == "RGB" else picture.getpixel((0, 0))
    pixels = decode_image(encoded(picture, transparency=transparent)).pixels
    assert np.array_equal(pixels, 255 - drawing())


# Orientation, frames, sizes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_comes_out_upright(orientation: int, file_format: str) -> None:
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, 3),
    }[orientation](drawing())
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), file_format, exif=exif)
    image = decode_image(content)
    assert image.orientation == orientation
    assert (image.width, image.height) == (30, 40)
    assert np.array_equal(image.pixels > 128, drawing() > 128)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_read_and_all_are_counted(file_format: str) -> None:
    frames = [Image.fromarray(np.roll(drawing(), shift, axis=1)) for shift in (0, 3, 6)]
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    image = decode_image(content)
    assert image.n_frames == 3
    assert np.array_equal(image.pixels, drawing())


def test_large_jpegs_are_reduced_and_say_so() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("L", (4000, 3000), 200), "JPEG", exif=exif)
    image = decode_image(content)
    assert image.pixels.shape == (2000, 1500)
    assert (image.width, image.height, image.scale) == (3000, 4000, 2.0)


@pytest.mark.parametrize("size", [(65535, 65535), (20000, 2501), (9000, 9000), (12000, 9000)])
def test_bombs_are_refused_by_their_header(size: tuple[int, int]) -> None:
    content = png(*size, (b"IDAT", zlib.compress(b"\0" * 1000)))
    assert reason_of(content) == "too_large"


def test_a_bomb_in_a_text_chunk_is_passed_over() -> None:
    bomb = b"Comment\0\0" + zlib.compress(b"\0" * 2**24)
    content = png(1, 1, (b"zTXt", bomb), (b"IDAT", zlib.compress(b"\0\7")))
    assert decode_image(content).pixels.tolist() == [[7]]


@pytest.mark.parametrize(("file_format", "side"), [("PNG", 6000), ("TIFF", 6000), ("WEBP", 4000)])
def test_pictures_that_take_much_memory_are_refused_sooner(file_format: str, side: int) -> None:
    options = {"lossless": True, "method": 0} if file_format == "WEBP" else {}
    content = encoded(Image.new("RGB", (side + 1, side)), file_format, **options)
    assert reason_of(content) == "too_large"


LARGE: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(Image.new("RGBA", (6000, 6000)), compress_level=1),
    "TIFF": lambda: encoded(Image.new("F", (6000, 6000)), "TIFF", compression="packbits"),
    "JPEG": lambda: encoded(Image.new("CMYK", (65_500, 763)), "JPEG"),
    "progressive JPEG": lambda: encoded(
        Image.new("RGB", (6000, 6000)), "JPEG", progressive=True, subsampling=0
    ),
    "WebP": lambda: encoded(Image.new("RGBA", (3850, 3850)), "WEBP", lossless=True, method=0),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("kind", LARGE)
def test_the_largest_pictures_stay_within_the_memory(
    kind: str, repository: Path, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(LARGE[kind]())
    command = [sys.executable, str(repository / "benchmarks" / "one_image.py"), str(path)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert told["outcome"] == "read"
    assert told["megabytes"] <= 300


def test_long_jpegs_are_reduced_by_their_longer_side() -> None:
    image = decode_image(encoded(Image.new("L", (6000, 60)), "JPEG"))
    assert image.pixels.shape == (30, 3000)
    assert (image.width, image.height, image.scale) == (6000, 60, 2.0)


# Damage


def readable(content: bytes) -> ReadImage | str:
    try:
        return decode_image(content)
    except ImageError as error:
        return error.reason


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_truncated_file_is_an_error_or_whole(file_format: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    content = encoded(Image.fromarray(picture), file_format)
    whole = decode_image(content).pixels
    refused = 0
    for length in [*range(1, len(content), 7), *range(len(content) - 20, len(content))]:
        image = readable(content[:length])
        if isinstance(image, str):
            assert image in {"truncated", "unreadable", "unsupported_format"}
            refused += 1
        else:  # only padding and end marks may be missing
            assert np.array_equal(image.pixels, whole)
            assert length > 0.9 * len(content)
    assert refused > 0.8 * len(content) / 7
    if file_format == "PNG":
        assert readable(content[:-1]) == "truncated"


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_flipped_bytes_give_an_image_or_a_reason(file_format: str) -> None:
    rng = np.random.default_rng(1)
    content = encoded(Image.fromarray(drawing()), file_format)
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] ^= int(rng.integers(1, 256))
        image = readable(bytes(damaged))
        assert isinstance(image, ReadImage) or image in {
            "unsupported_format", "unreadable", "truncated", "too_large",
        }  # fmt: skip
        if file_format == "PNG":
            assert isinstance(image, str)


def test_other_formats_under_a_picture_name_are_refused() -> None:
    for file_format in ("ICO", "PDF", "EPS", "TGA"):
        content = encoded(Image.fromarray(drawing()).convert("RGB"), file_format)
        assert reason_of(content) == "unsupported_format"


@pytest.mark.parametrize("kind", ["Landscape", "Portrait"])
def test_the_photos_of_all_orientations_look_the_same(shared_data: Path, kind: str) -> None:
    folder = shared_data / "odd-images" / "exif-orientation"
    first, *others = [read_image(folder / f"{kind}_{number}.jpg") for number in range(9)]
    for other in others:
        assert (other.width, other.height) == (first.width, first.height)
        assert np.corrcoef(first.pixels.ravel(), other.pixels.ravel())[0, 1] > 0.95


def test_what_libtiff_prints_of_damaged_files_is_not_shown(shared_data: Path, capfd):
    for path in sorted((shared_data / "odd-images").rglob("*.tif*")):
        with contextlib.suppress(ImageError):
            read_image(path)

    assert tuple(capfd.readouterr()) == ("", "")
