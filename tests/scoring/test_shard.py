"""One shard: every file a row, whatever the file is."""

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pyarrow import parquet

from digitflow.errors import BundleError, ImageError
from digitflow.images.normalising import normalise, normalise_batch
from digitflow.models.bundle import load_bundle
from digitflow.models.registry import find_model
from digitflow.scoring import shard as shard_module
from digitflow.scoring.plan import Found, Shard, plan_shards, walk
from digitflow.scoring.shard import ShardOptions, score_files, score_shard
from digitflow.scoring.table import Row


class FakePredictor:
    """Always sure of the second class, and remembers what it was asked."""

    def __init__(
        self,
        class_names: tuple[str, ...] = ("0", "1"),
        uncertain_below: float = 0.5,
        rejected_below: float = 0.0,
    ):
        self.bundle = SimpleNamespace(
            class_names=class_names,
            temperature=1.0,
            uncertain_below=uncertain_below,
            rejected_below=rejected_below,
        )
        self.images = np.empty((0, 28, 28), np.uint8)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        self.images = images
        return np.tile(np.float32([0.2, 0.8]), (len(images), 1))


def drawing(size: int = 28, *, ink: int = 0, paper: int = 255) -> Image.Image:
    """A slanted stroke and a bar, off the centre."""
    image = Image.new("L", (size, size), paper)
    draw = ImageDraw.Draw(image)
    unit = size / 28
    draw.line((8 * unit, 5 * unit, 13 * unit, 22 * unit), fill=ink, width=max(2, int(3 * unit)))
    draw.line((8 * unit, 5 * unit, 16 * unit, 5 * unit), fill=ink, width=max(2, int(2 * unit)))
    return image


def shard_of(folder: Path) -> Shard:
    name = os.fsencode(folder)
    (shard,) = plan_shards(name, walk(name))
    return shard


def rows_of(folder: Path, predictor: FakePredictor | None = None) -> dict[bytes, Row]:
    rows = score_files(shard_of(folder), predictor or FakePredictor())
    return {row.path: row for row in rows}


def test_a_digit_is_read_with_its_box_and_the_files_facts(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    drawing(280).save(path)
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    row = rows_of(tmp_path)[b"1.png"]
    assert (row.status, row.reason, row.message) == ("ok", None, None)
    assert (row.label, row.digit, row.segment) == ("1", 1, 0)
    assert row.confidence == pytest.approx(0.8)
    assert 50 < row.x < 90
    assert 30 < row.y < 60
    assert 60 < row.width < 140
    assert 150 < row.height < 220
    assert (row.image_width, row.image_height, row.format, row.mode) == (280, 280, "PNG", "L")
    assert (row.polarity, row.orientation, row.n_frames) == ("dark_on_light", 1, 1)
    assert row.size_bytes == path.stat().st_size
    assert row.modified_at == 1_700_000_000_123_456
    assert len(row.content_hash) == 64


def test_small_pictures_are_normalised_as_they_would_be_alone(tmp_path: Path) -> None:
    form = normalise(np.asarray(drawing(280))).image  # in MNIST's form
    pictures = {b"a": form, b"b": 255 - form, b"c": np.asarray(drawing()), b"d": form[::-1].copy()}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name.decode()}.png")
    predictor = FakePredictor()
    rows = rows_of(tmp_path, predictor)
    seen = {image.tobytes() for image in predictor.images}
    assert len(predictor.images) == 4
    for name, pixels in pictures.items():
        alone, row = normalise(pixels), rows[name + b".png"]
        assert alone.image.tobytes() in seen
        assert (row.x, row.y, row.width, row.height, row.polarity) == (
            alone.x,
            alone.y,
            alone.width,
            alone.height,
            alone.polarity,
        )


def test_small_pictures_are_normalised_a_block_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counted(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(len(images))
        return normalise_batch(images)

    monkeypatch.setattr(shard_module, "normalise_batch", counted)
    monkeypatch.setattr(shard_module, "BLOCK_IMAGES", 2)
    for number in range(5):
        drawing().save(tmp_path / f"{number}.png")
    assert [row.status for row in rows_of(tmp_path).values()] == ["ok"] * 5
    assert sizes == [2, 2, 1]


def test_the_box_of_a_picture_read_reduced_is_in_its_own_pixels(tmp_path: Path) -> None:
    drawing(4000).save(tmp_path / "large.jpg")
    drawing(400).save(tmp_path / "small.jpg")
    large, small = rows_of(tmp_path).values()
    assert (large.image_width, large.image_height) == (4000, 4000)
    for name in ("x", "y", "width", "height"):
        assert getattr(large, name) == pytest.approx(10 * getattr(small, name), abs=60), name


def test_the_ink_is_that_of_the_digit_as_the_model_sees_it(tmp_path: Path) -> None:
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 12:16] = 255
    Image.fromarray(digit).save(tmp_path / "a.png")
    Image.fromarray(255 - digit).resize((280, 280)).save(tmp_path / "b.png")
    first, second = rows_of(tmp_path).values()
    assert first.ink == pytest.approx(80 / 784)
    assert second.ink == pytest.approx(first.ink, rel=0.2)


def test_an_empty_sheet_is_blank(tmp_path: Path) -> None:
    Image.new("L", (60, 60), 255).save(tmp_path / "a.png")
    Image.new("L", (28, 28), 0).save(tmp_path / "b.png")
    for row in rows_of(tmp_path).values():
        assert (row.status, row.reason, row.label, row.probabilities) == (
            "blank",
            "no_ink",
            None,
            None,
        )
        assert row.message


def test_low_confidence_is_uncertain_and_keeps_its_label(tmp_path: Path) -> None:
    drawing().save(tmp_path / "1.png")
    row = rows_of(tmp_path, FakePredictor(uncertain_below=0.9))[b"1.png"]
    assert (row.status, row.reason, row.label) == ("uncertain", "low_confidence", "1")
    assert "0.8" in row.message


def test_letters_have_a_label_and_no_digit(tmp_path: Path) -> None:
    drawing().save(tmp_path / "1.png")
    row = rows_of(tmp_path, FakePredictor(("a", "²")))[b"1.png"]
    assert (row.label, row.digit) == ("²", None)


def test_each_broken_file_is_a_row_with_its_reason(tmp_path: Path) -> None:
    drawing().save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    broken = {
        b"cut.png": whole[:-20],
        b"empty.png": b"",
        b"text.png": b"no picture",
        b"\xff\n.png": whole[:60],
    }
    for name, content in broken.items():
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(content)
    rows = rows_of(tmp_path)
    assert {path: row.reason for path, row in rows.items()} == {
        b"good.png": None,
        b"cut.png": "truncated",
        b"empty.png": "empty",
        b"text.png": "unsupported_format",
        b"\xff\n.png": "truncated",
    }
    for path in broken:
        assert rows[path].status == "error"
        assert rows[path].message
        assert rows[path].label is None


def test_a_file_that_vanishes_and_a_known_problem_are_rows(tmp_path: Path) -> None:
    files = [Found(b"gone.png"), Found(b"pipe", problem=ImageError("not_a_file", "a pipe"))]
    rows = score_files(Shard(0, os.fsencode(tmp_path), files), FakePredictor())
    assert [row.reason for row in rows] == ["not_found", "not_a_file"]
    assert {(row.size_bytes, row.modified_at) for row in rows} == {(None, None)}


def test_a_file_that_cannot_be_read_keeps_what_the_walk_saw_of_it(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "link.png").symlink_to("cut.png")
    for path in tmp_path.iterdir():
        os.utime(path, ns=(0, 1_700_000_000_123_456_789), follow_symlinks=False)
    rows = rows_of(tmp_path)
    assert [row.reason for row in rows.values()] == ["truncated", "not_a_file"]
    assert [row.size_bytes for row in rows.values()] == [8, 7]
    for row in rows.values():
        assert (row.modified_at, row.content_hash) == (1_700_000_000_123_456, None)


def test_a_fault_of_ours_costs_one_row_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing(50).save(tmp_path / "a.png")
    drawing(60).save(tmp_path / "b.png")

    def fragile(pixels: np.ndarray) -> object:
        if pixels.shape == (50, 50):
            raise ZeroDivisionError("oops")
        return normalise(pixels)

    monkeypatch.setattr(shard_module, "normalise", fragile)
    rows = rows_of(tmp_path)
    assert rows[b"a.png"].reason == "unreadable"
    assert "ZeroDivisionError (oops)" in rows[b"a.png"].message
    assert rows[b"b.png"].status == "ok"


def test_a_time_that_no_table_can_hold_is_null(tmp_path: Path) -> None:
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK):
        pytest.skip("needs a file system with 64-bit times")
    path = shared_memory / f"digitflow-{os.getpid()}.png"
    try:
        drawing().save(path)
        os.utime(path, (0, 2**62))
        name = os.fsencode(path.name)
        (row,) = score_files(Shard(0, b"/dev/shm", [Found(name)]), FakePredictor())
        assert (row.status, row.modified_at) == ("ok", None)
    finally:
        path.unlink(missing_ok=True)


def test_a_shard_becomes_a_part(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    drawing().save(images / "1.png")
    Image.new("L", (60, 60), 255).save(images / "2.png")
    (images / "3.png").write_bytes(b"")
    bundle = load_bundle(find_model())
    options = ShardOptions(bundle.folder, bundle.model_id, "run")
    before = datetime.now(UTC)
    summary = score_shard(shard_of(images), options, tmp_path / "part")
    rows = parquet.read_table(summary.part).to_pylist()
    assert [row["path"] for row in rows] == ["1.png", "2.png", "3.png"]
    assert {row["model_id"] for row in rows} == {bundle.model_id}
    assert [row["reason"] for row in rows[1:]] == ["no_ink", "empty"]
    assert (summary.number, summary.n_files) == (0, 3)
    assert all(before <= row["scored_at"] for row in rows)


def test_another_model_than_the_runs_is_refused(tmp_path: Path) -> None:
    drawing().save(tmp_path / "1.png")
    options = ShardOptions(load_bundle(find_model()).folder, "another", "run")
    with pytest.raises(BundleError, match="changed during the run"):
        score_shard(shard_of(tmp_path), options, tmp_path / "part")


def side_by_side(*drawings: Image.Image) -> Image.Image:
    picture = Image.new("L", (sum(each.width for each in drawings), drawings[0].height), 255)
    left = 0
    for each in drawings:
        picture.paste(each, (left, 0))
        left += each.width
    return picture


def test_several_digits_have_a_row_each_in_reading_order(tmp_path: Path) -> None:
    side_by_side(drawing(120), drawing(120), drawing(120)).save(tmp_path / "b.png")
    drawing(120).save(tmp_path / "a.png")
    Image.new("L", (100, 80), 255).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"no image")
    drawing(28).save(tmp_path / "e.png")

    rows = score_files(shard_of(tmp_path), FakePredictor(), multi=True)

    found = [(row.path, row.segment, row.status, row.label) for row in rows]
    assert found == [
        (b"a.png", 0, "ok", "1"),
        (b"b.png", 0, "ok", "1"),
        (b"b.png", 1, "ok", "1"),
        (b"b.png", 2, "ok", "1"),
        (b"c.png", 0, "blank", None),
        (b"d.png", 0, "error", None),
        (b"e.png", 0, "ok", "1"),
    ]
    left = [row.x for row in rows if row.path == b"b.png"]
    assert np.diff(left).tolist() == pytest.approx([120, 120], abs=2)
    assert {row.content_hash for row in rows if row.path == b"b.png"} == {rows[1].content_hash}


def test_what_cannot_be_parted_stays_uncertain_however_sure_the_model_is(tmp_path: Path) -> None:
    picture = Image.new("L", (300, 120), 240)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((40, 30, 230, 90), outline=20, width=8)
    pen.line((60, 90, 120, 30, 180, 90), fill=20, width=8)
    picture.save(tmp_path / "a.png")
    (row,) = score_files(shard_of(tmp_path), FakePredictor(), multi=True)
    assert (row.status, row.reason, row.label) == ("uncertain", "touching", "1")
    assert "touches" in str(row.message)


def test_a_picture_of_several_digits_is_uncertain_where_one_is_asked_for(tmp_path: Path) -> None:
    side_by_side(drawing(120), drawing(120)).save(tmp_path / "a.png")
    (row,) = score_files(shard_of(tmp_path), FakePredictor())
    assert (row.status, row.reason, row.label) == ("uncertain", "several", "1")
    assert "--multi" in str(row.message)


def test_what_looks_like_no_digit_is_rejected(tmp_path: Path) -> None:
    drawing(120).save(tmp_path / "a.png")
    (row,) = score_files(shard_of(tmp_path), FakePredictor(rejected_below=1.01))
    assert (row.status, row.reason, row.label) == ("rejected", "not_a_digit", "1")
