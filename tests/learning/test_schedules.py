import keras
import numpy as np
import pytest

from digitflow.errors import UsageError
from digitflow.learning.schedules import make_schedule, plateau


def rates(schedule, peak: float = 0.1, steps: int = 100) -> np.ndarray:
    made = make_schedule(schedule, peak, steps)
    return np.array([float(made(step)) for step in range(steps + 1)])


def test_one_cycle_rises_to_its_peak_over_a_quarter_and_falls_to_0():
    found = rates("one_cycle")

    assert found[0] == pytest.approx(0.1 / 25)
    assert found.argmax() == 25
    assert found.max() == pytest.approx(0.1)
    assert (np.diff(found[:26]) > 0).all()
    assert (np.diff(found[25:]) < 0).all()
    assert found[-1] == pytest.approx(0, abs=1e-6)


def test_cosine_falls_from_its_peak_to_0():
    found = rates("cosine")

    assert found[0] == pytest.approx(0.1)
    assert found[50] == pytest.approx(0.05)
    assert found[-1] == pytest.approx(0, abs=1e-6)
    assert (np.diff(found) <= 0).all()


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_others_start_constant(schedule: str):
    assert make_schedule(schedule, 0.1, 100) == 0.1


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_fits_have_a_rate_too(schedule: str, steps: int):
    found = rates(schedule, steps=steps)

    assert np.isfinite(found).all()
    assert found[:steps].max() > 0


def test_a_function_gets_the_peak_and_the_number_of_steps():
    def halved(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
        return keras.optimizers.schedules.PiecewiseConstantDecay([steps // 2], [peak, peak / 2])

    assert rates(halved)[[0, 50, 51, 100]] == pytest.approx([0.1, 0.1, 0.05, 0.05])


@pytest.mark.parametrize("schedule", ["steps", None, 3, ["cosine"]])
def test_an_unknown_schedule_is_refused(schedule):
    with pytest.raises(UsageError, match=r"schedule=.*must be one of constant, one_cycle, cosine"):
        make_schedule(schedule, 0.1, 100)


def test_plateau_watches_what_it_is_told():
    assert plateau("val_loss").monitor == "val_loss"
