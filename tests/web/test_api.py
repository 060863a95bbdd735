"""The REST API: what it says of images is what the scored table says, and it never fails."""

import base64
import csv
import io
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from asked import SEVEN, app_of, ask, ask_batch, ask_raw, blank, encoded, several
from fastapi import FastAPI
from odd_calls import fail
from PIL import Image

from digitflow import score_folder
from digitflow.web.answers import BatchPrediction, Manifest, ModelList, Prediction
from digitflow.web.problems import ProblemDocument


@pytest.fixture(scope="module")
def app() -> Iterator[FastAPI]:
    with app_of(workers=2) as app:
        yield app


def check_problem(answer: httpx.Response, status: int, detail: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = ProblemDocument.model_validate_json(answer.content).model_dump()
    assert document["status"] == status
    assert detail in document["detail"]
    assert document["instance"] == answer.headers["x-request-id"]
    return document


# One image


@pytest.mark.parametrize(
    "request_of",
    [
        {"files": {"file": ("a.png", SEVEN.read_bytes())}},
        {"content": SEVEN.read_bytes(), "headers": {"content-type": "image/png"}},
        {"content": SEVEN.read_bytes(), "headers": {"content-type": "Application/octet-stream"}},
    ],
    ids=["form", "image", "bytes"],
)
def test_one_image_says_one_digit(app: FastAPI, request_of: dict[str, Any]):
    answer = ask(app, "POST", "/v1/predict", **request_of)

    assert answer.status_code == 200
    said = Prediction.model_validate(answer.json(), strict=True)
    assert (said.model, said.version, said.text) == ("mnist", "pretrained", "7")
    assert said.image.model_dump() == {
        "width": 180,
        "height": 220,
        "format": "PNG",
        "mode": "L",
        "orientation": 1,
        "frames": 1,
        "polarity": "dark_on_light",
    }
    (digit,) = said.digits
    assert (digit.status, digit.reason, digit.label, digit.digit) == ("ok", None, "7", 7)
    assert digit.confidence == digit.probabilities["7"] == digit.top[0].probability
    assert list(digit.probabilities) == [str(number) for number in range(10)]
    assert [len(digit.top), digit.top[0].label, digit.explanation] == [3, "7", None]


def test_as_many_classes_are_ranked_as_asked_for(app: FastAPI):
    ranked = ask_raw(app, SEVEN.read_bytes(), "?top=100").json()["digits"][0]["top"]

    shares = [each["probability"] for each in ranked]
    assert len(shares) == 10
    assert shares == sorted(shares, reverse=True)


def test_a_blank_image_is_an_answer(app: FastAPI):
    said = Prediction.model_validate(ask_raw(app, blank(), "?explain=true").json())

    (digit,) = said.digits
    assert (digit.status, digit.reason, digit.label, digit.box) == ("blank", "no_ink", None, None)
    assert (digit.probabilities, digit.top, said.text) == ({}, [], "")
    assert digit.explanation is not None
    assert digit.explanation.dependence is None


def test_several_digits_are_read_on_demand(app: FastAPI):
    said = Prediction.model_validate(ask_raw(app, several(), "?multi=true").json())

    assert said.text == "71"
    assert [digit.segment for digit in said.digits] == [0, 1]


def picture(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text, validate=True))))


def test_an_explanation_shows_the_way_to_the_answer(app: FastAPI):
    large = encoded(Image.open(SEVEN).resize((900, 1100)), "JPEG")
    said = Prediction.model_validate(ask_raw(app, large, "?explain=true").json())

    explained = said.digits[0].explanation
    assert explained is not None
    stages = {stage.name: picture(stage.png) for stage in explained.stages}
    assert list(stages) == ["picture", "ink", "written", "digit", "seen"]
    assert max(stages["picture"].shape) <= 320
    assert np.array_equal(stages["seen"], picture(explained.image))
    assert explained.dependence is not None
    assert picture(explained.dependence).shape == (28, 28)
    assert picture(explained.dependence).max() == 255


def test_each_of_several_digits_is_explained(app: FastAPI):
    said = Prediction.model_validate(ask_raw(app, several(), "?multi=true&explain=true").json())

    explained = [digit.explanation for digit in said.digits]
    assert [[stage.name for stage in each.stages] for each in explained if each] == [["seen"]] * 2
    assert all(each and each.dependence for each in explained)


# The same as the scored table


def pictures() -> dict[str, bytes]:
    """Return files of many kinds, some of which cannot be read."""
    random = np.random.default_rng(0)
    seven = Image.open(SEVEN)
    noise = Image.fromarray(random.integers(0, 256, (28, 28), np.uint8))
    return {
        "blank.png": blank(),
        "cut.jpg": encoded(seven, "JPEG")[:-200],
        "large.jpg": encoded(seven.convert("RGB").resize((1800, 2200)), "JPEG"),
        "noise.png": encoded(noise),
        "several.png": several(),
        "seven.png": SEVEN.read_bytes(),
        "small.png": encoded(seven.resize((28, 28))),
        "text.png": b"no image",
        "turned.tif": encoded(seven.rotate(30, fillcolor=255), "TIFF"),
    }


def facts_of_answer(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an answer as rows of the scored table."""
    if "error" in result:
        return [{"path": result["name"], "segment": 0, "status": "error", **result["error"]}]
    image = result["image"]
    return [
        {
            "path": result["name"],
            "segment": digit["segment"],
            "status": digit["status"],
            "reason": digit["reason"],
            "message": digit["message"],
            "label": digit["label"],
            "digit": digit["digit"],
            "confidence": digit["confidence"],
            "probabilities": list(digit["probabilities"].values()) or None,
            **(digit["box"] or dict.fromkeys(("x", "y", "width", "height"))),
            "image_width": image["width"],
            "image_height": image["height"],
            "format": image["format"],
            "mode": image["mode"],
            "orientation": image["orientation"],
            "n_frames": image["frames"],
            # Of a blank image the table knows it only where one digit is looked for.
            **({"polarity": image["polarity"]} if digit["label"] else {}),
        }
        for digit in result["digits"]
    ]


@pytest.mark.parametrize("multi", [False, True])
def test_answers_are_those_of_the_scored_table(app: FastAPI, multi: bool, tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in pictures().items():
        (folder / name).write_bytes(content)
    score_folder(folder, tmp_path / "out.parquet", multi=multi)
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()

    answer = ask_batch(app, pictures(), f"?multi={str(multi).lower()}").json()
    said = [row for result in answer["results"] for row in facts_of_answer(result)]

    assert {answer["model_id"]} == {row["model_id"] for row in table}
    assert {row["status"] for row in said} >= {"ok", "blank", "error"}
    place = itemgetter("path", "segment")
    for row, scored in zip(sorted(said, key=place), sorted(table, key=place), strict=True):
        assert row == {name: scored[name] for name in row}


# Several images


def test_a_batch_is_answered_in_order_with_its_faults(app: FastAPI):
    files = {"b.png": SEVEN.read_bytes(), "a.png": b"no image"}
    answer = ask_batch(app, files)

    said = BatchPrediction.model_validate(answer.json(), strict=True)
    assert [each.name for each in said.results] == ["b.png", "a.png"]
    assert answer.json()["results"][1]["error"]["reason"] == "unsupported_format"


def test_a_batch_has_a_limit():
    with app_of(workers=1, max_files=2) as app:
        files = {str(number): blank() for number in range(3)}
        check_problem(ask_batch(app, files), 400, "2")


# Problems


@pytest.mark.parametrize(
    ("method", "target", "request_of", "status", "detail"),
    [
        ("GET", "/nothing", {}, 404, "/openapi.json"),
        ("GET", "/v1/models/", {}, 404, "/openapi.json"),
        ("GET", "/page.js/", {}, 404, "/openapi.json"),
        ("GET", "/v1/predict", {}, 405, "/openapi.json"),
        ("POST", "/v1/predict", {}, 415, "no content type"),
        ("POST", "/v1/predict", {"data": {"a": "b"}}, 415, "multipart/form-data"),
        ("POST", "/v1/predict/batch", {"content": b"x"}, 415, "multipart/form-data"),
        ("POST", "/v1/predict", {"files": {"other": b"x"}}, 400, "part `file`"),
        ("POST", "/v1/predict", {"files": [("file", b"x")] * 2}, 400, "Too many files"),
        ("POST", "/v1/predict/batch", {"files": {"file": b"x"}}, 400, "parts `files`"),
        ("POST", "/v1/predict?top=0", {}, 400, "top: "),
        ("POST", "/v1/predict?top=3.0", {}, 400, "top: give a whole number"),
        ("POST", "/v1/predict?multi=1", {}, 400, "multi: give true or false"),
        ("GET", "/v1/model?model=../x", {}, 400, "model: give a name"),
        ("GET", "/v1/model?model=/etc", {}, 400, "model: give a name"),
        ("GET", "/v1/model?model=nothing", {}, 404, "'nothing' is not known"),
        ("GET", "/v1/model?model=mnist@9", {}, 404, "'mnist@9' is not known"),
    ],
)
def test_every_refusal_is_a_problem_document(
    app: FastAPI, method: str, target: str, request_of: dict[str, Any], status: int, detail: str
):
    answer = ask(app, method, target, **request_of)

    check_problem(answer, status, detail)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("endpoint", ["predict", "predict/batch"])
def test_compressed_bodies_are_refused(app: FastAPI, endpoint: str):
    headers = {"content-type": "image/png", "content-encoding": "gzip"}
    answer = ask(app, "POST", f"/v1/{endpoint}", content=b"x", headers=headers)

    check_problem(answer, 415, "'gzip'")


def test_an_unreadable_image_comes_with_the_reason_of_the_table(app: FastAPI):
    document = check_problem(ask_raw(app, SEVEN.read_bytes()[:-30]), 422, "cut off")

    assert document["reason"] == "truncated"
    assert document["type"] == "urn:digitflow:problem:image"


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",
        b"--x\r\n" + b"A: b\r\n" * 100 + b"\r\n1\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 100 + b"--x--\r\n",
    ],
    ids=["cut off", "without a name", "many headers", "many fields"],
)
def test_a_bad_form_is_refused(app: FastAPI, body: bytes):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = ask(app, "POST", "/v1/predict", content=body, headers=headers)

    check_problem(answer, 400, "")


def test_an_unexpected_error_of_an_image_is_told_as_in_the_table(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("digitflow.web.api.predict_one", fail)
    document = check_problem(ask_raw(app, blank()), 422, "of a kind nobody thought of")

    assert document["reason"] == "unreadable"
    assert 'raise RuntimeError("of a kind' in caplog.text


# Models


def test_the_manifest_and_the_models_are_told(app: FastAPI):
    manifest = Manifest.model_validate(ask(app, "GET", "/v1/model").json(), strict=True)
    listed = ModelList.model_validate(ask(app, "GET", "/v1/models").json(), strict=True)

    assert manifest.class_names == [str(number) for number in range(10)]
    assert (listed.default, listed.feedback) == ("mnist", False)
    (model,) = listed.models
    assert (model.name, model.version, model.network) == ("mnist", "pretrained", "robust")
    assert (model.model_id, model.current) == (manifest.model_id, True)


# Files that are odd


def odd_images(shared_data: Path) -> list[Path]:
    folder = shared_data / "odd-images"
    with (folder / "MANIFEST.csv").open(newline="") as stream:
        return [folder / row["file"] for row in csv.DictReader(stream)]


def check_odd(app: FastAPI, paths: list[Path]) -> None:
    assert len(paths) > 10
    for path in paths:
        for query in ("?explain=true", "?multi=true"):
            answer = ask_raw(app, path.read_bytes(), query)
            assert answer.status_code in (200, 422), path
            if answer.status_code == 200:
                Prediction.model_validate(answer.json())
            else:
                assert check_problem(answer, 422, "")["reason"]


def test_odd_images_are_read_or_refused(app: FastAPI, shared_data: Path):
    check_odd(app, odd_images(shared_data)[::25])


@pytest.mark.long
def test_all_odd_images_are_read_or_refused(app: FastAPI, shared_data: Path):
    check_odd(app, odd_images(shared_data))
