import signal
from collections.abc import Iterator

import pytest

from digitflow.signals import signals_deferred


class TerminatedError(BaseException):
    """What the handler of these tests raises."""


def end(signum: int, frame: object) -> None:
    raise TerminatedError


@pytest.fixture
def handled() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def unhandled() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def go_on_after(number: signal.Signals, done: list[str]) -> None:
    with signals_deferred():
        signal.raise_signal(number)
        done.append("the rest of the block")


@pytest.mark.parametrize(
    ("number", "exception"),
    [(signal.SIGTERM, TerminatedError), (signal.SIGINT, KeyboardInterrupt)],
)
@pytest.mark.usefixtures("handled")
def test_a_signal_strikes_when_the_block_is_left(number: signal.Signals, exception):
    done: list[str] = []

    with pytest.raises(exception):
        go_on_after(number, done)

    assert done


@pytest.mark.usefixtures("handled")
def test_handlers_are_what_they_were_before():
    before = signal.getsignal(signal.SIGTERM)

    with signals_deferred():
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("unhandled")
def test_a_signal_without_handler_is_left_to_the_system():
    with signals_deferred():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
