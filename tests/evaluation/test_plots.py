"""The figures: what they say, that they can be read, and that nothing global is touched."""

import io

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from digitflow.errors import UsageError
from digitflow.evaluation.drawing import DPI
from digitflow.evaluation.plots import (
    confusion_matrix_figure,
    misclassified_figure,
    sample_predictions_figure,
    training_history_figure,
)

DIGITS = [str(digit) for digit in range(10)]
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
LABELS = np.arange(60) % 10


def certain(predicted: np.ndarray, confidence: float | np.ndarray = 0.9, k: int = 10) -> np.ndarray:
    """Return probabilities with this confidence in these classes."""
    confidence = np.broadcast_to(confidence, predicted.shape)[:, None]
    return np.where(np.eye(k, dtype=bool)[predicted], confidence, (1 - confidence) / (k - 1))


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return [
        text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{THIN SPACE}", " ") for text in found
    ]


def rendered(figure: Figure) -> np.ndarray:
    """Return the saved picture as grey values, having looked that there is something in it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    with Image.open(stream) as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.min() < 80
    assert pixels.max() == 255
    assert not pyplot.get_fignums()
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 9
    return pixels


@pytest.mark.parametrize("k", [2, 10, 26, 47])
def test_confusion_matrix_of_any_number_of_classes(k: int) -> None:
    names = [f"c{index}" for index in range(k)]
    matrix = np.diag(np.full(k, 998))
    matrix[0, 1] = 2
    figure = confusion_matrix_figure(matrix, names, "some title")
    height, width = rendered(figure).shape
    assert 400 < height <= width < 2000
    found = texts(figure)
    assert {"true class", "predicted class", "some title", "2", *names} <= set(found)
    assert found.count("998") == k
    assert ("0.2 %" in found) == (k <= 12)
    assert "0" not in found


def test_one_mistake_in_a_thousand_is_coloured() -> None:
    matrix = np.diag([1000, 1000])
    without = confusion_matrix_figure(matrix, ["a", "b"], "")
    matrix[1, 0] = 1
    with_one = confusion_matrix_figure(matrix, ["a", "b"], "")
    changed = np.abs(rendered(without).astype(int) - rendered(with_one)) >= 10
    # A cell is two inches wide.
    assert changed.sum() > (1.5 * DPI) ** 2


def test_confusion_matrix_of_a_class_without_samples() -> None:
    figure = confusion_matrix_figure([[5, 0], [0, 0]], ["a", "b"], "")
    rendered(figure)
    assert "100.0 %" in texts(figure)


def test_confusion_matrix_must_be_square() -> None:
    with pytest.raises(UsageError, match="must be 3 × 3"):
        confusion_matrix_figure(np.eye(2, dtype=int), ["a", "b", "c"], "")


def test_class_names_are_neither_mathematics_nor_endless() -> None:
    names = [r"$\frac{", "a\nname that is long beyond all measure"]
    rendered(confusion_matrix_figure([[1, 1], [1, 1]], names, "$title$"))
    labels = np.array([0, 1])
    figure = misclassified_figure(IMAGES[:2], labels, certain(1 - labels, k=2), names)
    rendered(figure)
    assert max(map(len, texts(figure))) < 40


def test_samples_show_every_class_and_mark_what_is_wrong() -> None:
    predicted = LABELS.copy()
    predicted[LABELS == 4] = 9
    figure = sample_predictions_figure(IMAGES, LABELS, certain(predicted), DIGITS, count=20)
    rendered(figure)
    found = texts(figure)
    assert all(found.count(f"true {digit}") == 2 for digit in DIGITS)
    assert found.count("✗ read 9") == 2
    assert found.count("read 9") == 2
    assert found.count("90.0 %") == 20
    assert "20 of 60 samples, chosen evenly over the classes: 2 misread" in found
    frames = [patch.get_linewidth() for patch in figure.axes[0].patches]
    assert sorted(set(frames)) == [0.6, 2.4]


def test_samples_are_fewer_where_there_are_fewer_and_images_may_be_floats() -> None:
    images = IMAGES[:3, :, :, None] / 255
    figure = sample_predictions_figure(images, LABELS[:3], certain(LABELS[:3]), DIGITS)
    rendered(figure)
    assert "3 of 3 samples, chosen evenly over the classes: none misread" in texts(figure)


def test_digits_are_drawn_dark_on_white_and_sharp() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 14, 14] = 255
    figure = sample_predictions_figure(image, [0], certain(np.array([0])), DIGITS)
    tile = rendered(figure)[50:154, 22:126]
    # One pixel of the digit is a square of four by four, black, and all else is white.
    assert (tile == 0).sum() == 16
    assert (tile == 255).sum() == tile.size - 16


def test_misclassified_come_worst_first() -> None:
    predicted = (LABELS + (np.arange(60) % 3 == 0)) % 10
    confidence = np.linspace(0.5, 0.99, 60)
    figure = misclassified_figure(IMAGES, LABELS, certain(predicted, confidence), DIGITS, count=12)
    rendered(figure)
    found = texts(figure)
    shown = [float(text.removesuffix(" %")) for text in found if text.endswith(" %")]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == 12
    assert shown[0] == pytest.approx(100 * confidence[57], abs=0.05)
    # Every third sample is wrong, and the later the surer.
    assert [text for text in found if text.startswith("true")] == [
        f"true {index % 10}" for index in range(57, 21, -3)
    ]
    assert found.count("✗ read 8") == 2
    assert "20 of 60 misread: the 12 surest" in found


def test_no_mistakes_is_a_friendly_picture() -> None:
    figure = misclassified_figure(IMAGES, LABELS, certain(LABELS), DIGITS)
    rendered(figure)
    assert any("No mistakes: all 60 samples were read right" in text for text in texts(figure))


@pytest.mark.parametrize("images", [IMAGES[:5], IMAGES.reshape(60, 784)])
def test_images_must_fit_the_predictions(images: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"images of shape .* n = 60"):
        sample_predictions_figure(images, LABELS, certain(LABELS), DIGITS)


@pytest.mark.parametrize("epochs", [1, 40])
def test_training_history(epochs: int) -> None:
    falling = np.geomspace(0.9, 0.01, epochs)
    history = {
        "loss": falling,
        "accuracy": 1 - falling / 3,
        "val_loss": (falling / 2).tolist(),
        "val_accuracy": 1 - falling / 4,
        "learning_rate": falling / 100,
    }
    figure = training_history_figure(history)
    rendered(figure)
    found = texts(figure)
    assert [axes.get_title() for axes in figure.axes] == ["Loss", "Accuracy", "Learning rate"]
    assert found.count("epoch") == 3
    assert f"validation: {100 * history['val_accuracy'][-1]:.2f} %" in found
    assert all(len(line.get_xdata()) == epochs for axes in figure.axes for line in axes.lines)
    # Training and validation differ by more than their colour.
    assert [line.get_linestyle() for line in figure.axes[0].lines] == ["-", "--"]


def test_accuracy_axis_is_not_squashed() -> None:
    figure = training_history_figure({"accuracy": [0.3, 0.9952, 0.9975], "val_accuracy": [1.0] * 3})
    rendered(figure)
    axes = figure.axes[0]
    heights = axes.transAxes.inverted().transform(
        axes.transData.transform([(1, accuracy) for accuracy in (0.9952, 0.9975, 1.0)])
    )[:, 1]
    assert np.all(np.diff(heights) > 0.07)
    assert heights[-1] < 1
    assert "99.5 %" in texts(figure)


@pytest.mark.parametrize("history", [{}, {"loss": []}])
def test_history_may_be_empty(history: dict[str, list[float]]) -> None:
    figure = training_history_figure(history)
    rendered(figure)
    assert texts(figure) == ["No training history was recorded"]


def test_history_survives_numbers_that_are_not_finite() -> None:
    nan, infinite = float("nan"), float("inf")
    figure = training_history_figure({"loss": [1.0, infinite, nan], "accuracy": [nan, nan, nan]})
    rendered(figure)
    assert "training: nan" in texts(figure)
