import numpy as np
import pytest

from digitflow.datasets.splitting import split_by_writer
from digitflow.errors import UsageError

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 10, 5000)
WRITERS = RANDOM.integers(0, 50, 5000)


def assert_partition(train: np.ndarray, validation: np.ndarray, n: int) -> None:
    for indices in (train, validation):
        assert (np.diff(indices) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(n))


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.25, 0.5])
def test_holds_out_whole_writers(fraction: float) -> None:
    train, validation, by_writer = split_by_writer(LABELS, WRITERS, fraction, seed=1)
    assert by_writer
    assert_partition(train, validation, 5000)
    assert not set(WRITERS[train]) & set(WRITERS[validation])
    # Within half the images of the most diligent writer.
    assert abs(len(validation) - fraction * 5000) <= np.bincount(WRITERS).max() / 2


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.3, 0.5])
def test_keeps_the_shares_of_the_classes_where_writers_are_unknown(fraction: float) -> None:
    train, validation, by_writer = split_by_writer(LABELS, None, fraction, seed=1)
    assert not by_writer
    assert_partition(train, validation, 5000)
    assert len(validation) == round(fraction * 5000)
    wanted = fraction * np.bincount(LABELS)
    assert (np.abs(np.bincount(LABELS[validation], minlength=10) - wanted) <= 1).all()


@pytest.mark.parametrize("writers", [WRITERS, None], ids=["writers", "no writers"])
def test_the_seed_decides(writers: np.ndarray | None) -> None:
    first, again, other = (split_by_writer(LABELS, writers, 0.1, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_class_is_taken_from_training_with_its_only_writer() -> None:
    labels = np.where(np.arange(100) < 90, 0, 1)
    writers = np.arange(100) // 10
    for seed in range(20):
        train, validation, _ = split_by_writer(labels, writers, 0.2, seed)
        assert set(labels[train]) == {0, 1}
        assert len(validation) == 20


def test_no_class_is_taken_from_training_at_random() -> None:
    labels = np.array([0, 1, 1, 2, 2, 2, 2, 2, 2])
    for seed in range(20):
        train, _, _ = split_by_writer(labels, None, 0.5, seed)
        assert set(labels[train]) == {0, 1, 2}


def test_splits_at_random_where_one_person_wrote_it_all() -> None:
    train, validation, by_writer = split_by_writer(LABELS, np.zeros(5000, int), 0.1, seed=0)
    assert not by_writer
    assert_partition(train, validation, 5000)
    assert len(validation) == 500


@pytest.mark.parametrize("fraction", [0, -0.1, 0.51, 1, float("nan")])
def test_refuses_a_fraction_that_is_none(fraction: float) -> None:
    with pytest.raises(UsageError, match=r"must be above 0 and at most 0\.5"):
        split_by_writer(LABELS, WRITERS, fraction, seed=0)


def test_refuses_what_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="2 writers for 3 labels"):
        split_by_writer(np.arange(3), np.arange(2), 0.5, seed=0)
    with pytest.raises(UsageError, match="10 images: too few to hold out"):
        split_by_writer(np.arange(10), None, 0.5, seed=0)
    with pytest.raises(UsageError, match="0 images: too few"):
        split_by_writer(np.array([], int), None, 0.5, seed=0)
