"""What Prometheus is told."""

from asked import SEVEN, app_of, ask, ask_batch, ask_raw, several
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families


def figures(app: FastAPI) -> dict[tuple[str, ...], float]:
    """Return the figures by name and the values of their labels, by which they are sorted."""
    answer = ask(app, "GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_and_digits_are_counted():
    with app_of(workers=1) as app, app_of(workers=1) as other:
        ask_raw(app, SEVEN.read_bytes())
        ask_raw(app, several(), "?multi=true")
        ask_batch(app, {"a": SEVEN.read_bytes(), "b": b"no image"})
        ask_raw(app, b"no image")
        for number in range(3):
            ask(app, "GET", f"/nothing/{number}")
        ask(app, "BREW", "/livez", headers={"host": "elsewhere.example"})
        found = figures(app)
        of_other = figures(other)

    requests = {key[1:]: value for key, value in found.items() if key[0].endswith("requests_total")}
    assert requests == {
        ("POST", "/v1/predict", "200"): 2,
        ("POST", "/v1/predict", "422"): 1,
        ("POST", "/v1/predict/batch", "200"): 1,
        ("GET", "other", "404"): 3,
        ("other", "/livez", "421"): 1,
    }
    digits = {key[1:]: value for key, value in found.items() if key[0].endswith("digits_total")}
    assert digits == {("", "ok"): 4, ("unsupported_format", "error"): 2}
    assert found["digitflow_request_seconds_count", "/v1/predict"] == 3
    assert found["digitflow_images_in_work", "slow"] == 0
    assert found["process_open_fds",] > 0
    assert ("digitflow_requests_total", "POST", "/v1/predict", "200") not in of_other
