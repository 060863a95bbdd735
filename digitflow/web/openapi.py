"""What the OpenAPI document tells beside what FastAPI finds out: bodies, problems, examples."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from digitflow.web.options import ServerOptions
from digitflow.web.problems import MEDIA_TYPE, TITLES, ProblemDocument

_Json = dict[str, Any]

_IMAGE = {
    "type": "string",
    "format": "binary",
    "description": "a PNG, JPEG, WebP, BMP, GIF, TIFF or PPM/PGM/PBM file",
}

_ABOUT = """Reads handwritten digits. Statuses, reasons and probabilities are those of the table
that `digitflow score` writes: the same code reads the images. Every answer that is no success is
a problem document (RFC 9457)."""


def _form(**properties: _Json) -> _Json:
    """Return what describes a form; what is not optional is required."""
    required = [name for name, each in properties.items() if not each.pop("optional", False)]
    schema = {"type": "object", "required": required, "properties": properties}
    return {"multipart/form-data": {"schema": schema}}


def _body(content: _Json) -> _Json:
    return {"requestBody": {"required": True, "content": content}}


ONE_IMAGE = _body(
    {
        **_form(file=_IMAGE),
        "image/*": {"schema": _IMAGE},
        "application/octet-stream": {"schema": _IMAGE},
    }
)
SEVERAL_IMAGES = _body(_form(files={"type": "array", "items": _IMAGE, "minItems": 1}))
CORRECTED_IMAGE = _body(
    _form(
        file=_IMAGE,
        label={"type": "string", "description": "the right class", "example": "7"},
        predicted={"type": "string", "maxLength": 100, "optional": True},
        model_id={"type": "string", "pattern": "^[0-9a-f]{64}$", "optional": True},
    )
)

_DIGIT = {
    "segment": 0,
    "line": 0,
    "status": "ok",
    "reason": None,
    "message": None,
    "label": "7",
    "digit": 7,
    "confidence": 0.998,
    "top": [{"label": "7", "probability": 0.998}, {"label": "1", "probability": 0.001}],
    "probabilities": {
        **{str(digit): 0.000125 for digit in range(10)},
        "1": 0.001,
        "7": 0.998,
    },
    "box": {"x": 210, "y": 90, "width": 120, "height": 200},
    "explanation": None,
}
_SEVEN = {
    "image": {
        "width": 640,
        "height": 480,
        "format": "JPEG",
        "mode": "RGB",
        "orientation": 1,
        "frames": 1,
        "polarity": "dark_on_light",
    },
    "text": "7",
    "digits": [_DIGIT],
}
_FAULT = {
    "reason": "truncated",
    "message": "b.jpg: the JPEG file is cut off; copy it again",
}
_MODEL = {"model": "mnist", "version": "pretrained", "model_id": "8457e35d" * 8}
_RESULTS = [{"name": "a.jpg", **_SEVEN}, {"name": "b.jpg", "error": _FAULT}]

# Answers as they may be, by the name of the endpoint's function.
_EXAMPLES: dict[str, _Json] = {
    "predict": {**_MODEL, **_SEVEN, "milliseconds": 3.1},
    "predict_batch": {**_MODEL, "milliseconds": 5.2, "results": _RESULTS},
    "show_models": {
        "default": "mnist",
        "feedback": False,
        "models": [
            {
                "name": "mnist",
                "version": "pretrained",
                "model_id": _MODEL["model_id"],
                "network": "robust",
                "classes": [str(digit) for digit in range(10)],
                "current": True,
            }
        ],
    },
    "store_feedback": {"stored": "5e884898" * 8 + ".png"},
    "tell_alive": {"status": "alive"},
    "tell_ready": {"status": "ready"},
}

# What can happen to any request, and what to some besides.
_ALWAYS = (400, 403, 408, 413, 421, 431, 500, 503)
_BESIDES = {
    "predict": (404, 415, 422, 429),
    "predict_batch": (404, 415, 429),
    "show_model": (404,),
    "store_feedback": (404, 415, 422, 429, 507),
}
_PUBLIC = {"tell_alive", "tell_ready"}


def describing(app: FastAPI, options: ServerOptions) -> Callable[[], _Json]:
    """Return what gives an app's OpenAPI document, made when it is first asked for.

    Parameters
    ----------
    app : FastAPI
    options : ServerOptions
        Which tell whether clients must send a token, and how many files they may.
    """

    def document() -> _Json:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, options)
        return app.openapi_schema

    return document


def _document(app: FastAPI, options: ServerOptions) -> _Json:
    document = get_openapi(
        title=app.title, version=app.version, description=_ABOUT, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    # FastAPI's own form of errors, which is never answered.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
    document["components"]["responses"] = {
        f"Problem{status}": _describe_problem(status) for status in TITLES
    }
    if options.token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    batch = document["paths"]["/v1/predict/batch"]["post"]["requestBody"]["content"]
    properties = batch["multipart/form-data"]["schema"]["properties"]
    properties["files"]["maxItems"] = options.max_files
    for operations in document["paths"].values():
        for operation in operations.values():
            _complete(operation, bool(options.token))
    return document


def _complete(operation: _Json, needs_token: bool) -> None:
    """Add to an operation all its problems, and an example of its answer."""
    name = operation["operationId"]
    problems = [*_ALWAYS, *_BESIDES.get(name, ())]
    if needs_token and name not in _PUBLIC:
        problems.append(401)
        operation["security"] = [{"token": []}]
    successes = {code: each for code, each in operation["responses"].items() if code < "300"}
    operation["responses"] = successes | {
        str(status): {"$ref": f"#/components/responses/Problem{status}"}
        for status in sorted(problems)
    }
    if name in _EXAMPLES:
        (success,) = successes.values()
        success["content"]["application/json"]["example"] = _EXAMPLES[name]


def _describe_problem(status: int) -> _Json:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    answer: _Json = {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}}
    if status in (429, 503):
        seconds = {"description": "seconds", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": seconds}
    return answer
