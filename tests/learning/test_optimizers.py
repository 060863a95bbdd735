import keras
import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.learning.optimizers import Muon, make_optimizer


def step_of(optimizer: keras.optimizers.Optimizer, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return by what one step changes a variable of zeros, given a random gradient."""
    variable = keras.Variable(np.zeros(shape, "float32"), name=name)
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (12, 40), (5, 5, 1, 24)])
def test_muon_moves_all_directions_of_a_kernel_alike(shape):
    step = step_of(make_optimizer("muon", 0.01), shape, "kernel").reshape(-1, shape[-1])

    lengths = np.linalg.svd(step, compute_uv=False)
    assert lengths.max() / lengths.min() < 2.5
    # As long as a step of Adam, whose values change by the rate: 0.2 of it by the mean square.
    assert np.sqrt((step**2).mean()) == pytest.approx(0.2 * 0.01, rel=0.6)


@pytest.mark.parametrize(("shape", "name"), [((40, 10), "logits"), ((16,), "gamma")])
def test_muon_leaves_the_last_layer_and_vectors_to_adam(shape, name: str):
    muon, adam = (
        step_of(make_optimizer(optimizer, 0.01), shape, name) for optimizer in ("muon", "adam")
    )

    assert np.allclose(muon, adam, rtol=1e-4)
    assert not np.allclose(muon, step_of(make_optimizer("muon", 0.02), shape, name))


def test_a_function_makes_an_optimizer_of_the_rate():
    made = make_optimizer(lambda rate: Muon(rate), 0.125)

    assert float(made.learning_rate) == 0.125
    with pytest.raises(UsageError, match="gave no Keras optimizer"):
        make_optimizer(lambda rate: rate, 0.1)
    with pytest.raises(UsageError, match="optimizer='lion': must be one of adam, adamw, muon, sgd"):
        make_optimizer("lion", 0.1)
