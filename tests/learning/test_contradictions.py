"""Wrong training labels are found by what the version in use reads."""

import numpy as np
import pytest

from digitflow.learning.contradictions import find_contradicted

NAMES = [str(digit) for digit in range(10)]


def read_by_a_good_model(n_each: int, error_rate: float, seed: int) -> list[np.ndarray]:
    """Return true classes, and what a model reads that errs now and then."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), n_each)
    wrong = random.random(len(labels)) < error_rate
    return [labels, np.where(wrong, random.integers(0, 10, len(labels)), labels)]


def swap(labels: np.ndarray, first: int, second: int, n: int) -> np.ndarray:
    """Call so many images of two classes each as the other is."""
    swapped = labels.copy()
    swapped[np.flatnonzero(labels == first)[:n]] = second
    swapped[np.flatnonzero(labels == second)[:n]] = first
    return swapped


def test_two_classes_whose_labels_were_swapped_are_named() -> None:
    held_out = read_by_a_good_model(600, 0.005, seed=1)
    labels, read = read_by_a_good_model(5000, 0.003, seed=2)
    four, nine = find_contradicted((swap(labels, 4, 9, 500), read), held_out, NAMES)

    assert [four.name, four.instead, nine.name, nine.instead] == ["4", "9", "9", "4"]
    assert four.n == 5000
    assert 500 <= four.contradicted <= 530
    assert four.in_words().startswith(f"{four.contradicted} of 5,000 images labelled 4 are read")
    assert "mostly as 9 (of those held out 0." in four.in_words()


@pytest.mark.parametrize("seed", range(20))
def test_right_labels_are_not_contradicted(seed: int) -> None:
    held_out = read_by_a_good_model(60, 0.02, seed)
    learned = read_by_a_good_model(500, 0.02, seed + 100)

    assert find_contradicted(tuple(learned), tuple(held_out), NAMES) == []


def test_a_difference_that_is_small_is_none_however_sure() -> None:
    held_out = read_by_a_good_model(20_000, 0.001, seed=1)
    labels, read = read_by_a_good_model(20_000, 0.001, seed=2)

    assert find_contradicted((swap(labels, 4, 9, 200), read), held_out, NAMES) == []


def test_a_class_that_is_not_held_out_is_passed_over() -> None:
    labels, read = read_by_a_good_model(500, 0.0, seed=1)
    few = labels[labels < 5], read[labels < 5]
    found = find_contradicted((swap(labels, 1, 7, 100), read), few, NAMES)

    assert [each.name for each in found] == ["1"]
