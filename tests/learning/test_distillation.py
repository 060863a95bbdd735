import keras
import numpy as np
import pytest

from digitflow import CNNClassifier, make_classifier
from digitflow.errors import UsageError
from digitflow.learning.distillation import TEACHERS_SHARE, TEMPERATURE, DistillationLoss


def test_the_loss_is_the_distance_to_the_mean_of_the_teachers():
    logits = np.array([[1.0, 2.0, 0.0]], "float32")
    teachers = [np.array([[4.0, 0.0, 0.0]], "float32"), np.array([[0.0, 4.0, 0.0]], "float32")]
    layer = DistillationLoss()
    probabilities = np.array([[0.2, 0.5, 0.3]], "float32")

    passed_on = layer([probabilities, logits, *teachers], training=True)

    def softened(values):
        powers = np.exp(values / TEMPERATURE)
        return powers / powers.sum()

    targets = (softened(teachers[0]) + softened(teachers[1])) / 2
    distance = (targets * np.log(targets / softened(logits))).sum()
    assert np.array_equal(passed_on, probabilities)
    expected = TEACHERS_SHARE * TEMPERATURE**2 * distance
    assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-4)


def test_outside_training_nothing_is_added():
    layer = DistillationLoss()
    tensor = np.ones((1, 3), "float32")

    layer([tensor, tensor, tensor], training=False)

    assert layer.losses == []


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
