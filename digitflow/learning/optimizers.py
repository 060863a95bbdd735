"""The optimisers by name."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from digitflow.errors import UsageError
from digitflow.learning.schedules import LearningRate


@keras.saving.register_keras_serializable("digitflow")
class Muon(keras.optimizers.Muon):
    """Steps of which every direction is as long as any other, for kernels of convolutions too.

    Keras' own keeps to Adam for them. A kernel of shape (height, width, in, out) counts as a matrix
    of height * width * in rows, as in the original (Jordan et al., "Muon: An optimizer for hidden
    layers in neural networks", 2024). Biases, normalisations and the layer named `logits` are left
    to Adam. The steps are as long as Adam's at the same rate (Liu et al., "Muon is scalable for LLM
    training", 2025).
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) < 2 or "logits" in variable.path

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        self.assign_add(m, gradient + m * (self.momentum - 1))
        step = gradient + self.momentum * m  # as Nesterov's
        matrix = ops.reshape(step, (-1, step.shape[-1]))
        update = self.lr_adjust(lr * self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        self.assign_sub(variable, ops.reshape(update, variable.shape))


_OPTIMIZERS: dict[str, Callable[[LearningRate], keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "muon": lambda rate: Muon(rate, weight_decay=None, adam_weight_decay=None),
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
}


def make_optimizer(optimizer: Any, rate: LearningRate) -> keras.optimizers.Optimizer:
    """Return the Keras optimiser of a name, or the one that a function makes of a learning rate.

    Raises
    ------
    UsageError
        If the name is not known, or the function returns something else.
    """
    if callable(optimizer):
        made = optimizer(rate)
        if not isinstance(made, keras.optimizers.Optimizer):
            raise UsageError(f"optimizer={optimizer!r}: gave no Keras optimizer, but {made!r}")
        return made
    if optimizer not in _OPTIMIZERS:
        raise UsageError(
            f"optimizer={optimizer!r}: must be one of {', '.join(_OPTIMIZERS)}, or a function of "
            "the learning rate that returns a Keras optimizer"
        )
    return _OPTIMIZERS[optimizer](rate)
