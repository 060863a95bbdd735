"""How large and how intricate an image file may be; what is more is refused undecoded."""

from digitflow.errors import ImageError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MAX_SIDE = 65_535  # px

#: Where a pixel takes four bytes in memory: an A4 page at 600 dpi has 35 million.
MAX_COLOUR_PIXELS = 36_000_000

#: libwebp and Pillow hold each pixel four times over.
MAX_WEBP_PIXELS = 15_000_000

#: Chunks, blocks, frames: 64 MiB are 262,144 of the smallest usual ones, GIF's blocks of 256 bytes.
MAX_PARTS = 400_000


def check_bytes(size: int) -> None:
    """Refuse a file of too many bytes."""
    if size > MAX_BYTES:
        raise ImageError("too_large", f"{size:,} bytes, over {MAX_BYTES:,}; make it smaller")


def check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Refuse a picture of more than so many pixels, or longer than `MAX_SIDE`."""
    if width * height > most or max(width, height) > MAX_SIDE:
        over = f"{most:,}" if width * height > most else f"{MAX_SIDE:,} along a side"
        raise ImageError("too_large", f"{width}×{height} pixels, over {over}; make it smaller")


def count_part(n_parts: int, file_format: str) -> int:
    """Return one more than so many parts; refuse a file that has still more."""
    if n_parts >= MAX_PARTS:
        raise ImageError("unreadable", f"a {file_format} file of too many parts; save it again")
    return n_parts + 1


def cut_off(file_format: str) -> ImageError:
    """Return the error of a file that ends too early."""
    return ImageError("truncated", f"the {file_format} file is cut off; copy it again")
