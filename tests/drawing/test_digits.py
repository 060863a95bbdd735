import numpy as np
import pytest

from digitflow.drawing.digit_forms import FORMS
from digitflow.drawing.digits import draw_digits
from digitflow.drawing.strokes import draw_form
from digitflow.images.normalising import normalise_batch
from digitflow.images.placing import stroke_width
from digitflow.models.predictor import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("mnist@pretrained")


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    return draw_digits(500, seed=0)


def test_the_digits_come_equally_often_in_no_order(drawn: tuple[np.ndarray, np.ndarray]):
    images, labels = drawn

    assert images.shape == (500, 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [50] * 10
    assert (np.diff(labels) != 0).mean() > 0.8


def test_the_seed_decides():
    images, labels = draw_digits(60, seed=1)
    again, labels_again = draw_digits(60, seed=1)
    others, _ = draw_digits(60, seed=2)

    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (images != others).any(axis=(1, 2)).all()


@pytest.mark.parametrize("n", [0, 1, 13])
def test_any_number_can_be_drawn(n: int):
    images, labels = draw_digits(n, seed=3)

    assert images.shape == (n, 28, 28)
    assert labels.shape == (n,)
    assert (images.max(axis=(1, 2)) == 255).all()


def test_they_have_the_form_of_mnist(drawn: tuple[np.ndarray, np.ndarray]):
    _, done = normalise_batch(drawn[0])

    assert done.mean() > 0.99


def test_pens_reach_from_hairlines_to_markers(drawn: tuple[np.ndarray, np.ndarray]):
    widths = [stroke_width(image / 255) for image in drawn[0]]

    thin, thick = np.quantile(widths, [0.05, 0.95])
    assert 1 < thin < 1.7
    assert 3.5 < thick < 5


def test_no_two_hands_are_equal():
    images = draw_form(FORMS[7]["bar"], 40, np.random.default_rng(4))

    assert len(np.unique(images, axis=0)) == 40


@pytest.mark.parametrize("digit", range(10))
def test_forms_can_be_read(predictor: Predictor, digit: int):
    for name, form in FORMS[digit].items():
        images = draw_form(form, 40, np.random.default_rng(5))

        read = predictor.predict_proba(images).argmax(axis=1)
        assert (read == digit).mean() >= 0.95, name
