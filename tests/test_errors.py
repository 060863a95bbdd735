"""How errors are told."""

import pytest

from digitflow.errors import OutputError, in_one_line


def test_what_was_noted_on_an_errors_way_is_told_once() -> None:
    error = OutputError("out.parquet: cannot be written")
    assert in_one_line(str(error), error) == "out.parquet: cannot be written"
    error.add_note("the same command goes on")
    assert in_one_line("failed", error) == "failed; the same command goes on"
    with pytest.raises(SystemExit) as caught:
        _take_the_place_of(error)
    assert in_one_line("terminated", caught.value) == "terminated; the same command goes on"


def _take_the_place_of(error: Exception) -> None:
    try:
        raise error
    except OutputError as found:
        found.add_note("the same command goes on")
        raise SystemExit(143)  # noqa: B904  (as a signal does that comes meanwhile)
