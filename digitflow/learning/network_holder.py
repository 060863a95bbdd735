"""How an estimator holds its network: kept after a fit, restored after a failure, pickled."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from sklearn.base import BaseEstimator

History = dict[str, list[float]]


class NetworkHolder(BaseEstimator):
    """What an estimator does with the network that it was fitted to."""

    precision: str

    classes_: np.ndarray
    network_: keras.Model
    history_: History

    def build_network(self, n_classes: int) -> keras.Model:
        """Return a new network with these hyper-parameters, its weights random."""
        raise NotImplementedError

    def _keep(self, network: keras.Model, history: History) -> None:
        """Take over a trained network, in float32 whatever it was trained in."""
        if self.precision != "float32":
            trained, network = network, self.build_network(len(self.classes_))
            network.set_weights(trained.get_weights())
        self.__dict__.pop("_partial_model", None)
        self.__dict__.pop("_partial_told", None)
        self.network_ = network
        self.history_ = history

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Leave the estimator as it was where a fit fails."""
        before = dict(self.__dict__)
        model = before.get("_partial_model")
        weights = model.get_weights() if model else []
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            if model and not all(map(np.array_equal, weights, model.get_weights())):
                model.set_weights(weights)
                del self._partial_model  # what its optimiser remembers is of the steps undone
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: the network as plain arrays, the optimiser left out."""
        state = dict(super().__getstate__())
        state.pop("_partial_model", None)
        state.pop("_partial_told", None)
        network = state.pop("network_", None)
        if network is not None:
            state["_weights"] = network.get_weights()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the network from its arrays."""
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self.network_ = self.build_network(len(self.classes_))
            self.network_.set_weights(weights)
