"""The HTTP surface: `/predict`, `/health`, `/livez` and `/metrics`.

`/health` answers 503 until the model is loaded and is meant for readiness; `/livez` answers 200 as soon as the process
runs. Predictions run in a worker thread, so a slow model never keeps a probe waiting.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from modelserver.faults import FaultInjector
from modelserver.loading import ModelSlot
from modelserver.model import InputError
from modelserver.settings import Settings
from modelserver.telemetry import Telemetry, TelemetryMiddleware

MOST_FEATURES = 10_000


class Question(BaseModel):
    """Body of `POST /predict`: finite numbers, as many as the model has features, in its order."""

    model_config = ConfigDict(extra="forbid")

    features: list[Annotated[float, Field(strict=True, allow_inf_nan=False)]] = Field(max_length=MOST_FEATURES)


class Prediction(BaseModel):
    """Answer of `POST /predict`: the class, its probability (0 to 1) and the version that said so."""

    model_config = ConfigDict(protected_namespaces=())

    prediction: int
    probability: float
    model_version: str


class Health(BaseModel):
    """Answer of `GET /health`."""

    model_config = ConfigDict(protected_namespaces=())

    status: str
    model_loaded: bool
    version: str | None


def create_app(settings: Settings, die: Callable[[str], None], *, injector: FaultInjector | None = None) -> FastAPI:
    """Build the application. `die` is called with one sentence when the process has to end with 1."""
    telemetry = Telemetry()
    slot = ModelSlot(settings, die)
    faults = injector or FaultInjector(settings.faults)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_load(slot, telemetry))]
        if settings.faults.crash_after_seconds is not None:
            tasks.append(asyncio.create_task(_crash_later(settings.faults.crash_after_seconds, die)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(title="Model server", lifespan=lifespan)
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry, version=lambda: slot.version)
    app.add_exception_handler(RequestValidationError, _explain)
    _add_predict(app, slot, faults, die)
    _add_observation(app, slot, telemetry)
    return app


def _add_predict(app: FastAPI, slot: ModelSlot, faults: FaultInjector, die: Callable[[str], None]) -> None:
    @app.post("/predict")
    async def predict(question: Question) -> Prediction:
        if faults.uses_up():
            die("FAULT_CRASH_AFTER: the process has answered as many requests as it was given")
        if (model := slot.model) is None:
            raise HTTPException(503, "the model is not loaded yet", headers={"Retry-After": "1"})
        await faults.delay_or_fail()
        try:
            prediction, probability = await run_in_threadpool(model.predict, question.features)
        except InputError as error:
            raise HTTPException(422, str(error)) from error
        return Prediction(prediction=prediction, probability=probability, model_version=model.version)


def _add_observation(app: FastAPI, slot: ModelSlot, telemetry: Telemetry) -> None:
    @app.get("/health", responses={503: {"model": Health, "description": "The model is not loaded yet."}})
    async def health(response: Response) -> Health:
        loaded = slot.model is not None
        response.status_code = 200 if loaded else 503
        return Health(status="healthy" if loaded else "loading", model_loaded=loaded, version=slot.version)

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(telemetry.registry), media_type=CONTENT_TYPE_LATEST)


async def _load(slot: ModelSlot, telemetry: Telemetry) -> None:
    await slot.fill()
    if slot.model is not None:
        telemetry.loaded(slot.model.name, slot.model.version)


async def _crash_later(seconds: float, die: Callable[[str], None]) -> None:
    await asyncio.sleep(seconds)
    die(f"FAULT_CRASH_AFTER: {seconds:g} s are over")


async def _explain(_: Request, error: Exception) -> JSONResponse:
    # FastAPI's own answer repeats the input; a NaN in it cannot be written as JSON and would turn the 422 into a 500.
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    texts = [
        f"{'.'.join(str(part) for part in problem['loc'][1:]) or 'body'}: {problem['msg']}" for problem in problems
    ]
    return JSONResponse({"detail": "; ".join(texts[:5])}, status_code=422)
