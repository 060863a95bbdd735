import copy
import hashlib
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, check_cv, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils._repr_html.estimator import estimator_html_repr

from digitflow import ANNClassifier, CNNClassifier, load_dataset
from digitflow.errors import TrainingError, UsageError
from digitflow.learning.augmentation import Augmentation
from digitflow.learning.estimators import make_classifier

SMALL = {"epochs": 1, "batch_size": 64, "random_state": 0}


def new_ann(**parameters) -> ANNClassifier:
    return ANNClassifier((8,), 0.0, **{**SMALL, "optimizer": "sgd", **parameters})


def weights_of(classifier) -> np.ndarray:
    return np.concatenate([array.ravel() for array in classifier.network_.get_weights()])


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    return data.images[:200], data.labels[:200]


@pytest.fixture(scope="module")
def quick(digits):
    return new_ann().fit(*digits)


@pytest.fixture(scope="module")
def quick_cnn(digits):
    return CNNClassifier(**SMALL).fit(*digits)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_it_learns(fitted):
    classifier, _ = fitted
    test = load_dataset("digits", split="test")

    assert classifier.score(test.images, test.labels) > 0.8


def test_two_classes_are_enough(digits):
    images, labels = digits
    chosen = (labels == 3) | (labels == 8)

    classifier = CNNClassifier(epochs=20, batch_size=16, random_state=0)
    classifier.fit(images[chosen], labels[chosen])

    assert classifier.predict_proba(images).shape == (200, 2)
    assert classifier.score(images[chosen], labels[chosen]) > 0.9


@pytest.mark.parametrize("kind", [ANNClassifier, CNNClassifier])
def test_scikit_learn_takes_it_for_a_classifier_of_images(kind):
    tags = get_tags(kind())

    assert is_classifier(kind())
    assert type(check_cv(3, np.arange(9) % 3, classifier=is_classifier(kind()))).__name__ == (
        "StratifiedKFold"
    )
    assert (tags.input_tags.two_d_array, tags.input_tags.three_d_array) == (True, True)
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert tags.target_tags.required
    assert tags.classifier_tags.multi_class


def test_probabilities_are_those_of_the_classes_in_order(quick, digits):
    found = quick.predict_proba(digits[0])

    assert found.dtype == np.float64
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(quick.predict(digits[0]), quick.classes_[found.argmax(axis=1)])


def test_features_are_pixels(quick, quick_cnn, digits):
    assert quick.n_features_in_ == quick_cnn.n_features_in_ == 784
    assert not hasattr(quick, "feature_names_in_")

    frame = pd.DataFrame(digits[0].reshape(-1, 784)).rename(columns=lambda name: f"pixel{name}")
    classifier = new_ann().fit(frame, digits[1])

    assert classifier.feature_names_in_[:2].tolist() == ["pixel0", "pixel1"]
    assert np.array_equal(classifier.predict_proba(frame), quick.predict_proba(digits[0]))
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame[frame.columns[::-1]])


def test_an_unfitted_estimator_says_so():
    with pytest.raises(NotFittedError):
        CNNClassifier().predict(np.zeros((1, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        (CNNClassifier, {"epochs": 0}, "^epochs=0: must be a whole number of 1 or more$"),
        (CNNClassifier, {"epochs": "3"}, "^epochs='3': must be"),
        (CNNClassifier, {"epochs": True}, "^epochs=True: must be"),
        (CNNClassifier, {"batch_size": 16.5}, r"^batch_size=16\.5: must be"),
        (CNNClassifier, {"learning_rate": 0.0}, r"^learning_rate=0\.0: must be"),
        (CNNClassifier, {"learning_rate": float("nan")}, "^learning_rate=nan: must be"),
        (CNNClassifier, {"learning_rate": float("inf")}, "^learning_rate=inf: must be"),
        (
            CNNClassifier,
            {"optimizer": "lion"},
            "^optimizer='lion': must be one of adam, adamw, muon, sgd",
        ),
        (CNNClassifier, {"optimizer": 3}, "^optimizer=3: must be"),
        (CNNClassifier, {"optimizer": lambda rate: "adam"}, "^optimizer=.* Keras optimizer"),
        (CNNClassifier, {"schedule": "steps"}, "^schedule='steps': must be one of constant"),
        (CNNClassifier, {"schedule": ["cosine"]}, r"^schedule=\['cosine'\]: must be"),
        (CNNClassifier, {"label_smoothing": 1.0}, r"^label_smoothing=1\.0: must be"),
        (ANNClassifier, {"centred": 1}, "^centred=1: must be"),
        (CNNClassifier, {"augmentation": "shift"}, "^augmentation='shift': must be"),
        (CNNClassifier, {"augmentation": Augmentation(rotation=-1)}, "rotation=-1: must be"),
        (CNNClassifier, {"early_stopping": "yes"}, "^early_stopping='yes': must be"),
        (CNNClassifier, {"n_iter_no_change": 0}, "^n_iter_no_change=0: must be"),
        (CNNClassifier, {"validation_fraction": 0}, "^validation_fraction=0: must be"),
        (CNNClassifier, {"validation_fraction": 0.6}, r"^validation_fraction=0\.6: must be"),
        (CNNClassifier, {"class_weight": "even"}, "^class_weight='even': must be"),
        (CNNClassifier, {"warm_start": "no"}, "^warm_start='no': must be"),
        (CNNClassifier, {"checkpoint": 3, "random_state": 0}, "^checkpoint=3: must be"),
        (CNNClassifier, {"checkpoint": "a.npz"}, "^checkpoint='a.npz': needs a random_state"),
        (CNNClassifier, {"callbacks": 3}, "^callbacks=3: must be a list of Keras callbacks"),
        (CNNClassifier, {"callbacks": "abc"}, "^callbacks='abc': must be"),
        (CNNClassifier, {"callbacks": [print]}, "^callbacks=.*: must be"),
        (CNNClassifier, {"precision": "float64"}, "^precision='float64': must be one of float32"),
        (CNNClassifier, {"precision": ["float32"]}, "^precision=.*: must be one of"),
        (CNNClassifier, {"device": "tpu"}, "^device='tpu': must be one of auto, cpu, gpu"),
        (CNNClassifier, {"random_state": -1}, "^random_state=-1: must be"),
        (CNNClassifier, {"random_state": "a"}, "^random_state='a': must be"),
        (CNNClassifier, {"verbose": "yes"}, "^verbose='yes': must be"),
        (CNNClassifier, {"network": "fats"}, "network 'fats' is not known; choose one of fast"),
        (CNNClassifier, {"network": 3}, "^network=3: must be a name"),
        (CNNClassifier, {"network": ["fast"]}, "^network=.*: must be a name"),
        (ANNClassifier, {"hidden_layers": ()}, r"^hidden_layers=\(\): must be"),
        (ANNClassifier, {"hidden_layers": 8}, "^hidden_layers=8: must be"),
        (ANNClassifier, {"hidden_layers": "8"}, "^hidden_layers='8': must be"),
        (ANNClassifier, {"hidden_layers": (8, 0)}, "^hidden_layers=0: must be"),
        (ANNClassifier, {"dropout": 1.0}, r"^dropout=1\.0: must be"),
        (ANNClassifier, {"dropout": (0.1,)}, "^dropout=.*: must be one number, or one for each"),
        (ANNClassifier, {"batch_norm": "yes"}, "^batch_norm='yes': must be"),
    ],
)
def test_hyper_parameters_that_no_fit_can_use_are_refused(digits, kind, parameters, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        kind(**parameters).fit(*digits)
    assert "\n" not in str(caught.value)


def test_whole_numbers_of_numpy_are_seeds_and_sizes(quick, digits):
    sizes = {"epochs": np.int64(1), "batch_size": np.int32(64), "random_state": np.int64(0)}

    assert np.array_equal(weights_of(new_ann(**sizes).fit(*digits)), weights_of(quick))


def test_the_seed_decides_the_weights(quick, digits):
    again, other = (new_ann(random_state=seed).fit(*digits) for seed in (0, 1))

    assert np.array_equal(weights_of(quick), weights_of(again))
    assert not np.array_equal(weights_of(quick), weights_of(other))


def test_a_random_state_goes_on_and_none_differs(digits):
    first, again = (new_ann(random_state=np.random.RandomState(7)) for _ in range(2))

    ones, twos = [weights_of(first.fit(*digits)) for _ in range(2)], weights_of(again.fit(*digits))

    assert np.array_equal(ones[0], twos)
    assert not np.array_equal(ones[0], ones[1])
    unseeded = new_ann(random_state=None)
    assert not np.array_equal(weights_of(unseeded.fit(*digits)), weights_of(unseeded.fit(*digits)))


def test_a_fit_leaves_the_random_numbers_of_others_alone(digits):
    np.random.seed(5)  # noqa: NPY002 - others use it
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    new_ann().fit(*digits)

    assert np.random.rand() == expected  # noqa: NPY002


@pytest.mark.parametrize("kind", ["ANNClassifier((8,), (0.2,),", "CNNClassifier("])
def test_two_fresh_processes_find_the_same_weights(kind: str):
    script = (
        "import hashlib; from digitflow import ANNClassifier, CNNClassifier, load_dataset\n"
        "data = load_dataset('digits')\n"
        f"fitted = {kind} epochs=1, batch_size=64, random_state=3)\n"
        "fitted.fit(data.images[:200], data.labels[:200])\n"
        "weights = b''.join(array.tobytes() for array in fitted.network_.get_weights())\n"
        "print(hashlib.sha256(weights).hexdigest())"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)
    ]

    digests = [run.communicate()[0] for run in runs]

    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == len(hashlib.sha256().hexdigest())


def test_sample_weights_count_and_are_not_modified(digits):
    images, labels = digits
    chosen = (labels == 3) | (labels == 8)
    weights = np.where(labels[chosen] == 3, 1.0, 0.01)
    weights.flags.writeable = False

    classifier = new_ann(epochs=20, batch_size=16, class_weight={8: 0.01})
    classifier.fit(images[chosen], labels[chosen], sample_weight=weights)

    assert (classifier.predict(images[chosen]) == 3).mean() > 0.95


def test_class_weights_are_sample_weights(digits):
    images, labels = digits
    rare = labels != 1
    rare[:40] = True
    images, labels = images[rare], labels[rare]
    counts = np.bincount(labels)

    balanced = new_ann(class_weight="balanced").fit(images, labels)
    named = new_ann(class_weight={n: 200 / count for n, count in enumerate(counts)})
    weighted = new_ann().fit(images, labels, sample_weight=1 / counts[labels])

    assert np.allclose(weights_of(balanced), weights_of(weighted), atol=1e-5)
    assert np.allclose(weights_of(named.fit(images, labels)), weights_of(weighted), atol=1e-5)


def test_string_classes_have_weights_by_name(digits):
    names = np.array(["even", "odd"])[digits[1] % 2]

    classifier = new_ann(epochs=5, class_weight={"odd": 1000.0}).fit(digits[0], names)

    assert (classifier.predict(digits[0]) == "odd").mean() > 0.95


def test_partial_fit_learns_from_chunks_that_lack_classes(digits):
    images, labels = digits
    classifier = new_ann(learning_rate=0.01, batch_size=8, optimizer="adam")
    low, high = np.flatnonzero(labels < 7), np.flatnonzero(labels > 2)

    for _ in range(8):
        classifier.partial_fit(images[low], labels[low], classes=range(10))
        classifier.partial_fit(images[high], labels[high])

    assert classifier.classes_.tolist() == list(range(10))
    assert classifier.score(images, labels) > 0.6
    assert len(classifier.history_["loss"]) == 16


def test_partial_fit_goes_on_after_fit_and_after_storage(digits):
    images, labels = digits
    classifier = new_ann(epochs=5, learning_rate=0.02, batch_size=16).fit(images, labels)
    before = weights_of(classifier)

    classifier.partial_fit(images[:10], labels[:10])
    stored = pickle.loads(pickle.dumps(classifier))
    stored.partial_fit(images, labels)

    assert len(stored.history_["loss"]) == 7
    assert 0 < np.abs(weights_of(classifier) - before).max() < 1
    assert stored.score(images, labels) >= classifier.score(images, labels) - 0.05


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, "the first call of partial_fit must name them all"),
        ({"classes": [0, 1]}, "none of the classes"),
        ({"classes": [0]}, "one class only"),
        ({"classes": 3}, "should be a 1d array"),
    ],
)
def test_the_first_partial_fit_needs_all_classes(digits, told, message: str):
    classifier = new_ann()

    with pytest.raises(ValueError, match=message):
        classifier.partial_fit(*digits, **told)
    assert not hasattr(classifier, "classes_")
    assert not hasattr(classifier, "n_features_in_")


def test_partial_fit_takes_no_other_classes_later(digits):
    classifier = new_ann().partial_fit(*digits, classes=range(10))

    with pytest.raises(UsageError, match="are not those of the first call"):
        classifier.partial_fit(*digits, classes=range(11))


def test_a_warm_start_goes_on_from_the_weights_there_are(digits):
    classifier = new_ann(learning_rate=0.02, epochs=3, warm_start=True).fit(*digits)
    before = weights_of(classifier)

    classifier.set_params(learning_rate=1e-6).fit(*digits)

    assert np.allclose(weights_of(classifier), before, atol=1e-3)
    assert len(classifier.history_["loss"]) == 6
    cold = clone(classifier).set_params(warm_start=False)
    assert len(cold.fit(*digits).fit(*digits).history_["loss"]) == 3


def test_a_warm_start_with_another_network_or_other_classes_is_refused(digits):
    classifier = new_ann(warm_start=True).fit(*digits)

    with pytest.raises(UsageError, match="warm_start: the hyper-parameters ask for other weights"):
        clone(classifier).fit(*digits).set_params(hidden_layers=(9,)).fit(*digits)
    with pytest.raises(UsageError, match="none of the classes"):
        classifier.fit(digits[0], digits[1] + 1)


def test_a_fit_that_fails_leaves_the_estimator_as_it_was(digits):
    images, labels = digits
    classifier = new_ann().fit(images, labels)
    before = dict(vars(classifier))

    with pytest.raises(UsageError, match="y_val holds labels"):
        classifier.fit(images, labels % 3, X_val=images[:2], y_val=[2, 77])
    with pytest.raises(ValueError, match="NaN"):
        classifier.partial_fit(np.full((2, 784), np.nan), [0, 1])
    assert vars(classifier) == before

    predicted = classifier.predict_proba(images)
    with pytest.raises(TrainingError):
        classifier.set_params(learning_rate=1e30, epochs=5).fit(images, labels % 3)
    with pytest.raises(TrainingError):
        classifier.partial_fit(images, labels)
    assert np.array_equal(classifier.predict_proba(images), predicted)
    assert len(classifier.classes_) == 10


def test_a_partial_fit_that_fails_half_way_leaves_the_network_as_it_was(digits):
    images, labels = digits
    classifier = new_ann(learning_rate=1e30, batch_size=8)
    classifier.partial_fit(images[:8], labels[:8], classes=range(10), sample_weight=np.full(8, 1))
    before = weights_of(classifier)

    with pytest.raises(TrainingError):
        classifier.partial_fit(images, labels)

    assert np.array_equal(weights_of(classifier), before)


@pytest.mark.parametrize("estimator", [CNNClassifier(epochs=3), ANNClassifier((8,), dropout=0.1)])
def test_clone_keeps_the_parameters_and_nothing_else(estimator):
    assert clone(estimator).get_params() == estimator.get_params()
    assert vars(clone(estimator)).keys() == estimator.get_params(deep=False).keys()


def test_nested_parameters_are_set_by_name():
    classifier = CNNClassifier(augmentation=Augmentation(shift=2))
    pipeline = Pipeline([("same", FunctionTransformer()), ("digits", classifier)])

    copied = clone(pipeline).set_params(digits__augmentation__rotation=7, digits__epochs=2)

    assert copied["digits"].augmentation.get_params()["rotation"] == 7
    assert copied["digits"].augmentation.get_params()["shift"] == 2
    assert copied["digits"].epochs == 2
    assert classifier.augmentation.get_params()["rotation"] == 0
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        classifier.set_params(epoch=3)


def test_its_representations_show_what_was_set():
    classifier = CNNClassifier("tiny", epochs=3, augmentation=Augmentation(shift=2))

    shown = repr(classifier).replace("\n", "").replace(" ", "")
    page = estimator_html_repr(make_pipeline(StandardScaler(), classifier))

    assert shown == "CNNClassifier(augmentation=Augmentation(shift=2),epochs=3,network='tiny')"
    for text in ("CNNClassifier", "StandardScaler", "learning_rate", "tiny", "Augmentation"):
        assert text in page


@pytest.mark.parametrize(
    "store",
    [lambda fitted, path: pickle.loads(pickle.dumps(fitted)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
@pytest.mark.parametrize("which", ["quick", "quick_cnn"])
def test_a_copy_predicts_exactly_the_same(request, digits, tmp_path, store, which: str):
    fitted = request.getfixturevalue(which)

    copied = store(fitted, tmp_path) if store.__name__ == "<lambda>" else store(fitted)

    assert np.array_equal(copied.predict_proba(digits[0]), fitted.predict_proba(digits[0]))
    assert copied.history_ == fitted.history_
    assert copied.get_params() == fitted.get_params()


def test_it_is_loaded_in_a_fresh_process_exactly(quick_cnn, digits, tmp_path):
    joblib.dump(quick_cnn, tmp_path / "classifier.joblib")
    np.save(tmp_path / "images.npy", digits[0][:20])
    script = (
        "import joblib, numpy; classifier = joblib.load('classifier.joblib')\n"
        "numpy.save('found.npy', classifier.predict_proba(numpy.load('images.npy')))"
    )

    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)

    found = np.load(tmp_path / "found.npy")
    assert np.array_equal(found, quick_cnn.predict_proba(digits[0][:20]))


def test_it_works_in_a_pipeline_under_cross_validation(digits):
    pipeline = make_pipeline(FunctionTransformer(np.copy), new_ann(epochs=2))

    scores = cross_val_score(pipeline, *digits, cv=2)

    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_grid_search_finds_the_better_parameters_in_other_processes(digits):
    search = GridSearchCV(new_ann(optimizer="adam"), {"epochs": [1, 8]}, cv=2, n_jobs=2)

    search.fit(*digits)

    assert search.best_params_ == {"epochs": 8}


class Recorder(FunctionTransformer):
    """Double the images, and remember how many came."""

    seen: tuple[int, ...] = ()

    def transform(self, X):
        type(self).seen = (*type(self).seen, len(X))
        return np.asarray(X) / 2


@pytest.mark.usefixtures("routing")
def test_weights_and_validation_images_are_routed_through_a_pipeline(digits):
    images, labels = digits[0].reshape(-1, 784), digits[1]
    classifier = new_ann().set_fit_request(sample_weight=True, X_val=True, y_val=True)
    pipeline = make_pipeline(Recorder(), classifier, transform_input=["X_val"])
    weights = np.arange(1.0, 151)

    pipeline.fit(
        images[:150], labels[:150], sample_weight=weights, X_val=images[150:], y_val=labels[150:]
    )

    assert Recorder.seen[:2] == (150, 50)
    expected = new_ann().fit(images[:150] / 2, labels[:150], sample_weight=weights)
    assert np.array_equal(weights_of(pipeline[-1]), weights_of(expected))
    assert "val_loss" in pipeline[-1].history_


@pytest.mark.usefixtures("routing")
def test_weights_and_groups_are_routed_through_a_grid_search(digits):
    groups = np.arange(200) // 10
    classifier = new_ann(validation_fraction=0.2)
    classifier.set_fit_request(sample_weight=True, groups=True)
    classifier.set_score_request(sample_weight=True)
    search = GridSearchCV(classifier, {"epochs": [1]}, cv=GroupKFold(2), error_score="raise")

    search.fit(*digits, sample_weight=np.ones(200), groups=groups)

    assert "val_loss" in search.best_estimator_.history_


def test_make_classifier_knows_every_network():
    assert isinstance(make_classifier("fast"), CNNClassifier)
    assert isinstance(make_classifier("ann"), ANNClassifier)
    assert make_classifier("mlp", epochs=2).get_params()["epochs"] == 2
    with pytest.raises(UsageError, match="'fats' is not known"):
        make_classifier("fats")


def test_make_classifier_takes_the_networks_own_parameters():
    other = make_classifier("mlp", hidden_layers=(32,), epochs=None, dropout=0.1)

    assert other.hidden_layers == (32,)
    assert other.dropout == 0.1
    assert other.epochs == make_classifier("mlp").epochs == 15


@pytest.mark.parametrize("name", ["wide_ann", "fast"])
def test_a_recipe_is_not_changed_through_a_classifier(name: str):
    before = make_classifier(name).recipe().augmentation.get_params()

    first = make_classifier(name)
    first.recipe().augmentation.set_params(rotation=45)
    if first.augmentation is not None:
        first.set_params(augmentation__rotation=45)

    assert make_classifier(name).recipe().augmentation.get_params() == before


@pytest.mark.parametrize("layers", [(8,), (8, 8), (8, 8, 8)])
def test_any_number_of_layers_has_a_dropout(digits, layers):
    network = ANNClassifier(layers, epochs=1, random_state=0).fit(*digits).network_

    shares = [layer.rate for layer in network.layers if hasattr(layer, "rate")]
    assert shares == [0.3] * (len(layers) - 1) + [0.5]


def test_augmentation_needs_images():
    X, y = np.random.default_rng(0).normal(size=(20, 7)), np.arange(20) % 2

    with pytest.raises(UsageError, match=r"^augmentation: X has features, not images"):
        new_ann(augmentation=Augmentation(shift=2)).fit(X, y)


def test_partial_fit_takes_hyper_parameters_that_changed(digits):
    classifier = new_ann(optimizer="sgd", learning_rate=0.05).partial_fit(
        *digits, classes=range(10)
    )
    before = weights_of(classifier)

    classifier.set_params(learning_rate=1e-12).partial_fit(*digits)

    assert np.allclose(weights_of(classifier), before, atol=1e-6)
    assert len(classifier.history_["loss"]) == 2


def test_partial_fit_cannot_balance_classes_it_has_not_seen(digits):
    with pytest.raises(UsageError, match=r"^class_weight='balanced': no part tells"):
        new_ann(class_weight="balanced").partial_fit(*digits, classes=range(10))


def test_any_callable_is_a_network(digits):
    import keras

    def logistic(n_classes: int) -> keras.Model:
        image = keras.Input((28, 28, 1))
        logits = keras.layers.Dense(n_classes, name="logits")(keras.layers.Flatten()(image))
        return keras.Model(image, keras.layers.Softmax(name="probabilities")(logits))

    classifier = CNNClassifier(logistic, epochs=5, batch_size=16, random_state=0).fit(*digits)

    assert classifier.score(*digits) > 0.6


def test_a_network_with_too_few_outputs_is_refused(digits):
    from digitflow.learning.networks import fast

    with pytest.raises(UsageError, match=r"gives \(9,\) outputs"):
        CNNClassifier(lambda n_classes: fast(n_classes - 1)).fit(*digits)


def network_of(size: int = 28, last: str = "probabilities", activation: str = "softmax"):
    import keras

    def build(n_classes: int) -> keras.Model:
        image = keras.Input((size, size, 1))
        logits = keras.layers.Dense(n_classes, name="logits")(keras.layers.Flatten()(image))
        return keras.Model(image, keras.layers.Activation(activation, name=last)(logits))

    return build


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (network_of(size=32), r"takes \(32, 32, 1\); images are \(28, 28, 1\)"),
        (network_of(last="softmax"), "ends in logits, softmax; its last two layers must be named"),
        (network_of(activation="sigmoid"), "gives values that are no probabilities"),
        (network_of(activation="linear"), "gives values that are no probabilities"),
    ],
)
def test_a_network_of_another_form_is_refused(digits, network, message: str):
    with pytest.raises(UsageError, match=message):
        CNNClassifier(network, epochs=1).fit(*digits)
