"""Two models class by class: the test by hand, its correction, and what it must not see."""

import itertools

import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.evaluation.class_comparison import (
    compare_classes,
    holm,
    sign_flip_p_value,
    squared_distances,
)


def exact(differences: np.ndarray) -> float:
    """Return the share of all flips of signs that give as large a sum."""
    flips = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    return float(((flips * differences).sum(axis=1) >= differences.sum() - 1e-12).mean())


@pytest.mark.parametrize(
    "differences", [[1.0, 2.0, 3.0, 4.0], [0.1] * 8, [1.0, -2.0, 3.0, 0.5, 0.7], [-1.0, -1.0]]
)
def test_random_flips_come_near_all_flips(differences: list[float]) -> None:
    expected = exact(np.array(differences))
    assert sign_flip_p_value(differences) == pytest.approx(expected, abs=0.01)
    assert sign_flip_p_value([*differences, 0, 0]) == sign_flip_p_value(differences)


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip_p_value([]) == sign_flip_p_value([0.0, 0.0]) == 1


def test_a_p_value_is_never_zero() -> None:
    assert sign_flip_p_value(np.ones(200)) == 1 / 20_001


def test_holm_by_hand() -> None:
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2 not below the one before, 0.9 x 1.
    assert holm([0.02, 0.9, 0.01, 0.03]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])


def test_squared_distance_by_hand() -> None:
    found = squared_distances(np.array([0, 1]), np.array([[1.0, 0.0], [0.7, 0.3]]))
    assert found == pytest.approx([0, 0.49 + 0.49])


def test_under_chance_alone_few_classes_are_found_worse() -> None:
    random = np.random.default_rng(0)
    found = 0
    for _ in range(60):
        labels = np.repeat(np.arange(4), 50)
        pair = [random.dirichlet([1, 1, 1, 1], 200) for _ in range(2)]
        found += min(c.p_worse for c in compare_classes(labels, *pair, "abcd")) < 0.1
    # 6 are expected; more than 13 come once in a thousand times.
    assert found <= 13


def test_what_is_lost_and_gained_is_counted_by_class() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    first, second = np.eye(3)[[0, 0, 1, 1, 0]], np.eye(3)[[0, 1, 0, 1, 1]]

    zero, one = compare_classes(labels, first, second, ["a", "b", "without images"])

    assert (zero.name, zero.n, zero.lost, zero.gained) == ("a", 3, 1, 1)
    assert (one.name, one.n, one.lost, one.gained) == ("b", 2, 0, 1)
    assert (one.before, one.now) == (1, 0)
    assert one.p_worse == 1


def test_what_does_not_pair_is_refused() -> None:
    with pytest.raises(UsageError, match="one label and 2 probabilities for each image"):
        compare_classes([0, 1], np.eye(2), np.eye(3)[:2], "ab")
