"""The picture of how a picture was read."""

import numpy as np
from matplotlib.text import Text

from digitflow.evaluation.explanation import dependence_figure, explanation_figure

STAGES = {
    "picture": np.full((60, 90), 200, np.uint8),
    "ink": np.full((60, 90), 255, np.uint8),
    "seen": np.zeros((28, 28), np.uint8),
}
PROBABILITIES = {str(digit): 0.91 if digit == 7 else 0.01 for digit in (7, 0, 1, 2, 3, 4, 5)}


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


def test_each_stage_has_its_picture_and_its_words() -> None:
    figure = explanation_figure(STAGES, np.eye(28), PROBABILITIES, "7 (ok)")
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert captions == [
        "the picture",
        "the ink",
        "what the model sees",
        "what the answer rests on",
        "probabilities",
    ]
    said = texts(figure)
    assert "7 (ok)" in said
    assert sum("91" in text for text in said) == 1
    assert "5" not in said  # the five most probable alone


def test_what_was_not_read_has_neither_reasons_nor_probabilities() -> None:
    figure = explanation_figure(STAGES, None, {}, "blank (nothing is written here)")
    assert [axes.get_xlabel() for axes in figure.axes][-1] == "what the model sees"


def test_each_digit_stands_beside_its_map() -> None:
    images = np.zeros((5, 28, 28), np.uint8)
    maps = np.zeros((5, 28, 28))
    maps[4, 20:25, 3:8] = 9
    figure = dependence_figure(images, maps, [f"caption {i}" for i in range(5)])

    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 10
    assert [axes.get_xlabel() for axes in shown[::2]] == [f"caption {i}" for i in range(5)]
    heat = shown[9].images[1]
    np.testing.assert_array_equal(heat.get_array(), maps[4])
    assert heat.norm.vmax == 9
    assert shown[1].images[1].norm.vmax == 1  # a map of nothing stays dark
