"""Learning rates that change during a fit."""

from collections.abc import Callable
from typing import TypeAlias

import keras

from digitflow.errors import UsageError

LearningRate: TypeAlias = "float | keras.optimizers.schedules.LearningRateSchedule"

#: The learning rate is multiplied by this when `plateau` finds no progress, down to the least.
PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 5  # epochs
PLATEAU_LEAST = 1e-4


def constant(peak: float, steps: int) -> float:
    """Return the same learning rate throughout."""
    return peak


def one_cycle(peak: float, steps: int) -> LearningRate:
    """Return a learning rate that rises to `peak` over a quarter of `steps`, then falls to 0.

    A linear warm-up and half a cosine: the one-cycle policy of Smith & Topin, "Super-Convergence"
    (2018), without its final annihilation phase.

    Parameters
    ----------
    peak : float
        The highest learning rate.
    steps : int
        Number of batches in the whole fit.
    """
    warmup = max(1, steps // 4)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=peak / 25,
        warmup_target=peak,
        warmup_steps=warmup,
        decay_steps=max(1, steps - warmup),
    )


def cosine(peak: float, steps: int) -> LearningRate:
    """Return a learning rate that falls from `peak` to 0 as half a cosine.

    Without the restarts of Loshchilov & Hutter, "SGDR" (2017).

    Parameters
    ----------
    peak : float
        The first learning rate.
    steps : int
        Number of batches in the whole fit.
    """
    return keras.optimizers.schedules.CosineDecay(peak, decay_steps=max(1, steps))


def plateau(monitor: str) -> keras.callbacks.Callback:
    """Return what lowers the learning rate when the loss stops falling.

    Parameters
    ----------
    monitor : str
        Name of the loss in the history.
    """
    return keras.callbacks.ReduceLROnPlateau(
        monitor, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, min_lr=PLATEAU_LEAST
    )


Schedule = Callable[[float, int], LearningRate]

#: Functions of the peak and the number of steps. `plateau` starts as a constant one.
SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "one_cycle": one_cycle,
    "cosine": cosine,
    "plateau": constant,
}


def make_schedule(schedule: str | Schedule, peak: float, steps: int) -> LearningRate:
    """Return the learning rate that a name or a function asks for.

    Raises
    ------
    UsageError
        If there is no schedule of that name.
    """
    if callable(schedule):
        return schedule(peak, steps)
    if not isinstance(schedule, str) or schedule not in SCHEDULES:
        raise UsageError(f"schedule={schedule!r}: must be one of {', '.join(SCHEDULES)}")
    return SCHEDULES[schedule](peak, steps)
