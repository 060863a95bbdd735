"""The REST API: what may be asked, and who answers it."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import digitflow
from digitflow import settings
from digitflow.errors import DigitflowError, ImageError
from digitflow.images.reading import decode_image
from digitflow.models.bundle import open_bundle
from digitflow.models.registry import list_models
from digitflow.web import guards
from digitflow.web.answers import (
    BatchPrediction,
    Health,
    ModelList,
    Prediction,
    describe_image,
    json_bytes,
)
from digitflow.web.options import ServerOptions
from digitflow.web.page_files import page_files
from digitflow.web.problems import ProblemError, request_id_of
from digitflow.web.readers import ReaderPool
from digitflow.web.served_models import ServedModel, ServedModels
from digitflow.web.uploads import Upload, read_image, read_images

_logger = logging.getLogger(__name__)

ModelName = Annotated[str | None, Query(description="a name, or name@version, of GET /v1/models")]
Multi = Annotated[bool, Query(description="read several digits, line by line")]
Explain = Annotated[
    bool, Query(description="show what the model saw, and what its answer rests on")
]
Top = Annotated[int, Query(ge=1, le=100, description="how many classes `top` lists")]


def create_app(options: ServerOptions) -> FastAPI:
    """Return the app that serves the API and the page.

    Raises
    ------
    UnknownModelError, BundleError, UsageError
        If the model to serve cannot be loaded.
    """
    n_threads = options.workers or min(4, len(os.sched_getaffinity(0)))
    pool = ReaderPool(n_threads, options.queue)
    models = ServedModels(n_threads)
    models.load(options.model or settings.DEFAULT_MODEL)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(pool.close)
        await asyncio.to_thread(models.close)

    app = FastAPI(
        title="digitflow",
        version=digitflow.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.options, app.state.pool, app.state.models = options, pool, models
    _add_routes(app, options, pool, models)
    _answer_in_problems(app)
    guards.protect(app, options)
    return app


def _add_routes(
    app: FastAPI, options: ServerOptions, pool: ReaderPool, models: ServedModels
) -> None:
    default = options.model or settings.DEFAULT_MODEL

    @app.post("/v1/predict", response_model=Prediction)
    async def predict(
        request: Request,
        multi: Multi = False,
        explain: Explain = False,
        model: ModelName = None,
        top: Top = 3,
    ) -> Response:
        """Read the digit, or the digits, of an image."""
        upload = await read_image(request)
        served = await models.get(model or default)
        read = partial(_read, served, upload, multi, explain, top)
        (answer,) = await pool.run([read], partial(_until_gone, request))
        return Response(answer, media_type="application/json")

    @app.post("/v1/predict/batch", response_model=BatchPrediction)
    async def predict_batch(
        request: Request, multi: Multi = False, model: ModelName = None, top: Top = 3
    ) -> Response:
        """Read several images in one request; each is answered for itself."""
        start = time.perf_counter()
        uploads = await read_images(request, options.max_files)
        served = await models.get(model or default)
        reads = [partial(_read_of_batch, served, upload, multi, top) for upload in uploads]
        results = await pool.run(reads, partial(_until_gone, request))
        head = {**_named(served), "milliseconds": _milliseconds_since(start)}
        content = b'%s,"results":[%s]}' % (json_bytes(head)[:-1], b",".join(results))
        return Response(content, media_type="application/json")

    @app.get("/v1/model")
    async def show_model(model: ModelName = None) -> Response:
        """Return a model's manifest."""
        bundle = (await models.get(model or default)).bundle
        # Last, so that no entry of the manifest takes its place.
        answer = {**bundle.manifest, "model_id": bundle.model_id}
        return Response(json_bytes(answer), media_type="application/json")

    @app.get("/v1/models", response_model=ModelList)
    def show_models() -> dict[str, Any]:
        """List the models of the registry."""
        return {
            "default": default,
            "feedback": options.feedback is not None,
            "models": _registered_models(),
        }

    @app.get("/livez", response_model=Health)
    async def tell_alive() -> dict[str, str]:
        """Tell that the server runs."""
        return {"status": "alive"}

    @app.get("/readyz", response_model=Health)
    async def tell_ready() -> dict[str, str]:
        """Tell that the server takes work."""
        if pool.draining:
            raise ProblemError(
                503, "the server is stopping", "draining", headers={"Retry-After": "5"}
            )
        return {"status": "ready"}

    for path in page_files():
        app.add_api_route(path, _page_file, include_in_schema=False)


async def _page_file(request: Request) -> Response:
    file = page_files()[request.scope["path"]]
    return Response(file.content, media_type=file.media_type)


async def _until_gone(request: Request) -> None:
    """Wait until the client has left; its whole body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _read(served: ServedModel, upload: Upload, multi: bool, explain: bool, top: int) -> bytes:
    """Return what is said of an image, as JSON; runs in a thread of the pool."""
    start = time.perf_counter()
    try:
        answer = {**_named(served), **_describe(served, upload, multi, explain, top)}
    except ImageError as error:
        raise ProblemError(422, error.message, "image", error.reason) from error
    return json_bytes({**answer, "milliseconds": _milliseconds_since(start)})


def _read_of_batch(served: ServedModel, upload: Upload, multi: bool, top: int) -> bytes:
    """Do the same for one image of several: one that cannot be read is no problem of the others."""
    try:
        answer = _describe(served, upload, multi, False, top)
    except ImageError as error:
        answer = {"error": {"reason": error.reason, "message": error.message}}
    return json_bytes({"name": upload.name, **answer})


def _describe(
    served: ServedModel, upload: Upload, multi: bool, explain: bool, top: int
) -> dict[str, Any]:
    with served.reader() as reader:
        try:
            image = decode_image(upload.content, upload.name)
            readings = reader.read_all(image) if multi else [reader.read(image, explain)]
        except DigitflowError:
            raise
        except Exception as error:  # as scoring does: whatever a file provokes is told of the file
            _logger.exception("unexpected error of an image")
            what = " ".join(str(error).split())[:200]
            message = f"unexpected {type(error).__name__} ({what}); please report this file"
            raise ImageError("unreadable", message) from error
    return describe_image(image, readings, served.bundle.class_names, top)


def _named(served: ServedModel) -> dict[str, str]:
    bundle = served.bundle
    return {"model": bundle.name, "version": bundle.version, "model_id": bundle.model_id}


def _milliseconds_since(start: float) -> float:
    return round(1000 * (time.perf_counter() - start), 3)


def _registered_models() -> list[dict[str, Any]]:
    """Return what is told of each model of the registry; damaged ones are left out, and logged."""
    entries = []
    for model in list_models():
        try:
            bundle = open_bundle(model.folder)
        except DigitflowError as error:
            _logger.warning("not listed: %s", error)
            continue
        entries.append(
            {
                "name": model.name,
                "version": model.version,
                "model_id": bundle.model_id,
                "network": _network_of(bundle.manifest),
                "classes": list(bundle.class_names),
                "current": model.is_current,
            }
        )
    return entries


def _network_of(manifest: Mapping[str, Any]) -> str | None:
    name = manifest.get("network")
    return name if isinstance(name, str) else None


def _answer_in_problems(app: FastAPI) -> None:
    """Make every answer that is no success a problem document."""
    handlers: dict[type[Exception], Callable[[Any], ProblemError]] = {
        ProblemError: lambda error: error,
        HTTPException: _problem_of_starlette,
        RequestValidationError: _problem_of_parameters,
        ClientDisconnect: lambda _: ProblemError(
            400, "the client left before its request was there"
        ),
        Exception: lambda _: ProblemError(
            500, "something went wrong here; the server's log says what"
        ),
    }
    for kind, problem_of in handlers.items():
        app.add_exception_handler(kind, _handler(problem_of))


def _handler(
    problem_of: Callable[[Any], ProblemError],
) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error).response(request_id_of(request))

    return answer


def _problem_of_starlette(error: HTTPException) -> ProblemError:
    return ProblemError(error.status_code, str(error.detail), headers=error.headers)


def _problem_of_parameters(error: RequestValidationError) -> ProblemError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"][1:]))
    return ProblemError(400, f"{where}: {first['msg']}", "parameter")
