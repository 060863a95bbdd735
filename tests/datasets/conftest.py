"""Mirrors for the tests of downloading."""

import socket
from collections.abc import Iterator

import pytest
from datasets.mirror import BODY, NAME, Mirror, running_mirror, sending


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """Return a mirror that has the file of the tests."""
    with running_mirror() as running:
        running.answers[NAME] = sending(BODY)
        yield running


@pytest.fixture
def bad_mirror() -> Iterator[Mirror]:
    """Return a mirror that has nothing."""
    with running_mirror() as running:
        yield running


@pytest.fixture
def refusing() -> Iterator[str]:
    """Return an address where nothing listens, and nothing can begin to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
