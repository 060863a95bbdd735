import keras
import numpy as np
import pytest

from digitflow import Augmentation, CNNClassifier, make_classifier
from digitflow.errors import UsageError
from digitflow.learning.distillation import (
    TEACHERS_SHARE,
    TEMPERATURE,
    DistillationLoss,
    beside_teachers,
)


def softened(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits / TEMPERATURE)
    return powers / powers.sum(axis=-1, keepdims=True)


def test_the_loss_is_of_the_labels_and_of_the_distance_to_the_teachers():
    logits = np.array([[1.0, 2.0, 0.0], [3.0, -1.0, 0.5]])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = softened(np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]]))
    said = np.concatenate([probabilities, targets], axis=1).astype("float32")

    found = DistillationLoss(smoothing=0.0).call(np.array([1, 2]), said)

    distance = (targets * np.log(targets / softened(logits))).sum(axis=1)
    labels = -np.log(probabilities[[0, 1], [1, 2]])
    expected = (1 - TEACHERS_SHARE) * labels + TEACHERS_SHARE * TEMPERATURE**2 * distance
    assert np.allclose(found, expected, rtol=1e-4)


def test_the_teachers_answers_are_averaged(fitted):
    teacher, data = fitted
    other = make_classifier("tiny", epochs=1, random_state=1).fit(data.images, data.labels)
    images = keras.Input((28, 28, 1))
    student = other.build_network(10)

    said = keras.Model(images, beside_teachers(images, student, [teacher.network_, other.network_]))

    batch = data.images[:5, ..., None].astype("float32") / 255
    found = keras.ops.convert_to_numpy(said(batch))
    logits = [np.log(each.predict_proba(data.images[:5])) for each in (teacher, other)]
    expected = sum(map(softened, logits)) / 2
    assert found.shape == (5, 20)
    assert np.allclose(found[:, :10], student(batch), atol=1e-5)
    assert np.allclose(found[:, 10:], expected, atol=1e-4)


def test_a_weight_counts_for_the_teachers_too(fitted):
    teacher, data = fitted
    images, labels = data.images[:200], data.labels[:200]
    small = {"epochs": 2, "batch_size": 1000, "random_state": 0, "augmentation": Augmentation()}
    weights = np.where(np.arange(200) < 100, 1.0, 1e-9)

    weighted = make_classifier("tiny", **small).fit(images, labels, weights, teachers=[teacher])
    first = make_classifier("tiny", **small).fit(images[:100], labels[:100], teachers=[teacher])

    assert weighted.history_["loss"][0] == pytest.approx(first.history_["loss"][0], rel=0.3)
    plain = make_classifier("tiny", **small).fit(images, labels, teachers=[teacher])
    assert weighted.history_["loss"][1] != pytest.approx(plain.history_["loss"][1], rel=1e-4)


def test_loss_and_validation_loss_are_of_one_scale(fitted):
    teacher, data = fitted
    images, labels = data.images[:300], data.labels[:300]

    student = make_classifier("ann", epochs=1, learning_rate=1e-12, random_state=0, dropout=0.0)
    student.fit(images, labels, X_val=images, y_val=labels, teachers=[teacher])

    history = student.history_
    assert history["val_loss"] == pytest.approx(history["loss"], rel=1e-3)
    assert history["val_accuracy"] == pytest.approx(history["accuracy"], abs=1e-6)
    assert history["accuracy"][0] == pytest.approx(student.score(images, labels), abs=1e-6)


def test_a_student_learns_what_only_its_teacher_knows(fitted):
    teacher, data = fitted
    images = data.images[:600]
    before = [weight.copy() for weight in teacher.network_.get_weights()]
    # The labels say nothing: whatever the student knows, the teacher taught.
    nonsense = np.random.default_rng(0).permutation(np.resize(data.labels, 600))

    student = make_classifier("fast", epochs=15, batch_size=32, random_state=0)
    student.fit(images, nonsense, teachers=[teacher])

    agreement = (student.predict(data.images[600:]) == teacher.predict(data.images[600:])).mean()
    assert agreement > 0.7
    after = teacher.network_.get_weights()
    assert all(map(np.array_equal, before, after))
    assert teacher.network_.trainable
    assert isinstance(student.network_, keras.Model)
    assert student.network_.count_params() == teacher.network_.count_params()


def test_a_teacher_of_other_classes_is_refused(fitted):
    teacher, data = fitted

    with pytest.raises(UsageError, match="a teacher must know the same"):
        CNNClassifier(epochs=1).fit(data.images, data.labels % 3, teachers=[teacher])
