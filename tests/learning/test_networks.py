import re

import keras
import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.learning.layer_table import layer_table
from digitflow.learning.losses import SmoothedCrossentropy
from digitflow.learning.networks import NETWORKS, network_by_name
from digitflow.learning.schedules import one_cycle

UNITS = {"thousand": 1e3, "million": 1e6}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_ends_in_logits_and_probabilities(name: str):
    network = network_by_name(name)(7)

    assert network.name == name
    assert [layer.name for layer in network.layers[-2:]] == ["logits", "probabilities"]
    found = network(np.zeros((2, 28, 28, 1), np.float32))
    assert found.shape == (2, 7)
    assert np.sum(found, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_sizes_in_the_docstring_are_true(name: str):
    build = NETWORKS[name]
    stated = re.search(
        r"([\d.]+) (thousand|million) parameters, ([\d.]+) (thousand|million) multiply-adds",
        build.__doc__ or "",
    )
    assert stated is not None
    network = build(10)

    for number, unit, counted in (
        (stated[1], stated[2], network.count_params()),
        (stated[3], stated[4], sum(row["multiply_adds"] for row in layer_table(network))),
    ):
        decimals = len(number.partition(".")[2])
        assert f"{counted / UNITS[unit]:.{decimals}f}" == number


@pytest.mark.parametrize("name", NETWORKS)
def test_probabilities_stay_in_full_precision(name: str):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = network_by_name(name)(7)
    finally:
        keras.config.set_dtype_policy("float32")

    assert network.output.dtype == "float32"
    assert network.get_layer("logits").compute_dtype == "bfloat16"


def test_a_dense_network_takes_rows_of_a_table():
    network = NETWORKS["ann"](3, (5,), hidden_layers=(8,), dropout=0, batch_norm=True)

    assert network.input_shape == (None, 5)
    assert network(np.zeros((2, 5), np.float32)).shape == (2, 3)
    # Batch normalisation has its own offset; the output layer has none before it.
    assert network.count_params() == 5 * 8 + 4 * 8 + 8 * 3 + 3


@pytest.mark.parametrize(
    ("dropout", "rates"), [(0.2, [0.2, 0.2]), ((0.3, 0.5), [0.3, 0.5]), (0, []), ((0, 0.5), [0.5])]
)
def test_dropout_is_one_share_or_one_for_each_hidden_layer(dropout: object, rates: list[float]):
    network = NETWORKS["ann"](10, hidden_layers=(8, 4), dropout=dropout)

    found = [layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
    assert found == rates


def test_too_few_dropouts_are_refused():
    with pytest.raises(UsageError, match=r"dropout=\(0.3,\).* each of the 2 hidden layers"):
        NETWORKS["ann"](10, hidden_layers=(8, 4), dropout=(0.3,))


def test_the_training_flow_offers_every_network():
    from train_options import NETWORK_NAMES

    assert tuple(NETWORKS) == NETWORK_NAMES


def test_an_unknown_network_is_refused():
    with pytest.raises(UsageError, match="choose one of fast, robust, accurate"):
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
