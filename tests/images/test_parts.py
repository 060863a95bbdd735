"""Connected parts, against a flood fill that is plainly right."""

import numpy as np
import pytest

from digitflow.images.parts import find_parts


def flood_labels(mask: np.ndarray) -> np.ndarray:
    """Label the parts of a mask one pixel after the other, 0 where there is none."""
    labels = np.zeros(mask.shape, int)
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        label, waiting = labels.max() + 1, [start]
        labels[start] = label
        while waiting:
            y, x = waiting.pop()
            for near in np.ndindex(3, 3):
                at = (y + near[0] - 1, x + near[1] - 1)
                inside = 0 <= at[0] < mask.shape[0] and 0 <= at[1] < mask.shape[1]
                if inside and mask[at] and not labels[at]:
                    labels[at] = label
                    waiting.append(at)
    return labels


@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 0.45, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(20, 31), (1, 50), (50, 1)])
def test_parts_are_those_of_a_flood_fill(density: float, shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(shape) < density
    labels, parts = flood_labels(mask), find_parts(mask)
    assert len(parts.boxes) == len(parts.areas) == labels.max()
    values = np.random.default_rng(1).random(shape)
    sums = parts.sum_over(values)
    assert len(sums) == labels.max()
    for number, (left, top, right, bottom) in enumerate(parts.boxes):
        painted = parts.paint(np.arange(len(parts.boxes)) == number)
        (label,) = np.unique(labels[painted])
        assert np.array_equal(painted, labels == label)
        rows, columns = np.nonzero(painted)
        assert (left, top) == (columns.min(), rows.min())
        assert (right, bottom) == (columns.max() + 1, rows.max() + 1)
        assert sums[number] == pytest.approx(values[painted].sum())
        assert parts.areas[number] == painted.sum()


def test_a_snake_is_one_part() -> None:
    mask = np.zeros((101, 60), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    assert len(find_parts(mask).boxes) == 1


def test_an_empty_mask_has_no_parts() -> None:
    parts = find_parts(np.zeros((4, 5), bool))
    assert parts.boxes.shape == (0, 4)
    assert not parts.paint(np.zeros(0, bool)).any()


def test_the_share_near_the_box_tells_a_frame_from_a_disc() -> None:
    mask = np.zeros((60, 130), bool)
    mask[5:55, 5:55] = True
    mask[8:52, 8:52] = False
    y, x = np.ogrid[:60, :130]
    mask |= (y - 30) ** 2 + (x - 100) ** 2 < 20**2
    frame, disc = find_parts(mask).share_near_box(0.08)
    assert frame == 1
    assert disc < 0.3
