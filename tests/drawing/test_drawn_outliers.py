from collections import Counter

import numpy as np
import pytest

from digitflow.drawing import letter_forms, outliers
from digitflow.drawing.outliers import KINDS, draw_kind, draw_outliers
from digitflow.drawing.strokes import Pen, draw_form, narrowed
from digitflow.images.normalising import normalise_batch

FORMS = {
    **letter_forms.CAPITALS,
    **letter_forms.SMALL_LETTERS,
    **letter_forms.FOREIGN_LETTERS,
    **letter_forms.SIGNS,
    **letter_forms.DRAWINGS,
}


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return draw_outliers(640, seed=0)


def test_the_seed_decides():
    images = draw_outliers(64, seed=1)
    again = draw_outliers(64, seed=1)
    others = draw_outliers(64, seed=2)

    np.testing.assert_array_equal(images, again)
    assert (images != others).any(axis=(1, 2)).all()


@pytest.mark.parametrize("n", [0, 1, 13])
def test_any_number_can_be_drawn(n: int):
    images = draw_outliers(n, seed=3)

    assert images.shape == (n, 28, 28)
    assert images.dtype == np.uint8
    assert (images.max(axis=(1, 2)) == 255).all()


def test_they_have_the_form_of_mnist(drawn: np.ndarray):
    _, done = normalise_batch(drawn)

    assert done.mean() > 0.98


def test_no_two_are_equal(drawn: np.ndarray):
    assert len(np.unique(drawn, axis=0)) == len(drawn)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many of each kind have been asked for; they are not drawn."""
    counts: Counter[str] = Counter()

    def counted(kind: str, n: int, generator: np.random.Generator) -> np.ndarray:
        counts[kind] += n
        return np.zeros((n, 28, 28), np.uint8)

    monkeypatch.setattr(outliers, "draw_kind", counted)
    return counts


def test_what_people_write_comes_more_often(counts: Counter[str]):
    shares = {kind: 3 if kind in outliers.LIKELY else 1 for kind in KINDS}

    draw_outliers(2 * sum(shares.values()), seed=4)

    assert counts == {kind: 2 * share for kind, share in shares.items()}


def test_few_are_not_always_of_the_same_kinds(counts: Counter[str]):
    for seed in range(40):
        draw_outliers(12, seed)

    assert min(counts.values()) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_as_narrow_as_a_one(kind: str):
    images = draw_kind(kind, 100, np.random.default_rng(5))

    columns = (images > 64).any(axis=1).sum(axis=1)
    assert columns.min() >= 6


def test_numbers_are_wider_than_a_digit():
    images = draw_kind("numbers", 100, np.random.default_rng(6))

    columns, rows = ((images > 64).any(axis=axis).sum(axis=1) for axis in (1, 2))
    assert np.median(columns / rows) > 1.3


def test_some_are_soft_and_some_are_sharp():
    images = draw_kind("shapes", 200, np.random.default_rng(7))

    greys = ((images > 20) & (images < 235)).sum(axis=(1, 2)) / (images > 0).sum(axis=(1, 2))
    assert np.quantile(greys, 0.2) < 0.2
    assert np.quantile(greys, 0.9) > 0.4


@pytest.mark.parametrize("name", FORMS)
def test_every_form_can_be_drawn(name: str):
    images = draw_form(FORMS[name], 5, np.random.default_rng(8))

    assert (images.max(axis=(1, 2)) == 255).all()
    assert len(np.unique(images, axis=0)) == 5


def test_lines_that_lie_close_are_drawn_with_a_finer_pen():
    far = [np.array([(x, 0.0), (x, 100.0)]) for x in (0.0, 100.0)]
    close = [np.array([(x, 0.0), (x, 100.0)]) for x in np.linspace(0, 100, 20)]

    pen = Pen(width=4)
    assert narrowed(pen, far).width == 4
    assert narrowed(pen, close).width < 2
    assert narrowed(pen, close, covered=0.5).width < narrowed(pen, close).width
