"""Each corruption does what its unit says, and the measurement counts rightly."""

from collections.abc import Callable

import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.evaluation.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    UNCHANGED,
    accuracy_by_corruption,
    mean_corrupted_accuracy,
    measure_robustness,
)

SIZE = 28


def bars(n: int = 12) -> np.ndarray:
    """Return images of a vertical bar six pixels wide."""
    images = np.zeros((n, SIZE, SIZE), np.uint8)
    images[:, 4:24, 11:17] = 255
    return images


def dots(n: int, row: int, column: int) -> np.ndarray:
    images = np.zeros((n, SIZE, SIZE), np.uint8)
    images[:, row, column] = 255
    return images


def centres(images: np.ndarray) -> np.ndarray:
    """Return the centre of mass of each image, (n, 2), from the middle of the image, px."""
    floats = images.astype(float)
    places = np.arange(SIZE) - (SIZE - 1) / 2
    total = floats.sum(axis=(1, 2))
    rows = (floats.sum(axis=2) * places).sum(axis=1) / total
    return np.column_stack([rows, (floats.sum(axis=1) * places).sum(axis=1) / total])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_same_seed_same_images_and_the_input_stays(name: str) -> None:
    images = bars()
    corrupt = CORRUPTIONS[name]
    first = corrupt(images, 3, seed=5)
    assert (first.shape, first.dtype) == (images.shape, np.uint8)
    np.testing.assert_array_equal(first, corrupt(images, 3, seed=5))
    np.testing.assert_array_equal(images, bars())
    is_random = name in {"noise", "shift", "rotation", "occlusion"}
    assert (first != corrupt(images, 3, seed=6)).any() == is_random
    assert corrupt(images[:0], 1).shape == (0, SIZE, SIZE)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_changes_more_than_the_one_before(name: str) -> None:
    images = bars()
    distances = [
        np.abs(CORRUPTIONS[name](images, severity).astype(int) - images).sum()
        for severity in SEVERITIES
    ]
    assert distances[0] > 0
    assert np.all(np.diff(distances) > 0)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_the_stated_deviation(severity: int) -> None:
    grey = np.full((20, SIZE, SIZE), 128, np.uint8)
    low, median, high = np.percentile(CORRUPTIONS["noise"](grey, severity), [25, 50, 75])
    # Quartiles, as black and white cut off the tails; they lie 1.349 deviations apart.
    assert median == pytest.approx(128, abs=2)
    deviation = (high - low) / 1.349
    assert deviation == pytest.approx(CORRUPTIONS["noise"].levels[severity - 1], rel=0.06)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_spreads_an_edge_by_the_stated_deviation(severity: int) -> None:
    half = np.zeros((1, SIZE, SIZE), np.uint8)
    half[:, :, SIZE // 2 :] = 200
    edge = CORRUPTIONS["blur"](half, severity)[0, SIZE // 2].astype(float)
    slope = np.diff(edge[3:-6]) / 200
    places = np.arange(len(slope))
    middle = (slope * places).sum() / slope.sum()
    spread = np.sqrt((slope * (places - middle) ** 2).sum() / slope.sum())
    assert spread == pytest.approx(CORRUPTIONS["blur"].levels[severity - 1], abs=0.05)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_shift_moves_by_whole_pixels_in_all_four_directions(severity: int) -> None:
    moved = CORRUPTIONS["shift"](dots(40, 10, 12), severity)
    assert (moved.sum(axis=(1, 2)) == 255).all()
    _, rows, columns = np.nonzero(moved)
    found = set(zip((rows - 10).tolist(), (columns - 12).tolist(), strict=True))
    assert found == {(severity, 0), (-severity, 0), (0, severity), (0, -severity)}


@pytest.mark.parametrize("severity", SEVERITIES)
def test_rotation_turns_by_the_stated_angle_both_ways(severity: int) -> None:
    images = np.zeros((20, SIZE, SIZE), np.uint8)
    images[:, 12:16, 20:24] = 255
    rows, columns = centres(CORRUPTIONS["rotation"](images, severity)).T
    angles = np.degrees(np.arctan2(rows, columns))
    expected = CORRUPTIONS["rotation"].levels[severity - 1]
    np.testing.assert_allclose(np.abs(angles), expected, atol=0.5)
    assert set(np.sign(angles)) == {-1, 1}
    np.testing.assert_allclose(np.hypot(rows, columns), 8, atol=0.1)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("name", "sign"), [("thinner stroke", -1), ("thicker stroke", 1)])
def test_strokes_change_by_the_stated_width(name: str, sign: int, severity: int) -> None:
    changed = CORRUPTIONS[name](bars(), severity)
    width = changed[:, SIZE // 2].sum(axis=1) / 255
    np.testing.assert_allclose(width, 6 + sign * CORRUPTIONS[name].levels[severity - 1], atol=0.02)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_occlusion_wipes_out_a_square_here_and_there(severity: int) -> None:
    wiped = CORRUPTIONS["occlusion"](np.full((30, SIZE, SIZE), 255, np.uint8), severity) == 0
    side = int(CORRUPTIONS["occlusion"].levels[severity - 1])
    assert (wiped.any(axis=1).sum(axis=1) == side).all()
    assert (wiped.any(axis=2).sum(axis=1) == side).all()
    assert (wiped.sum(axis=(1, 2)) == side**2).all()
    corners = {(int(rows.min()), int(columns.min())) for rows, columns in map(np.nonzero, wiped)}
    assert len(corners) > 15


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_keeps_the_mean_and_the_stated_share(severity: int) -> None:
    images = bars().astype(float)
    faded = CORRUPTIONS["contrast"](bars(), severity).astype(float)
    kept = CORRUPTIONS["contrast"].levels[severity - 1] / 100
    assert faded.mean() == pytest.approx(images.mean(), abs=0.5)
    assert faded.std() == pytest.approx(kept * images.std(), rel=0.01)


def test_strengths_are_told_in_words() -> None:
    assert CORRUPTIONS["rotation"].describe(2) == "16°"
    assert CORRUPTIONS["contrast"].describe(5) == "25 % kept"


@pytest.mark.parametrize("severity", [0, 6, 2.5])
def test_there_are_five_severities(severity: float) -> None:
    with pytest.raises(UsageError, match="choose one of 1 to 5"):
        CORRUPTIONS["blur"](bars(), severity)


@pytest.mark.parametrize("images", [bars() / 255, bars()[0], bars()[..., None]])
def test_images_must_be_grey_bytes(images: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"must be \(n, height, width\), uint8"):
        CORRUPTIONS["noise"](images, 1)


def column_of_ink(images: np.ndarray) -> np.ndarray:
    """Read a digit as the column, of 28, with the most ink."""
    return np.eye(SIZE)[images.sum(axis=1, dtype=int).argmax(axis=1)]


def test_robustness_of_a_reader_of_columns() -> None:
    images = np.concatenate([dots(40, 14, column) for column in (10, 12)])
    labels = np.repeat([10, 12], 40)
    rows = measure_robustness(column_of_ink, images, labels)
    assert len(rows) == 1 + len(CORRUPTIONS) * len(SEVERITIES)
    assert rows[0] == {"corruption": UNCHANGED, "severity": 0, "n": 80, "accuracy": 1.0}
    table = accuracy_by_corruption(rows)
    assert list(table) == [UNCHANGED, *CORRUPTIONS]
    # Neither blur nor contrast moves ink; a shift does so sideways in about one half of all.
    assert table["blur"] == table["contrast"] == [1.0] * 5
    assert all(0.3 < accuracy < 0.7 for accuracy in table["shift"])
    assert mean_corrupted_accuracy(rows) == pytest.approx(
        np.mean([table[name] for name in CORRUPTIONS])
    )
    assert measure_robustness(column_of_ink, images, labels) == rows


def test_robustness_takes_evenly_spaced_images() -> None:
    seen = []

    def reader(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.tile([0.0, 1.0], (len(images), 1))

    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    rows = measure_robustness(reader, images, [1, 0, 1, 1, 0], n_images=3)
    assert seen[0][:, 0, 0].tolist() == [0, 2, 4]
    assert {row["n"] for row in rows} == {3}
    assert {row["accuracy"] for row in rows} == {2 / 3}


@pytest.mark.parametrize(
    ("reader", "images", "labels", "message"),
    [
        (column_of_ink, bars(3), [1, 2], "one label for each"),
        (column_of_ink, bars(0), [], "at least one image"),
        (column_of_ink, bars(3), [1, 2, 28], "must lie in 0 to 27"),
        (lambda images: images, bars(3), [1, 2, 3], "must be floating"),
    ],
)
def test_robustness_refuses_what_does_not_fit(
    reader: Callable, images: np.ndarray, labels: list[int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        measure_robustness(reader, images, labels)


def test_rows_that_are_not_whole_are_refused() -> None:
    rows = measure_robustness(column_of_ink, bars(4), [11] * 4)
    assert accuracy_by_corruption(rows[::-1]) == accuracy_by_corruption(rows)
    for faulty in (rows[1:], rows[:-1], [*rows, {**rows[1], "corruption": "fog"}], rows[:1]):
        with pytest.raises(UsageError, match="give the rows of measure_robustness"):
            accuracy_by_corruption(faulty)
