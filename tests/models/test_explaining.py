from pathlib import Path

import numpy as np
import pytest

from digitflow import Predictor
from digitflow.models.explaining import dependence_map


@pytest.fixture(scope="module")
def predictor(repository: Path) -> Predictor:
    return Predictor.load(repository / "models" / "mnist" / "pretrained")


def draw(*rectangles: tuple[int, int, int, int]) -> np.ndarray:
    """Return an image with filled rectangles (top, bottom, left, right), px."""
    image = np.zeros((28, 28), np.uint8)
    for top, bottom, left, right in rectangles:
        image[top:bottom, left:right] = 255
    return image


def see_a_gap(images: np.ndarray) -> np.ndarray:
    """See two classes: the odds of the first are lost as one pixel is inked, and another fades."""
    odds = 2 - 3 * (images[:, 10, 5] / 255) - 1 * (1 - images[:, 20, 20] / 255)
    first = 1 / (1 + np.exp(-odds))
    return np.stack([first, 1 - first], axis=1)


def test_gaps_count_as_strokes_do():
    image = draw((18, 23, 18, 23))

    found = dependence_map(see_a_gap, image)

    rows, columns = np.indices(image.shape)
    gap = 3 * ((rows - 10) ** 2 + (columns - 5) ** 2 <= 4)
    stroke = (rows - 20) ** 2 + (columns - 20) ** 2 <= 4
    assert found == pytest.approx((gap + stroke).astype(float), abs=1e-4)


def test_the_map_says_what_a_change_would_do(predictor: Predictor):
    one = draw((4, 24, 12, 15))
    before = predictor.predict_proba(one[np.newaxis])[0]
    found = dependence_map(predictor.predict_proba, one)

    y, x = np.unravel_index(found.argmax(), found.shape)
    rows, columns = np.indices(one.shape)
    changed = one.copy()
    changed[(rows - y) ** 2 + (columns - x) ** 2 <= 4] = 255 - one[y, x]
    after = predictor.predict_proba(changed[np.newaxis])[0]

    best = before.argmax()
    odds = [np.log(p[best] / (1 - p[best])) for p in (before, after)]
    assert found.max() == pytest.approx(odds[0] - odds[1], rel=1e-3)
    assert found.shape == (28, 28)
    assert found.dtype == np.float32
    assert found.min() == 0
