import os
import sys
import threading
from pathlib import Path

import pytest

from digitflow.console import native_chatter_hidden


def fail_while_hidden(**options: bool) -> None:
    with native_chatter_hidden(**options):
        chatter()
        _ = 1 / 0


def leave_while_hidden() -> None:
    with native_chatter_hidden():
        chatter()
        sys.exit(143)


def chatter() -> None:
    """Print on every way to the console that there is."""
    os.write(1, b"native out\n")
    os.write(2, b"native err\n")
    print("python out")


def test_nothing_is_printed_when_all_goes_well(capfd):
    with native_chatter_hidden():
        chatter()
    print("after")
    os.write(2, b"native after\n")

    assert tuple(capfd.readouterr()) == ("after\n", "native after\n")


def test_everything_is_printed_after_all_on_failure(capfd):
    with pytest.raises(ZeroDivisionError):
        fail_while_hidden()

    said = capfd.readouterr().err
    for line in ("native out\n", "native err\n", "python out\n"):
        assert line in said


def test_unless_the_failure_says_enough(capfd):
    with pytest.raises(ZeroDivisionError):
        fail_while_hidden(also_on_failure=True)

    assert tuple(capfd.readouterr()) == ("", "")


def test_nothing_is_printed_when_a_signal_ends_it(capfd):
    with pytest.raises(SystemExit):
        leave_while_hidden()

    assert tuple(capfd.readouterr()) == ("", "")


def n_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_file_descriptor_is_left_open():
    before = n_open_files()

    for _ in range(3):
        with native_chatter_hidden():
            sys.stderr.flush()

    assert n_open_files() == before


def test_one_thread_at_a_time_has_the_console():
    entered = threading.Event()

    def hide() -> None:
        with native_chatter_hidden():
            entered.set()

    other = threading.Thread(target=hide)
    with native_chatter_hidden():
        other.start()
        came_between = entered.wait(timeout=0.2)
    other.join()

    assert not came_between
    assert entered.is_set()
