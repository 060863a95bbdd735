"""The parameters of the API; they take what the OpenAPI document says, and nothing else."""

from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from digitflow.web.served_models import MODEL_NAME


def _check_model(name: str | None) -> str | None:
    if name is not None and not MODEL_NAME.fullmatch(name):
        raise ValueError("give a name, or name@version, of GET /v1/models")
    return name


def _as_bool(word: object) -> object:
    if isinstance(word, bool):  # a default, which FastAPI before 0.150 checks as well
        return word
    if word not in ("true", "false"):
        raise ValueError("give true or false")
    return word == "true"


def _as_number(word: object) -> object:
    if isinstance(word, int):  # a default, as above
        return word
    # Pydantic would take " 3", "3.0" and "1_0" as well.
    if not (isinstance(word, str) and word.isascii() and word.isdecimal()):
        raise ValueError("give a whole number")
    return int(word[:9])


Model = Annotated[
    str | SkipJsonSchema[None],
    AfterValidator(_check_model),
    Query(
        description="a name, or name@version, of GET /v1/models; else the default model",
        json_schema_extra={"pattern": f"^{MODEL_NAME.pattern}$"},
        openapi_examples={
            "by name": {"value": "mnist"},
            "one version": {"value": "mnist@pretrained"},
        },
    ),
]
Multi = Annotated[
    bool, BeforeValidator(_as_bool), Query(description="read several digits, line by line")
]
Explain = Annotated[
    bool,
    BeforeValidator(_as_bool),
    Query(description="show what the model saw, and what its answer rests on"),
]
Top = Annotated[
    int,
    Field(ge=1, le=100),
    BeforeValidator(_as_number),
    Query(description="how many of the most probable classes `top` lists"),
]
