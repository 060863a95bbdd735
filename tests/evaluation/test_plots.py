"""The figures: what they say, that they can be read, and that nothing global is touched."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from digitflow.errors import UsageError
from digitflow.evaluation.corruptions import CORRUPTIONS, measure_robustness
from digitflow.evaluation.drawing import BLUE, DPI, VERMILION
from digitflow.evaluation.plots import (
    augmentation_figure,
    confusion_matrix_figure,
    misclassified_figure,
    reliability_figure,
    risk_coverage_figure,
    robustness_figure,
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


def in_colour(figure: Figure) -> np.ndarray:
    """Return the saved picture as (height, width, 3)."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))


def count_of(colour: str, figure: Figure) -> int:
    """Return how many pixels of the saved picture have this colour."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return int((in_colour(figure) == wanted).all(axis=2).sum())


def rendered(figure: Figure) -> np.ndarray:
    """Return the saved picture as grey values, having looked that there is something in it."""
    pixels = np.asarray(Image.fromarray(in_colour(figure)).convert("L"))
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


def calibrated(confidences: list[float], n_each: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of two classes, right as often as the confidence says."""
    confidence = np.repeat(confidences, n_each)
    right = np.concatenate([np.arange(n_each) < round(c * n_each) for c in confidences])
    return np.where(right, 0, 1), np.column_stack([confidence, 1 - confidence])


def test_reliability_of_honest_confidences_lies_on_the_line() -> None:
    figure = reliability_figure(*calibrated([0.6, 0.75, 0.9], 1000))
    rendered(figure)
    upper, lower = figure.axes
    (points,) = (bars.lines[0] for bars in upper.containers)
    np.testing.assert_allclose(points.get_xdata(), [0.6, 0.75, 0.9])
    np.testing.assert_allclose(points.get_ydata(), [0.6, 0.75, 0.9])
    assert sum(text.get_text() == "1,000" for text in lower.texts) == 3
    assert count_of(BLUE, figure) > 200
    assert count_of(VERMILION, figure) == 0
    assert {"confidence", "share that is right", "samples"} <= set(texts(figure))


def test_reliability_marks_what_is_off_and_pales_what_is_few() -> None:
    labels, probabilities = calibrated([0.6], 1000)
    # Right in 600 of 1,000 at a confidence of 95 %; and five samples, which tell nothing.
    probabilities[:] = [0.95, 0.05]
    few_labels, few = calibrated([0.7], 5)
    labels, probabilities = np.append(labels, few_labels), np.vstack([probabilities, few])
    figure = reliability_figure(labels, probabilities)
    rendered(figure)
    off, pale = figure.axes[0].containers
    assert off.lines[0].get_ydata().tolist() == [0.6]
    assert pale.lines[0].get_xdata() == pytest.approx([0.7])
    assert off.lines[0].get_marker() != pale.lines[0].get_marker()
    assert count_of(VERMILION, figure) > 50
    assert count_of(BLUE, figure) == 0
    assert {"further off than chance explains", "1,000", "5"} <= set(texts(figure))


@pytest.mark.parametrize("figure_of", [reliability_figure, risk_coverage_figure])
@pytest.mark.parametrize("label", [0, 1])
def test_confidence_pictures_of_all_or_nothing(figure_of: Callable, label: int) -> None:
    labels = np.full(50, label)
    rendered(figure_of(labels, np.tile([1.0, 0.0], (50, 1))))
    rendered(figure_of(labels[:1], np.array([[0.5, 0.5]])))


def test_risk_coverage_draws_the_curve_and_says_the_risks() -> None:
    confidence = np.linspace(0.99, 0.51, 1000)
    # One in ten of the less sure half is wrong, and nothing else.
    wrong = (np.arange(1000) >= 500) & (np.arange(1000) % 10 == 9)
    figure = risk_coverage_figure(wrong.astype(int), np.column_stack([confidence, 1 - confidence]))
    rendered(figure)
    (curve,) = (line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-pre")
    coverage, risk = curve.get_data()
    assert coverage[-1] == 1
    assert risk[-1] == 0.05
    assert risk[coverage <= 0.5].max() == 0
    found = texts(figure)
    # 30 of the surest 800 are wrong, 40 of 900, 50 of all.
    assert {"3.75 %", "4.44 %", "5.00 %"} <= set(found)
    assert {"refusing at random", "refusing the least sure first"} <= set(found)
    assert count_of(BLUE, figure) > 500


def test_risk_coverage_of_a_good_model_is_seen_from_near() -> None:
    labels = (np.arange(1000) == 999).astype(int)
    confidence = np.linspace(0.99, 0.51, 1000)
    figure = risk_coverage_figure(labels, np.column_stack([confidence, 1 - confidence]))
    rendered(figure)
    assert figure.axes[0].get_xlim()[0] == pytest.approx(0.9)
    assert "0.10 %" in texts(figure)
    assert "0.00 %" in texts(figure)


def column_of_ink(images: np.ndarray) -> np.ndarray:
    return np.eye(28)[images.sum(axis=1, dtype=int).argmax(axis=1)]


def test_robustness_shows_every_corruption_with_its_accuracy_and_strength() -> None:
    images = np.zeros((30, 28, 28), np.uint8)
    images[:, 4:24, 12:16] = 255
    rows = measure_robustness(column_of_ink, images, np.full(30, 12))
    for row in rows:
        row["accuracy"] = 0.9 - 0.1 * row["severity"] if row["corruption"] == "blur" else 0.987
    figure = robustness_figure(rows, images[0])
    height, width = rendered(figure).shape
    assert 700 < height < width <= 1250
    found = texts(figure)
    assert {*CORRUPTIONS, "80.0 %", "40.0 %", "severity 5, severe", "σ 1.5 px"} <= set(found)
    assert found.count("98.7 %") == 5 * (len(CORRUPTIONS) - 1)
    assert "98.7 % of these 30 samples are read right as they are; corrupted:" in found
    drawn = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    assert len(drawn) == 5 * len(CORRUPTIONS)
    np.testing.assert_array_equal(drawn[7], CORRUPTIONS["blur"](images[:1], 3)[0])


def test_the_more_is_misread_the_darker_the_cell_behind_the_digit() -> None:
    rows = measure_robustness(column_of_ink, np.full((4, 28, 28), 9, np.uint8), np.zeros(4, int))
    for row in rows:
        row["accuracy"] = 1 - 0.2 * row["severity"]
    pixels = rendered(robustness_figure(rows, np.zeros((28, 28), np.uint8))).astype(int)
    # Near the right edge of each cell of the first row, where nothing else is drawn.
    corners = [pixels[96, 14 + 148 + 206 * column - 6] for column in range(1, 6)]
    assert np.all(np.diff(corners) < 0)
    # No corruption but noise and contrast puts ink on an empty image: the tile stays white.
    blur = pixels[90 + 96 + 20 : 90 + 96 + 80, 162 + 20 : 162 + 80]
    assert (blur == 255).all()


def test_robustness_needs_all_rows() -> None:
    with pytest.raises(UsageError, match="robustness rows"):
        robustness_figure([{"corruption": "blur", "severity": 1, "accuracy": 1.0}], IMAGES[0])


def test_augmentation_puts_the_original_at_the_left() -> None:
    originals = np.zeros((2, 28, 28), np.uint8)
    augmented = np.zeros((2, 3, 28, 28), np.uint8)
    originals[1] = 255
    augmented[1, 2] = 255
    pixels = rendered(augmentation_figure(originals, augmented))
    # Inside each tile, and away from its frame: black ink only where it was given.
    tops = (46, 46 + 122)
    lefts = (18, *(18 + 112 + 20 + 122 * column for column in range(3)))
    means = [[pixels[y + 8 : y + 104, x + 8 : x + 104].mean() for x in lefts] for y in tops]
    assert means == [[255, 255, 255, 255], [0, 255, 255, 0]]


def test_augmentation_of_many_shows_eight_with_nine_each() -> None:
    figure = augmentation_figure(IMAGES[:20], np.stack([IMAGES[:20]] * 15, axis=1))
    rendered(figure)
    assert len(figure.axes[0].images) == 8 * (1 + 9)


@pytest.mark.parametrize("shape", [(3, 2, 28, 28), (2, 28, 28), (2, 0, 28, 28), (2, 2, 14, 14)])
def test_augmented_images_must_fit_the_originals(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"must be \(n, m, height, width\)"):
        augmentation_figure(IMAGES[:2], np.zeros(shape, np.uint8))
