"""The picture of how a picture was read."""

import numpy as np
from matplotlib.text import Text

from digitflow.evaluation.explanation import explanation_figure

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
