import io
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from digitflow.errors import BundleError
from digitflow.models.npz import read_npz

ROWS = {"images": np.dtype((np.uint8, (28, 28))), "dynamic": np.dtype((np.float32, (10,)))}


def npy(shape: tuple[int, ...], descr: str = "|u1", content: bytes = b"") -> bytes:
    """Return a .npy file that claims to hold what it need not."""
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + content


IMAGES = npy((1, 28, 28), content=bytes(784))
PROBABILITIES = npy((1, 10), "<f4", bytes(40))


def npz(
    images: bytes = IMAGES, dynamic: bytes = PROBABILITIES, method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("images.npy", images)
        archive.writestr("dynamic.npy", dynamic)
    return stream.getvalue()


def with_fields(content: bytes, local: int, central: int, value: int) -> bytes:
    """Return a zip file with another number at these places of its members' headers."""
    changed = bytearray(content)
    for signature, place in ((b"PK\3\4", local), (b"PK\1\2", central)):
        start = content.find(signature)
        while start >= 0:
            changed[start + place : start + place + 2] = value.to_bytes(2, "little")
            start = content.find(signature, start + 1)
    return bytes(changed)


def with_bad_deflate() -> bytes:
    content = npz()
    start = content.index(b"images.npy") + len(b"images.npy")
    return content[:start] + b"\xff" * 8 + content[start + 8 :]


BAD = {
    "no zip": (b"not a zip file", "not a zip file"),
    "no images": (npz().replace(b"images.npy", b"imagez.npy"), "no item named 'images.npy'"),
    "bomb": (npz(npy((9999, 28, 28), content=bytes(9999 * 784))), "images is uint8.*9999"),
    "claims": (npz(npy((10**11, 28, 28))), "images is uint8 .100000000000, 28, 28."),
    "claims probabilities": (npz(dynamic=npy((10**11, 10), "<f4")), "dynamic is float32"),
    "no dimensions": (npz(npy(())), "images is uint8"),
    "no images at all": (npz(npy((0, 28, 28))), "images is uint8 .0, 28, 28."),
    "negative": (npz(npy((-1, 28, 28))), "images is uint8 .-1, 28, 28."),
    "wrong type": (npz(npy((1, 28, 28), "<f8", bytes(8 * 784))), "images is float64"),
    "wrong order of bytes": (npz(dynamic=npy((1, 10), ">f4", bytes(40))), "dynamic is >f4"),
    "pickle": (npz(npy((1, 28, 28), "|O", b"cos\nsystem\n")), "images is object"),
    "wrong rows": (npz(dynamic=npy((2, 10), "<f4", bytes(80))), "1 images, 2 dynamic"),
    "too short": (npz(npy((1, 28, 28), content=bytes(783))), "783 bytes instead of 784"),
    "too long": (npz(npy((1, 28, 28), content=bytes(785))), "785 bytes instead of 784"),
    "no header": (npz(b""), ""),
    "deep header": (npz(b"\x93NUMPY\1\0\x88\x13" + b"-" * 5000), ""),
    "long header": (npz(b"\x93NUMPY\1\0\x20\x4e" + b" " * 20_000), ""),
    "open header": (npz(IMAGES.replace(b")", b" ")), "multi-line statement"),
    "newer header": (npz(IMAGES.replace(b"NUMPY\1", b"NUMPY\2")), "version"),
    "encrypted": (with_fields(npz(), 6, 8, 1), "encrypted"),
    "unknown compression": (with_fields(npz(), 8, 10, 99), "images is packed by method 99"),
    "unbounded compression": (npz(method=zipfile.ZIP_LZMA), "images is packed by method 14"),
    "newer zip": (with_fields(npz(), 4, 6, 250), "zip file version"),
    "bad deflate": (with_bad_deflate(), ""),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_not_wanted_is_refused_in_a_line(content: bytes, message: str):
    with pytest.raises(BundleError, match=rf"cannot be read \(.*{message}") as caught:
        read_npz(content, ROWS, 64)

    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_they_were_stored(save: Callable[..., None]):
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
    probabilities = np.random.default_rng(1).random((64, 10), np.float32)
    stream = io.BytesIO()
    save(stream, images=images, dynamic=np.asfortranarray(probabilities), other=images)

    found = read_npz(stream.getvalue(), ROWS, 64)

    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], probabilities)


def test_any_flipped_byte_is_refused_or_does_no_harm():
    content = npz()
    wanted = read_npz(content, ROWS, 64)

    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        try:
            found = read_npz(bytes(damaged), ROWS, 64)
        except BundleError:
            continue
        for array, right in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(array, right)
