"""Problems as RFC 9457 has them: every answer that is no success is one."""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

#: By status, what kind of problem it is; all that are ever answered.
TITLES = {
    400: "Bad request",
    401: "Not authorised",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request too slow",
    411: "Length required",
    413: "Request too large",
    415: "Unsupported media type",
    421: "Wrong host",
    422: "Unreadable image",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Not available now",
    507: "Store is full",
}


class ProblemDocument(BaseModel):
    """What went wrong, as in RFC 9457."""

    type: str = Field(description="`about:blank`, or `urn:digitflow:problem:` and a code")
    title: str = Field(description="the kind of problem")
    status: int = Field(description="the HTTP status, again")
    detail: str = Field(description="one line: what, why, what to do")
    instance: str | None = Field(None, description="the request's id, as in `X-Request-ID`")
    reason: str | None = Field(None, description="the scored table's reason, if it is the image's")


class ProblemError(Exception):
    """An answer that is no success.

    Parameters
    ----------
    status : int
        The HTTP status.
    detail : str
        One line a person can act on.
    code : str, optional
        Names the problem for programs.
    reason : str, optional
        As in the scored table, where an image is the problem.
    headers : mapping, optional
        More headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        code: str | None = None,
        reason: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.reason = reason
        self.headers = headers

    def response(self, request_id: str | None = None) -> Response:
        """Return the problem as an answer."""
        document: dict[str, Any] = {
            "type": f"urn:digitflow:problem:{self.code}" if self.code else "about:blank",
            "title": TITLES.get(self.status, "Problem"),
            "status": self.status,
            "detail": self.detail,
        }
        if request_id:
            document["instance"] = request_id
        if self.reason:
            document["reason"] = self.reason
        content = json.dumps(document, ensure_ascii=False).encode()
        return Response(content, self.status, self.headers, MEDIA_TYPE)


def request_id_of(request: Request) -> str | None:
    """Return the id that a request was given (`answering`)."""
    return request.scope.get("state", {}).get("request_id")


def answer_in_problems(app: FastAPI) -> None:
    """Make what the framework refuses a problem document too."""
    kinds: dict[type[Exception], Callable[[Any], ProblemError]] = {
        ProblemError: lambda error: error,
        HTTPException: _problem_of_framework,
        RequestValidationError: _problem_of_parameter,
        ClientDisconnect: lambda _: ProblemError(400, "the client left", "left"),
    }
    for kind, problem_of in kinds.items():
        app.add_exception_handler(kind, _handler(problem_of))


def _handler(
    problem_of: Callable[[Any], ProblemError],
) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error).response(request_id_of(request))

    return answer


def _problem_of_framework(error: HTTPException) -> ProblemError:
    detail = f"{error.detail}; GET /openapi.json tells what there is"
    return ProblemError(error.status_code, detail, headers=error.headers)


def _problem_of_parameter(error: RequestValidationError) -> ProblemError:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"][1:]))
    # How pydantic introduces the words of our own checks.
    what = first["msg"].removeprefix("Value error, ")
    return ProblemError(400, f"{name}: {what}", "parameter")
