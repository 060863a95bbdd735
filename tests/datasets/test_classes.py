import numpy as np
import pytest

from digitflow.datasets.classes import index_labels, list_classes, name_labels, natural_key
from digitflow.errors import DatasetError


def test_numbers_are_sorted_by_value_and_before_words() -> None:
    names = ["b", "10", "a10", "a9", "9", "B", "ß", "2"]
    assert sorted(names, key=natural_key) == ["2", "9", "10", "B", "a9", "a10", "b", "ß"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([3, 0, 12], np.uint8), ["3", "0", "12"]),
        (np.array([[3], [0]]), ["3", "0"]),
        (np.array([3.0, 0.0]), ["3", "0"]),
        (np.array([True, False]), ["1", "0"]),
        (np.array([" A", "b "]), ["A", "b"]),
        (np.array([b"A", b"7"]), ["A", "7"]),
        (np.array(["7.0", "07", "000", "x07"]), ["7", "7", "0", "x07"]),
        (np.array(["-1", "1.5"]), ["-1", "1.5"]),
    ],
)
def test_labels_of_any_make_become_names(labels: np.ndarray, names: list[str]) -> None:
    assert name_labels(labels, "here").tolist() == names


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (np.zeros((3, 10)), r"shape \(3, 10\); give one for each image"),
        (np.array([0.5, 1]), "labels are float64; give whole numbers or words"),
        (np.array([np.nan, 1]), "labels are float64"),
        (np.array([1j, 2]), "labels are complex128"),
        (np.array(["a", " "]), "'' is no label"),
        (np.array(["a", "b\nc"]), "is no label"),
        (np.array(["a", "b" * 101]), "is no label"),
        (np.array(["a", "\udcff"]), "is no label"),
    ],
)
def test_refuses_what_are_no_labels(labels: np.ndarray, fault: str) -> None:
    with pytest.raises(DatasetError, match=fault) as caught:
        name_labels(labels, "here")
    assert str(caught.value).startswith("here: ")
    assert "\n" not in str(caught.value)


def test_classes_and_indices() -> None:
    names = np.array(["10", "9", "b", "9"])
    classes = list_classes(names, "here")
    assert classes == ("9", "10", "b")
    indices = index_labels(names, classes, "here")
    assert (indices.tolist(), indices.dtype) == ([1, 0, 2, 0], np.int64)


def test_refuses_too_few_and_too_many_classes() -> None:
    with pytest.raises(DatasetError, match="here: has 1 classes"):
        list_classes(np.array(["a", "a"]), "here")
    with pytest.raises(DatasetError, match="here: has 1,001 classes"):
        list_classes(np.arange(1001).astype(str), "here")


def test_refuses_a_class_that_is_not_trained() -> None:
    with pytest.raises(DatasetError, match="test part has the class 'c', the training part has"):
        index_labels(np.array(["c"]), ("a", "b"), "here")
