"""The REST API: what may be asked, and who answers it."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.routing import Route

import digitflow
from digitflow.errors import ImageError, OutputError
from digitflow.web import guards, openapi
from digitflow.web.answers import (
    BatchPrediction,
    Health,
    Manifest,
    ModelList,
    Prediction,
    Stored,
)
from digitflow.web.describing import json_bytes
from digitflow.web.feedback import StoreFullError
from digitflow.web.metrics import CONTENT_TYPE, MeasuringMiddleware
from digitflow.web.options import ServerOptions
from digitflow.web.page_files import page_files
from digitflow.web.parameters import Explain, Model, Multi, Top
from digitflow.web.predicting import (
    ReadingOptions,
    milliseconds_since,
    name_model,
    predict_one,
    predict_one_of_several,
    store_corrected,
)
from digitflow.web.problems import ProblemError, answer_in_problems
from digitflow.web.served_models import list_served
from digitflow.web.service import Service
from digitflow.web.uploads import read_correction, read_image, read_images

_logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_router = APIRouter(generate_unique_id_function=lambda route: route.name)


def create_app(options: ServerOptions) -> FastAPI:
    """Return the app that serves the API and the page.

    Parameters
    ----------
    options : ServerOptions

    Raises
    ------
    UnknownModelError, BundleError, UsageError
        If the model to serve cannot be loaded.
    OutputError
        If the folder for corrected images cannot be made.
    """
    service = Service.start(options)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.warm_up()
        yield
        await service.close()

    # FastAPI's own pages of documentation would load scripts from elsewhere.
    app = FastAPI(
        title="digitflow",
        version=digitflow.__version__,
        docs_url=None,
        redoc_url=None,
        # Behind a proxy its redirects would lead to the wrong address.
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service, app.state.pool = service, service.pool
    app.include_router(_router)
    for path in page_files():
        app.add_api_route(path, _send_page_file, include_in_schema=False)
    app.openapi = openapi.describing(app, options)  # type: ignore[method-assign]
    answer_in_problems(app)
    guards.protect(app, options)
    paths = {route.path for route in (*app.routes, *_router.routes) if isinstance(route, Route)}
    app.add_middleware(MeasuringMiddleware, metrics=service.metrics, paths=paths)
    return app


@_router.post("/v1/predict", response_model=Prediction, openapi_extra=openapi.ONE_IMAGE)
async def predict(
    request: Request,
    multi: Multi = False,
    explain: Explain = False,
    model: Model = None,
    top: Top = 3,
) -> Response:
    """Read the digit, or the digits, of an image."""
    service = _service_of(request)
    upload = await read_image(request)
    served = await service.models.get(model or service.default_model)
    options = ReadingOptions(multi, explain, top)
    (said,) = await service.read(predict_one, served, [upload], options, request)
    return _json(_readable(said).content)


@_router.post(
    "/v1/predict/batch", response_model=BatchPrediction, openapi_extra=openapi.SEVERAL_IMAGES
)
async def predict_batch(
    request: Request, multi: Multi = False, model: Model = None, top: Top = 3
) -> Response:
    """Read several images; one that cannot be read is no problem of the others."""
    start = time.perf_counter()
    service = _service_of(request)
    uploads = await read_images(request, service.options.max_files)
    served = await service.models.get(model or service.default_model)
    options = ReadingOptions(multi, top=top)
    read = await service.read(predict_one_of_several, served, uploads, options, request)
    results = [
        json_bytes({"name": upload.name, "error": {"reason": said.reason, "message": said.message}})
        if isinstance(said, ImageError)
        else said.content
        for upload, said in zip(uploads, read, strict=True)
    ]
    head = {**name_model(served.bundle), "milliseconds": milliseconds_since(start)}
    return _json(b'%s,"results":[%s]}' % (json_bytes(head)[:-1], b",".join(results)))


@_router.get("/v1/model", response_model=Manifest)
async def show_model(request: Request, model: Model = None) -> Response:
    """Return a model's manifest, as it is in the bundle."""
    service = _service_of(request)
    bundle = (await service.models.get(model or service.default_model)).bundle
    # Last, so that no entry of the manifest takes its place.
    return _json(json_bytes({**bundle.manifest, "model_id": bundle.model_id}))


@_router.get("/v1/models", response_model=ModelList)
def show_models(request: Request) -> Response:
    """List the models of the registry."""
    service = _service_of(request)
    answer = {
        "default": service.default_model,
        "feedback": service.feedback is not None,
        "models": list_served(),
    }
    return _json(json_bytes(answer))


@_router.post(
    "/v1/feedback", response_model=Stored, status_code=201, openapi_extra=openapi.CORRECTED_IMAGE
)
async def store_feedback(request: Request, model: Model = None) -> Response:
    """Store an image under its right label, to learn from."""
    service = _service_of(request)
    if service.feedback is None:
        raise ProblemError(404, "this server stores no images; --feedback does", "feedback-off")
    served = await service.models.get(model or service.default_model)
    correction = await read_correction(request, served.bundle.class_names)
    call = partial(
        store_corrected, service.feedback, correction.upload, correction.label, correction.notes
    )
    try:
        (name,) = await service.pool.slow.run([call], request)
    except StoreFullError as error:
        raise ProblemError(507, "the store of corrected images is full", "store-full") from error
    except OutputError as error:
        _logger.error("%s", error)  # it tells of paths, which are nobody's business
        detail = "the image cannot be stored; the server's log says why"
        raise ProblemError(507, detail, "store") from error
    stored = {"stored": _readable(name)}
    service.metrics.feedback.inc()
    return _json(json_bytes(stored), 201)


@_router.get("/livez", response_model=Health)
async def tell_alive() -> Response:
    """Tell that the server runs."""
    return _json(b'{"status":"alive"}')


@_router.get("/readyz", response_model=Health)
async def tell_ready(request: Request) -> Response:
    """Tell that the server takes work."""
    _service_of(request).pool.check_open()
    return _json(b'{"status":"ready"}')


@_router.get("/metrics", response_class=Response)
def tell_metrics(request: Request) -> Response:
    """Return the server's figures, as Prometheus reads them."""
    return Response(_service_of(request).metrics.exposition(), media_type=CONTENT_TYPE)


async def _send_page_file(request: Request) -> Response:
    file = page_files()[request.scope["path"]]
    return Response(file.content, media_type=file.media_type)


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _readable(result: _Result | ImageError) -> _Result:
    """Return what was read of an image, if it could be."""
    if isinstance(result, ImageError):
        raise ProblemError(422, result.message, "image", result.reason)
    return result


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")
