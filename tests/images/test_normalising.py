"""Whatever a digit was drawn on, it comes out as MNIST's makers would have made it."""

import csv
import gzip
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from sklearn.datasets import load_digits

from digitflow.errors import ImageError
from digitflow.images.normalising import normalise, normalise_batch
from digitflow.images.placing import place, stroke_width, with_mnist_strokes
from digitflow.images.reading import read_image
from digitflow.models.predictor import Predictor


@pytest.fixture(scope="module")
def digits(shared_data: Path) -> np.ndarray:
    """Return 2,000 digits of MNIST, uint8 (2000, 28, 28)."""
    content = gzip.decompress((shared_data / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28)[:2000]


def enlarged(digit: np.ndarray, times: int = 8) -> np.ndarray:
    side = 28 * times
    return np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC))


def on_paper(ink: np.ndarray, paper: np.ndarray | float = 235.0) -> np.ndarray:
    """Return dark ink (uint8, 255 all ink) on paper."""
    return np.clip(paper * (1 - 0.85 * ink / 255.0), 0, 255).astype(np.uint8)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the best correlation of two images over shifts of a pixel."""
    return max(
        float(np.corrcoef(np.roll(one, (y, x), (0, 1)).ravel(), other.ravel())[0, 1])
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    )


def assert_alike(pictures: list[np.ndarray], digits: np.ndarray) -> None:
    """Hold that pictures of digits become those digits, nearly all of them closely."""
    found = [normalise(picture) for picture in pictures]
    assert not any(image.blank for image in found)
    alike = [likeness(image.image, digit) for image, digit in zip(found, digits, strict=True)]
    assert np.median(alike) > 0.95
    assert np.mean(np.array(alike) > 0.85) >= 0.95


def test_mnist_passes_unchanged(digits: np.ndarray) -> None:
    images, done = normalise_batch(digits)
    assert done.all()
    assert np.array_equal(images, digits)
    single = [normalise(digit) for digit in digits[:100]]
    assert np.array_equal([image.image for image in single], digits[:100])
    assert {image.polarity for image in single} == {"light_on_dark"}


def test_inverted_mnist_comes_out_as_mnist(digits: np.ndarray) -> None:
    images, done = normalise_batch(255 - digits)
    assert done.all()
    assert np.array_equal(images, digits)
    single = normalise(255 - digits[0])
    assert np.array_equal(single.image, digits[0])
    assert single.polarity == "dark_on_light"


def test_a_passed_digit_has_the_box_of_its_ink() -> None:
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 10:18] = 255
    found = normalise(digit)
    assert (found.x, found.y, found.width, found.height) == (10, 4, 8, 20)


def test_a_batch_leaves_the_others_alone(digits: np.ndarray) -> None:
    off_centre = np.roll(digits[0], 3, axis=1)
    grey = digits[1] // 2
    images, done = normalise_batch(np.stack([digits[0], off_centre, grey, np.zeros_like(grey)]))
    assert done.tolist() == [True, False, False, False]
    assert np.array_equal(images[1], off_centre)
    images, done = normalise_batch(np.zeros((0, 28, 28), np.uint8))
    assert images.shape == (0, 28, 28)
    assert done.shape == (0,)


def test_off_centre_and_dim_images_of_28_are_put_right(digits: np.ndarray) -> None:
    some = digits[:40]
    moved = [np.roll(digit, (2, -3), (0, 1)) for digit in some]
    assert_alike(moved, some)
    assert_alike([digit // 2 for digit in some], some)


@pytest.mark.parametrize("times", [2, 5, 30])
def test_enlarged_digits_come_back(digits: np.ndarray, times: int) -> None:
    some = digits[:12] if times == 30 else digits[:40]
    assert_alike([on_paper(enlarged(digit, times)) for digit in some], some)


@pytest.mark.parametrize("side", [20, 28, 96])
def test_a_digit_may_fill_its_picture(digits: np.ndarray, side: int) -> None:
    cut = []
    for digit in digits[:60]:
        rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
        tight = Image.fromarray(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        size = [max(1, round(length * side / max(tight.size))) for length in tight.size]
        cut.append(np.asarray(tight.resize(size, Image.Resampling.BILINEAR)))
    for picture in cut:
        assert normalise(picture).polarity == "light_on_dark"
        assert normalise(~picture).polarity == "dark_on_light"
    assert_alike(cut, digits[:60])
    assert_alike([~picture for picture in cut], digits[:60])


@pytest.mark.parametrize("inverted", [False, True])
def test_digits_of_eight_by_eight_pixels_are_read(inverted: bool) -> None:
    counts, labels = load_digits(return_X_y=True)  # real handwriting, 0..16
    pictures = np.rint(counts[:500].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    found = [normalise(~picture if inverted else picture) for picture in pictures]
    read = Predictor.load("mnist@pretrained").predict_proba(
        np.stack([each.image for each in found])
    )
    assert (read.argmax(axis=1) == labels[:500]).mean() > 0.95


def test_place_and_polarity_do_not_matter(digits: np.ndarray) -> None:
    some = digits[:40]
    pictures = [
        np.pad(enlarged(digit), ((150, 20), (30, 260))) for digit in some
    ]  # bright on black, far off centre
    assert_alike(pictures, some)
    assert_alike([255 - picture for picture in pictures], some)
    assert normalise(pictures[0]).polarity == "light_on_dark"
    assert normalise(255 - pictures[0]).polarity == "dark_on_light"


def test_the_box_is_where_the_ink_is() -> None:
    picture = np.full((1500, 900), 255, np.uint8)
    picture[300:900, 600:660] = 0
    found = normalise(picture)
    assert found.x == pytest.approx(600, abs=4)
    assert found.y == pytest.approx(300, abs=4)
    assert found.width == pytest.approx(60, abs=8)
    assert found.height == pytest.approx(600, abs=8)


def test_a_small_digit_in_a_large_picture_is_looked_at_closely(digits: np.ndarray) -> None:
    some = digits[:10]
    pictures = [np.pad(enlarged(digit, 5), ((1200, 160), (300, 1560))) for digit in some]
    assert_alike([on_paper(picture) for picture in pictures], some)
    found = normalise(on_paper(pictures[0]))
    assert 300 <= found.x <= 440
    assert 1200 <= found.y <= 1340


def gradient(shape: tuple[int, int]) -> np.ndarray:
    return np.linspace(250, 110, shape[1])[np.newaxis] * np.linspace(1, 0.85, shape[0])[:, None]


def shadow(shape: tuple[int, int]) -> np.ndarray:
    paper = np.full(shape, 230.0)
    paper[: shape[0] // 3] *= 0.6
    return paper


def squares(shape: tuple[int, int]) -> np.ndarray:
    paper = np.full(shape, 230.0)
    paper[::40] = paper[1::40] = 140
    paper[:, 11::40] = 140
    return paper


@pytest.mark.parametrize("paper", [gradient, shadow, squares])
def test_paper_and_light_do_not_matter(digits: np.ndarray, paper) -> None:
    rng = np.random.default_rng(0)
    some = digits[:40]
    pictures = []
    for digit in some:
        ink = np.pad(enlarged(digit), ((60, 40), (30, 70)))
        noise = rng.normal(0, 3, ink.shape)
        pictures.append(on_paper(ink, paper(ink.shape) + noise))
    assert_alike(pictures, some)


def test_ruled_lines_as_dark_as_the_ink_go(digits: np.ndarray) -> None:
    some = digits[:40]
    pictures = []
    for digit in some:
        ink = np.pad(enlarged(digit), 40)
        picture = Image.fromarray(on_paper(ink))
        draw = ImageDraw.Draw(picture)
        for height in (20, 110, 200, 290):
            draw.line((0, height, ink.shape[1], height + 6), fill=35, width=3)
        pictures.append(np.asarray(picture))
    assert_alike(pictures, some)


def test_a_frame_goes_and_a_square_zero_stays(digits: np.ndarray) -> None:
    some = digits[:40]
    pictures = []
    for digit in some:
        picture = Image.fromarray(on_paper(np.pad(enlarged(digit), 40)))
        ImageDraw.Draw(picture).rectangle((20, 20, 280, 285), outline=30, width=3)
        pictures.append(np.asarray(picture))
    assert_alike(pictures, some)
    square = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(square).rectangle((60, 40, 140, 160), outline=0, width=8)
    found = normalise(np.asarray(square))
    assert (found.width, found.height) == pytest.approx((81, 121), abs=3)


def test_specks_and_noise_do_not_matter(digits: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    some = digits[:40]
    pictures = []
    for digit in some:
        picture = on_paper(np.pad(enlarged(digit), 60)).astype(float)
        for y, x in rng.integers(0, 340, (25, 2)):
            picture[y : y + 3, x : x + 3] = 40
        noisy = picture + rng.normal(0, 15, picture.shape)
        pictures.append(np.clip(noisy, 0, 255).astype(np.uint8))
    assert_alike(pictures, some)


def test_faint_and_blurred_ink_is_found(digits: np.ndarray) -> None:
    some = digits[:40]
    faint = [on_paper(np.pad(enlarged(digit), 40) // 6) for digit in some]
    assert_alike(faint, some)
    blurred = [
        np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(4)))
        for picture in faint
    ]
    assert_alike(blurred, some)


def test_hair_thin_strokes_become_as_wide_as_those_of_mnist() -> None:
    line = Image.new("L", (400, 400), 255)
    ImageDraw.Draw(line).line([(100, 80), (300, 80), (180, 330)], fill=0, width=2)
    image = normalise(np.asarray(line)).image
    assert 1.5 < stroke_width(image / 255) < 2.8


def test_strokes_of_mnist_keep_their_width() -> None:
    amount = np.zeros((160, 100), np.float32)
    amount[:18] = amount[:, -18:] = 1  # a 7 of strokes 2.2 px wide in the 20-px box
    assert stroke_width(amount) == pytest.approx(18, rel=0.3)
    assert with_mnist_strokes(amount) is amount


def test_placing_follows_mnist() -> None:
    image = place(np.ones((40, 20), np.float32))
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 24, 10, 19)
    assert image.max() == 255
    lopsided = np.zeros((20, 20), np.float32)
    lopsided[:, :4] = lopsided[:5] = lopsided[-9:] = 1
    image = place(lopsided)
    at = np.arange(28)
    assert 13.5 <= image.sum(axis=0) @ at / image.sum() <= 14.6


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_plain_paper_is_blank(tone: int) -> None:
    found = normalise(np.full((90, 60), tone, np.uint8))
    assert found.blank
    assert not found.image.any()
    assert (found.x, found.y, found.width, found.height) == (0, 0, 60, 90)


def test_noisy_and_shaded_paper_is_blank() -> None:
    noise = np.random.default_rng(0).normal(0, 4, (300, 400))
    paper = np.clip(gradient((300, 400)) + noise, 0, 255).astype(np.uint8)
    assert normalise(paper).blank


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 2), (8, 8), (3, 40), (28, 28)])
def test_any_size_gives_an_image(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for picture in (rng.integers(0, 256, shape, np.uint8), rng.choice([0, 255], shape)):
        found = normalise(picture.astype(np.uint8))
        assert found.image.shape == (28, 28)
        assert found.image.dtype == np.uint8
        assert 0 <= found.x < found.x + found.width <= shape[1]
        assert 0 <= found.y < found.y + found.height <= shape[0]


@pytest.mark.parametrize(
    "grey", [np.zeros((28, 28)), np.zeros((2, 28, 28), np.uint8), np.zeros((0, 5), np.uint8)]
)
def test_what_is_no_grey_picture_is_refused(grey: np.ndarray) -> None:
    with pytest.raises(ValueError, match="need a grey picture"):
        normalise(grey)


def test_textures_take_no_longer_than_pictures() -> None:
    side = 640
    stripes = np.tile(np.uint8([0, 255]), (side, side // 2))
    textures = [stripes, stripes.T, stripes ^ stripes.T]
    textures.append(np.random.default_rng(0).integers(0, 256, (side, side), np.uint8))
    began = time.process_time()
    for texture in textures:
        normalise(np.ascontiguousarray(texture))
    assert time.process_time() - began < 4


def test_all_odd_images_give_a_row_each(shared_data: Path) -> None:
    folder = shared_data / "odd-images"
    with (folder / "MANIFEST.csv").open(newline="") as stream:
        names = [row["file"] for row in csv.DictReader(stream)]
    refused = []
    for name in names:
        began = time.process_time()
        try:
            assert normalise(read_image(folder / name).pixels).image.shape == (28, 28)
        except ImageError as error:
            refused.append(error.reason)
        assert time.process_time() - began < 1, name
    assert set(refused) == {"unsupported_format", "truncated", "too_large", "unreadable"}
    assert len(refused) < 0.2 * len(names)


def test_the_stages_are_kept_where_asked_for(digits: np.ndarray) -> None:
    picture = on_paper(np.pad(enlarged(digits[0]), 60))
    told = normalise(picture, explain=True)
    assert list(told.stages) == ["picture", "ink", "written", "digit", "seen"]
    assert {stage.dtype for stage in told.stages.values()} == {np.dtype(np.uint8)}
    assert np.array_equal(told.stages["picture"], picture)
    assert np.array_equal(told.stages["seen"], told.image)
    assert told.stages["ink"].shape == picture.shape
    plain = normalise(picture)
    assert plain.stages == {}
    assert np.array_equal(plain.image, told.image)
    assert list(normalise(digits[0], explain=True).stages) == ["picture", "seen"]


def test_what_else_is_as_large_is_counted(digits: np.ndarray) -> None:
    digit = np.pad(enlarged(digits[0], 4), 20)
    cut_off = digit[:, 60:75]
    assert normalise(on_paper(digit)).others == 0
    assert normalise(on_paper(np.hstack([digit, digit, digit]))).others == 2
    assert normalise(on_paper(np.hstack([digit, cut_off]))).others == 0
    stripes = np.tile(np.where(np.arange(400) % 80 < 10, 255, 0).astype(np.uint8), (100, 1))
    assert normalise(on_paper(stripes)).others >= 3
