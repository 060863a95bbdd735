import keras
import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.learning.losses import SmoothedCrossentropy
from digitflow.learning.networks import NETWORKS, network_by_name
from digitflow.learning.schedules import one_cycle


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_ends_in_logits_and_probabilities(name: str):
    network = network_by_name(name)(7)

    assert [layer.name for layer in network.layers[-2:]] == ["logits", "probabilities"]
    found = network(np.zeros((2, 28, 28, 1), np.float32))
    assert found.shape == (2, 7)
    assert np.sum(found, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_sizes_in_the_docstrings_are_true():
    assert round(NETWORKS["fast"](10).count_params() / 1000) == 62
    assert round(NETWORKS["ann"](10).count_params() / 1000) == 538


def test_the_training_flow_offers_every_network():
    from train_options import NETWORK_NAMES

    assert tuple(NETWORKS) == NETWORK_NAMES


def test_an_unknown_network_is_refused():
    with pytest.raises(UsageError, match="choose one of fast, ann"):
        network_by_name("slow")


def test_one_cycle_rises_and_falls():
    rate = one_cycle(0.01, steps=100)
    values = [float(rate(step)) for step in range(101)]

    assert max(values) == pytest.approx(0.01)
    assert np.argmax(values) == 25
    assert values[0] == pytest.approx(0.0004)
    assert values[100] == pytest.approx(0, abs=1e-6)
    assert np.diff(values[:26]).min() > 0
    assert np.diff(values[26:]).max() < 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_keras_own_on_one_hot_labels(smoothing: float):
    labels = np.array([0, 2, 1])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], np.float32)
    keras_loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)

    found = float(SmoothedCrossentropy(smoothing)(labels, probabilities))

    assert found == pytest.approx(float(keras_loss(np.eye(3)[labels], probabilities)), rel=1e-5)
