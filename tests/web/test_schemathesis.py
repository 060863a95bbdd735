"""The server against its own OpenAPI document: whatever the document allows, it answers so."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from asked import SEVEN, blank, several
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from served import serving

OPERATIONS = [
    "GET /livez",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/model",
    "GET /v1/models",
    "POST /v1/feedback",
    "POST /v1/predict",
    "POST /v1/predict/batch",
]

# What is sent wherever the document wants an image. What is none is sent by other tests.
_IMAGES = st.sampled_from([SEVEN.read_bytes(), blank(), several()])

# A label that is none of the model's classes is a text too, and an empty page an image; which they
# are depends on what is sent. Beside its files a form may have eight fields, of whatever names.
_REFUSED_ALL_THE_SAME = [
    {
        "include-name": name,
        "checks": {"positive_data_acceptance": {"expected-statuses": statuses}},
    }
    for name, statuses in [
        ("POST /v1/feedback", ["201", "400", "404", "422"]),
        ("POST /v1/predict", ["200", "400", "404"]),
        ("POST /v1/predict/batch", ["200", "400", "404"]),
    ]
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return the document of a running server, with images for its bodies."""
    folder = tmp_path_factory.mktemp("served")
    schemathesis.openapi.format("binary", _IMAGES)
    schemathesis.openapi.media_type("image/*", _IMAGES)
    schemathesis.openapi.media_type("application/octet-stream", _IMAGES)
    config = schemathesis.Config.from_dict({"operations": _REFUSED_ALL_THE_SAME})
    try:
        with serving(folder, "--feedback", folder / "corrected") as served:
            yield schemathesis.openapi.from_url(f"{served.url}/openapi.json", config=config)
    finally:
        schemathesis.openapi.format("binary", st.binary())


@pytest.fixture(scope="module")
def operations(document: Any) -> dict[str, Any]:
    found = {each.ok().label: each.ok() for each in document.get_all_operations()}
    assert sorted(found) == sorted(OPERATIONS)
    return found


def check(operation: Any, n_examples: int) -> None:
    """Send what the document allows, and what it forbids; hold the answers to it."""
    for mode in schemathesis.GenerationMode:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            deadline=None,
            database=None,
            derandomize=True,
            max_examples=n_examples,
            suppress_health_check=list(HealthCheck),
        )
        def call(case: Any) -> None:
            case.call_and_validate()

        try:
            call()
        except Unsatisfiable:  # nothing can be wrong with a request without parameters
            assert mode.is_negative


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_the_document_says(operations: dict[str, Any], label: str):
    check(operations[label], 10)


@pytest.mark.long
@pytest.mark.parametrize("label", OPERATIONS)
def test_all_kinds_of_answers_are_as_the_document_says(operations: dict[str, Any], label: str):
    check(operations[label], 300)
