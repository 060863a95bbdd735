"""The classifiers inside scikit-learn's searches, ensembles and calibration."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, cpu_count, delayed
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, cross_val_score

from digitflow import ANNClassifier, Augmentation, CNNClassifier, load_dataset

#: What a fit may leave behind, MB: a leak of the trained graph alone is 8.
MOST_LEFT_PER_FIT = 2.0


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:600], data.labels[:600], data.images[600:900], data.labels[600:900]


def small_cnn(**told) -> CNNClassifier:
    return CNNClassifier(**{"epochs": 4, "batch_size": 32, "random_state": 0} | told)


def small_ann(**told) -> ANNClassifier:
    return ANNClassifier((64,), **{"dropout": 0.0, "epochs": 4, "random_state": 0} | told)


def resident_megabytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (size,) = (line.split()[1] for line in lines if line.startswith("VmRSS"))
    return int(size) / 1024


def threads_allowed() -> int:
    """Return how many threads TensorFlow will start for one operation in this process."""
    import digitflow.learning  # noqa: F401

    return int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))


def mean_log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
@pytest.mark.parametrize(
    ("classifier", "fits"), [(small_ann(epochs=1), 24), (CNNClassifier(epochs=1), 12)]
)
def test_repeated_fits_leave_next_to_nothing_in_memory(digits, classifier, fits: int):
    images, labels, *_ = digits
    sizes = []
    for seed in range(fits):
        classifier.set_params(random_state=seed).fit(images[:64], labels[:64])
        classifier.predict(images[:64])
        gc.collect()
        sizes.append(resident_megabytes())

    # The first fits fill pools that the later ones use again.
    assert (sizes[-1] - sizes[3]) / (fits - 4) < MOST_LEFT_PER_FIT, sizes


def test_a_grid_search_in_two_processes_gives_what_one_gives(digits):
    images, labels, *_ = digits
    grid = {"learning_rate": [0.0001, 0.003]}

    found = [
        GridSearchCV(small_ann(), grid, cv=2, n_jobs=jobs, error_score="raise").fit(images, labels)
        for jobs in (1, 2)
    ]

    one, two = (search.cv_results_["mean_test_score"] for search in found)
    assert one.tolist() == two.tolist()
    assert found[0].best_params_ == {"learning_rate": 0.003}
    assert found[1].predict(images[:20]).tolist() == found[0].predict(images[:20]).tolist()


def test_a_halving_search_gives_better_candidates_more_epochs(digits):
    images, labels, *_ = digits
    search = HalvingRandomSearchCV(
        small_cnn(),
        {"learning_rate": [0.00001, 0.0001, 0.001, 0.01], "augmentation__shift": [0, 1]},
        resource="epochs",
        min_resources=1,
        max_resources=2,
        n_candidates=2,
        factor=2,
        cv=2,
        n_jobs=2,
        random_state=0,
        error_score="raise",
    )
    search.set_params(estimator__augmentation=Augmentation())

    search.fit(images, labels)

    assert search.n_resources_ == [1, 2]
    assert search.n_candidates_ == [2, 1]
    assert search.best_estimator_.epochs == 2
    assert len(search.best_estimator_.history_["loss"]) == 2


def test_workers_share_the_cores_instead_of_each_taking_all():
    found = Parallel(2)(delayed(threads_allowed)() for _ in range(2))

    assert set(found) == {max(1, cpu_count() // 2)}


def test_a_soft_vote_is_the_mean_of_its_members_on_images_as_they_are(digits):
    images, labels, new_images, new_labels = digits
    members = [(f"cnn{seed}", small_cnn(random_state=seed)) for seed in range(2)]

    vote = VotingClassifier([*members, ("ann", small_ann())], voting="soft").fit(images, labels)

    parts = [member.predict_proba(new_images) for member in vote.estimators_]
    assert np.allclose(vote.predict_proba(new_images), np.mean(parts, axis=0))
    assert vote.score(new_images, new_labels) > 0.7


def test_temperature_scaling_brings_the_log_loss_down_and_keeps_the_answers(digits):
    images, labels, new_images, new_labels = digits
    # Weights that are much too small for the labels they were smoothed to.
    classifier = small_cnn(epochs=12, label_smoothing=0.3).fit(images, labels)

    calibrated = CalibratedClassifierCV(FrozenEstimator(classifier), method="temperature")
    calibrated.fit(new_images[:150], new_labels[:150])

    before = mean_log_loss(classifier.predict_proba(new_images[150:]), new_labels[150:])
    after = mean_log_loss(calibrated.predict_proba(new_images[150:]), new_labels[150:])
    assert after < 0.9 * before
    assert (calibrated.predict(new_images) == classifier.predict(new_images)).all()


def test_stacking_learns_from_the_probabilities_of_its_members(digits):
    images, labels, new_images, new_labels = digits
    members = [("cnn", small_cnn()), ("ann", small_ann())]

    stack = StackingClassifier(members, LogisticRegression(), cv=2).fit(images, labels)

    assert stack.transform(new_images).shape == (300, 20)
    assert stack.score(new_images, new_labels) > 0.7


def test_bagging_takes_images_that_are_flat(digits):
    images, labels, new_images, new_labels = digits
    bags = BaggingClassifier(small_ann(), 3, max_samples=0.7, random_state=0)

    bags.fit(images.reshape(600, -1), labels)

    assert bags.score(new_images.reshape(300, -1), new_labels) > 0.7
    # scikit-learn's own limit: its bags are drawn from rows of features.
    with pytest.raises(ValueError, match="dim 3"):
        bags.fit(images, labels)


def test_the_folds_of_an_integer_cv_are_stratified(digits):
    images, labels, *_ = digits
    in_order = np.argsort(labels, kind="stable")

    # Unstratified folds of sorted labels would each lack classes, and score next to nothing.
    assert cross_val_score(small_ann(), images[in_order], labels[in_order], cv=3).min() > 0.6
