import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from digitflow import ANNClassifier, CNNClassifier, load_dataset
from digitflow.errors import TrainingError, UsageError

QUICK = {"epochs": 1, "batch_size": 64, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:300], data.labels[:300]


@pytest.fixture(scope="module")
def quick(digits):
    return CNNClassifier(**QUICK).fit(*digits)


def test_it_learns(fitted):
    classifier, _ = fitted
    test = load_dataset("digits", split="test")

    assert classifier.score(test.images, test.labels) > 0.8
    assert "precision" in classification_report(test.labels, classifier.predict(test.images))


def test_dense_layers_learn_too(digits):
    classifier = ANNClassifier((64,), epochs=8, batch_size=32, random_state=0).fit(*digits)

    assert classifier.score(*digits) > 0.9


@pytest.mark.parametrize(
    "form",
    [
        lambda images: images,
        lambda images: images[..., np.newaxis],
        lambda images: images.reshape(-1, 784),
        lambda images: images.astype(np.float64),
        lambda images: images.astype(np.int32),
        lambda images: images / 255,
        lambda images: images.astype(np.float32) / 255,
        lambda images: images.tolist(),
    ],
    ids=["uint8", "channel", "flat", "float64", "int32", "unit", "unit float32", "list"],
)
def test_every_accepted_form_of_the_same_images_gives_the_same(quick, digits, form):
    images = digits[0][:20]

    found = quick.predict_proba(form(images))

    assert found.shape == (20, 10)
    assert found == pytest.approx(quick.predict_proba(images), abs=1e-5)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 8, 8), np.uint8), r"shape \(2, 8, 8\)"),
        (np.zeros(784, np.uint8), r"shape \(784,\)"),
        (np.zeros((0, 28, 28), np.uint8), "no images"),
        (np.full((1, 28, 28), np.nan), "pixels from nan"),
        (np.full((1, 28, 28), -1.0), "pixels from -1"),
        (np.full((1, 28, 28), 256), "pixels from 256"),
        (np.full((1, 28, 28), "x"), "dtype"),
        (np.full((1, 28, 28), 1.001), "Clip them"),
    ],
)
def test_what_is_not_an_image_is_refused(quick, X, message: str):
    with pytest.raises(ValueError, match=message):
        quick.predict(X)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(299), "one label for each of 300"),
        (np.zeros(300), "one class only"),
        (np.linspace(0, 1, 300), "not whole"),
        (np.arange(300) * 1j, "dtype complex128"),
        (np.array([None, "a"] * 150, object), "mixes types"),
    ],
)
def test_labels_that_do_not_fit_are_refused(digits, y, message: str):
    with pytest.raises(ValueError, match=message):
        CNNClassifier(**QUICK).fit(digits[0], y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"shift": 28}, "shift=28: must be a whole number from 0 to 27"),
        ({"epochs": "3"}, "epochs='3': must be a whole number"),
        ({"epochs": True}, "epochs=True"),
        ({"batch_size": 16.5}, "batch_size=16.5"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"random_state": -1}, "random_state=-1"),
        ({"callbacks": 3}, "callbacks=3"),
        ({"network": "fats"}, "network 'fats'"),
    ],
)
def test_hyper_parameters_that_no_fit_can_use_are_refused(digits, parameters, message: str):
    with pytest.raises(UsageError, match=message):
        CNNClassifier(**parameters).fit(*digits)


def test_a_loss_that_runs_away_is_an_error(digits):
    with pytest.raises(TrainingError, match="learning_rate=1e"):
        CNNClassifier(epochs=5, batch_size=16, learning_rate=1e30, random_state=0).fit(*digits)


def test_string_classes_come_back_as_strings(digits):
    images, labels = digits
    names = np.array(["zero", "one", "two"])
    chosen = labels < 3

    classifier = CNNClassifier(**QUICK).fit(images[chosen], names[labels[chosen]])

    assert classifier.classes_.tolist() == ["one", "two", "zero"]
    assert set(classifier.predict(images)) <= set(names)


def test_two_classes_are_enough(digits):
    images, labels = digits
    chosen = (labels == 3) | (labels == 8)

    classifier = CNNClassifier(epochs=20, batch_size=16, random_state=0)
    classifier.fit(images[chosen], labels[chosen])

    assert classifier.predict_proba(images).shape == (300, 2)
    assert classifier.score(images[chosen], labels[chosen]) > 0.9


def test_sample_weights_count_and_are_not_modified(digits):
    images, labels = digits
    # Where the label 8 weighs nothing, every 3 and 8 is a 3.
    chosen = (labels == 3) | (labels == 8)
    weights = np.where(labels[chosen] == 3, 1.0, 0.0)
    before = weights.copy()

    classifier = CNNClassifier(epochs=4, batch_size=16, random_state=0)
    classifier.fit(images[chosen], labels[chosen], sample_weight=weights)

    assert np.array_equal(weights, before)
    assert (classifier.predict(images[chosen]) == 3).mean() > 0.95


@pytest.mark.parametrize("weights", [np.ones(299), -np.ones(300), np.full(300, np.nan)])
def test_sample_weights_that_cannot_be_are_refused(digits, weights: np.ndarray):
    with pytest.raises(UsageError, match="sample_weight"):
        CNNClassifier(**QUICK).fit(*digits, sample_weight=weights)


def test_a_fit_that_fails_leaves_the_estimator_as_it_was(digits):
    images, labels = digits
    classifier = CNNClassifier(**QUICK).fit(images, labels)
    before = classifier.predict_proba(images)

    with pytest.raises(UsageError, match="unknown ones"):
        classifier.fit(images, labels % 3, validation_data=(images[:2], [3, 77]))
    with pytest.raises(TrainingError):
        classifier.set_params(learning_rate=1e30, epochs=5).fit(images, labels % 3)

    assert np.array_equal(classifier.predict_proba(images), before)
    assert len(classifier.classes_) == 10


def test_whole_numbers_of_numpy_are_seeds_and_sizes(digits):
    sizes = {"epochs": np.int64(1), "batch_size": np.int32(64), "random_state": np.int64(0)}

    found = CNNClassifier(**sizes).fit(*digits).predict_proba(digits[0])

    assert np.array_equal(found, CNNClassifier(**QUICK).fit(*digits).predict_proba(digits[0]))


def test_integers_count_as_0_to_255_whatever_their_type(quick, digits):
    nearly_black = (digits[0][:5] > 127).astype(np.uint8)

    assert np.array_equal(
        quick.predict_proba(nearly_black), quick.predict_proba(nearly_black.astype(np.int64))
    )


def test_history_has_a_value_for_each_epoch(digits):
    images, labels = digits
    classifier = CNNClassifier(epochs=2, batch_size=64, random_state=0)
    classifier.fit(images, labels, validation_data=(images[:50], labels[:50]))

    assert set(classifier.history_) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 2 for values in classifier.history_.values())
    assert 0 <= classifier.history_["accuracy"][0] <= 1


def test_validation_labels_must_be_classes_of_the_training_data(digits):
    images, labels = digits

    with pytest.raises(ValueError, match="unknown ones"):
        CNNClassifier(**QUICK).fit(images, labels, validation_data=(images[:2], [3, 77]))


def test_the_seed_decides_the_weights(digits):
    first, again, other = (
        CNNClassifier(epochs=1, batch_size=64, random_state=seed).fit(*digits) for seed in (1, 1, 2)
    )

    def weights(classifier):
        return np.concatenate([w.ravel() for w in classifier.network_.get_weights()])

    assert np.array_equal(weights(first), weights(again))
    assert not np.array_equal(weights(first), weights(other))


def test_an_unfitted_estimator_says_so():
    with pytest.raises(NotFittedError):
        CNNClassifier().predict(np.zeros((1, 28, 28), np.uint8))


def test_scikit_learn_takes_it_for_a_classifier(digits):
    assert is_classifier(CNNClassifier())
    assert type(check_cv(3, digits[1], classifier=True)).__name__ == "StratifiedKFold"
    assert repr(CNNClassifier(epochs=3)) == "CNNClassifier(epochs=3)"


@pytest.mark.parametrize("estimator", [CNNClassifier(epochs=3), ANNClassifier((8,), dropout=0.1)])
def test_clone_keeps_the_parameters_and_nothing_else(estimator):
    copy = clone(estimator)

    assert copy.get_params() == estimator.get_params()
    assert not hasattr(copy, "network_")


@pytest.mark.parametrize("way", ["pickle", "joblib"])
def test_it_survives_storage(quick, digits, tmp_path, way: str):
    if way == "pickle":
        copy = pickle.loads(pickle.dumps(quick))
    else:
        joblib.dump(quick, tmp_path / "classifier.joblib")
        copy = joblib.load(tmp_path / "classifier.joblib")

    assert np.array_equal(copy.predict_proba(digits[0]), quick.predict_proba(digits[0]))
    assert copy.history_ == quick.history_
    copy.fit(*digits)


def test_it_is_unpickled_in_a_fresh_process(quick, digits, tmp_path):
    (tmp_path / "classifier.pickle").write_bytes(pickle.dumps(quick))
    np.save(tmp_path / "images.npy", digits[0][:20])
    script = (
        "import pickle, pathlib, numpy; folder = pathlib.Path('.'); "
        "classifier = pickle.loads((folder / 'classifier.pickle').read_bytes()); "
        "numpy.save('found.npy', classifier.predict_proba(numpy.load('images.npy')))"
    )

    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)

    found = np.load(tmp_path / "found.npy")
    assert found == pytest.approx(quick.predict_proba(digits[0][:20]), abs=1e-6)


def test_it_works_in_a_pipeline_under_cross_validation(digits):
    pipeline = make_pipeline(FunctionTransformer(lambda X: X / 255), CNNClassifier(**QUICK))

    scores = cross_val_score(pipeline, *digits, cv=2)

    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_grid_search_finds_the_better_parameters(digits):
    classifier = ANNClassifier((32,), batch_size=32, random_state=0)
    search = GridSearchCV(classifier, {"epochs": [1, 6]}, cv=2, n_jobs=2)

    search.fit(*digits)

    assert search.best_params_ == {"epochs": 6}


def test_any_callable_is_a_network(digits):
    import keras

    def logistic(n_classes: int) -> keras.Model:
        image = keras.Input((28, 28, 1))
        logits = keras.layers.Dense(n_classes, name="logits")(keras.layers.Flatten()(image))
        return keras.Model(image, keras.layers.Softmax(name="probabilities")(logits))

    classifier = CNNClassifier(logistic, epochs=5, batch_size=16, random_state=0).fit(*digits)

    assert classifier.score(*digits) > 0.6
