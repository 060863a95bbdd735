"""Ink is told from paper whichever is darker, and where the light changes."""

import numpy as np
import pytest

from digitflow.images.ink import find_ink, otsu


def picture(paper: np.ndarray, ink: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of a ring on this paper, and where the ring is."""
    y, x = np.ogrid[: paper.shape[0], : paper.shape[1]]
    radius = np.hypot(y - paper.shape[0] / 2, x - paper.shape[1] / 2)
    ring = np.abs(radius - 50) < 6
    return np.where(ring, paper * ink, paper).astype(np.uint8), ring


@pytest.mark.parametrize("light", [(240, 240), (250, 100), (90, 160)])
@pytest.mark.parametrize("inverted", [False, True])
def test_the_mask_is_the_ink(light: tuple[int, int], inverted: bool) -> None:
    paper = np.broadcast_to(np.linspace(*light, 260), (200, 260))
    grey, ring = picture(paper, 0.4)
    found = find_ink(~grey if inverted else grey)
    assert found is not None
    assert found.polarity == ("light_on_dark" if inverted else "dark_on_light")
    assert (found.mask == ring).mean() > 0.99
    assert found.amount[ring].mean() > 0.95
    assert found.amount[~ring].max() < 0.3


def test_large_pictures_are_shrunk() -> None:
    found = find_ink(
        np.kron(picture(np.full((200, 260), 220.0), 0.2)[0], np.ones((9, 9), np.uint8))
    )
    assert found is not None
    assert found.factor == 4
    assert found.mask.shape == (450, 585)


def test_paper_alone_has_no_ink() -> None:
    assert find_ink(np.full((50, 50), 200, np.uint8)) is None


def test_otsu_parts_two_heaps_in_the_middle() -> None:
    values = np.array([0.1, 0.12, 0.11, 0.8, 0.82])
    assert 0.4 < otsu(values, 0.0, 1.0) < 0.55
