"""Learning rates that change during a fit."""

import keras


def one_cycle(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
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
