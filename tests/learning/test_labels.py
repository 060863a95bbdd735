import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from digitflow import ANNClassifier
from digitflow.errors import UsageError
from digitflow.learning.labels import agree_on_classes, encode, learn_classes, weights_of

X = np.random.default_rng(0).normal(size=(12, 3)) + np.repeat([[0], [4], [8]], 4, axis=0)
CODES = np.repeat([0, 1, 2], 4)


@pytest.mark.parametrize(
    "classes",
    [
        np.array([2**40, 5, -3]),
        np.array(["b", "A", "é"]),
        np.array(["b", "A", "é"], object),
        np.array([0.0, 1.0, 2.0]),
    ],
    ids=["integers", "letters", "objects", "whole floats"],
)
def test_any_classes_come_back_as_they_were(classes):
    y = classes[CODES]

    told = {"epochs": 30, "learning_rate": 0.05, "schedule": "constant", "random_state": 0}
    classifier = ANNClassifier((16,), 0.0, **told).fit(X, y)

    assert classifier.classes_.tolist() == sorted(classes.tolist())
    assert classifier.classes_.dtype == classes.dtype
    assert np.mean(classifier.predict(X) == y) > 0.9


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(CODES).astype("category"),
        pd.Series(CODES).astype("Int64"),
        pd.Series(np.array(["a", "b", "c"])[CODES]),
        np.array(["a", "b", "c"])[CODES].tolist(),
        CODES > 0,
    ],
    ids=["category", "nullable", "strings", "list of letters", "bool"],
)
def test_labels_in_any_container(y):
    classifier = ANNClassifier((4,), 0.0, epochs=1, random_state=0).fit(X, y)

    assert len(classifier.classes_) == len(set(y))
    assert set(classifier.predict(X)) <= set(y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(11), "inconsistent numbers of samples"),
        (np.zeros(12), "one class only"),
        (np.linspace(0, 1, 12), "Unknown label type: continuous"),
        (np.arange(12) * 1j, "Complex data not supported|complex"),
        (np.array([None, "a"] * 6, object), "mixes types|Unknown label type"),
        (np.array([1, "a"] * 6, object), "mixes types|Unknown label type"),
        (np.array([np.nan, 1.0] * 6), "contains NaN"),
        (np.eye(12), "1d array|multilabel"),
        ([], "0 sample|inconsistent|1d array"),
        (None, "requires y"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y, message: str):
    with pytest.raises(ValueError, match=message):
        ANNClassifier().fit(X, y)


def test_a_column_of_labels_warns_as_in_scikit_learn():
    with pytest.warns(DataConversionWarning):
        ANNClassifier((4,), 0.0, epochs=1).fit(X, CODES[:, np.newaxis])


def test_labels_are_numbered_by_the_sorted_classes():
    assert encode(np.array(["b", "a"]), np.array(["a", "b", "c"])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("y", "classes", "shown"),
    [
        ([3, 77], [1, 3], r"\[77\]; the classes are \[1, 3\]"),
        (["c"], ["a", "b"], r"\['c'\]"),
    ],
)
def test_unknown_labels_are_named(y, classes, shown: str):
    with pytest.raises(UsageError, match=f"y_val holds labels that are none of .*{shown}"):
        encode(np.array(y), np.array(classes), "y_val")


@pytest.mark.parametrize("kind", ["U2", object])
def test_a_number_is_not_its_text(kind):
    numbers, texts = np.arange(60), np.arange(60).astype(str).astype(kind)

    with pytest.raises(UsageError, match=r"y holds text, \['3'\], but the classes are numbers"):
        encode(texts[3:4], numbers)
    with pytest.raises(UsageError, match=r"y holds numbers, \[3\], but the classes are text"):
        encode(numbers[3:4].astype(object if kind is object else int), np.sort(texts))


def test_the_classes_of_a_training_in_parts_are_fixed_by_the_first_call():
    known = agree_on_classes([2, 0, 1], None)

    assert known.tolist() == [0, 1, 2]
    assert agree_on_classes(None, known).tolist() == [0, 1, 2]
    with pytest.raises(UsageError, match="not those of the first call"):
        agree_on_classes([0, 1], known)
    with pytest.raises(UsageError, match="must name them all"):
        agree_on_classes(None, None)
    with pytest.raises(UsageError, match="one class only"):
        learn_classes(np.array([1, 1]))


def weights(sample_weight=None, class_weight=None, y=CODES):
    return weights_of(sample_weight, class_weight, y, np.array([0, 1, 2]))


def test_weights_multiply_and_the_given_ones_stay_as_they_were():
    given = np.linspace(1, 2, 12)
    given.flags.writeable = False

    found = weights(given, {1: 3.0})

    assert found == pytest.approx(given * np.where(CODES == 1, 3, 1))
    assert weights() is None
    assert weights(2).tolist() == [2.0] * 12
    balanced = weights(None, "balanced", np.array([0, 0, 0, 1]))
    assert balanced.tolist() == pytest.approx([2 / 3] * 3 + [2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones(11), "inconsistent numbers of samples"),
        (-np.ones(12), "sample_weight has -1; weights are 0 or more"),
        (np.full(12, np.nan), "sample_weight contains NaN"),
        (np.full(12, np.inf), "sample_weight contains infinity"),
        (np.zeros(12), "zero for all images"),
        (np.ones((12, 1)), r"sample_weight has shape \(12, 1\)"),
        ("heavy", "could not convert string"),
    ],
)
def test_weights_that_cannot_be_are_refused(given, message: str):
    with pytest.raises(ValueError, match=message):
        weights(given)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", "class_weight='even': must be 'balanced', a dict"),
        ({7: 1.0}, r"class_weight names \['7'\]"),
        ({"0": 1.0}, "class_weight names"),
        ([1, 2, 3], "must be 'balanced', a dict"),
        ({0: -1.0}, "class_weight"),
        ({0: float("nan")}, "class_weight"),
        ({0: "much"}, "class_weight"),
    ],
)
def test_weights_of_classes_that_cannot_be_are_refused(class_weight, message: str):
    with pytest.raises(UsageError, match=message):
        weights(None, class_weight)
