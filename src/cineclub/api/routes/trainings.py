"""/training/: start, follow and cancel trainings; they run in the worker."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from cineclub.api.access import ADMIN, READ, GuardedRoute
from cineclub.api.fields import Text
from cineclub.api.routes.dependencies import Parts, failures
from cineclub.api.schemas import TrainingOut, TrainingRequest, TrainingsOut
from cineclub.domain.errors import InvalidInput
from cineclub.domain.training.records import Training

router = APIRouter(tags=["training"], route_class=GuardedRoute)

Limit = Annotated[int, Query(ge=1, le=100, description="number of trainings")]


@router.post(
    "/training/", status_code=202, response_model=TrainingOut, responses=failures(409, 422, 503), openapi_extra=ADMIN
)
async def start_training(body: TrainingRequest, response: Response, parts: Parts) -> Training:
    """Queue a training and return it at once; `Location` is the address to follow it.

    Only one training runs at a time: while one is queued or running, the response is 409 with its `training_id`.
    """
    options = _options(body, parts.model_names)
    training = await run_in_threadpool(parts.jobs.start, options, body.reason)
    response.headers["Location"] = f"/training/{training.training_id}"
    return training


@router.get("/training/", response_model=TrainingsOut, responses=failures(422, 503), openapi_extra=READ)
async def list_trainings(parts: Parts, limit: Limit = 20) -> dict[str, list[Training]]:
    """Return the newest trainings, without their reports."""
    trainings = await run_in_threadpool(parts.jobs.recent, limit)
    return {"trainings": [replace(training, report=None) for training in trainings]}


@router.get(
    "/training/{training_id}", response_model=TrainingOut, responses=failures(404, 422, 503), openapi_extra=READ
)
async def follow_training(training_id: Text, parts: Parts) -> Training:
    """Return one training, with its progress while it runs and its report once it has succeeded."""
    return await run_in_threadpool(parts.jobs.get, training_id)


@router.delete(
    "/training/{training_id}", response_model=TrainingOut, responses=failures(404, 422, 503), openapi_extra=ADMIN
)
async def cancel_training(training_id: Text, parts: Parts) -> Training:
    """Cancel a queued training at once, or a running one at its next step; a finished one stays as it is."""
    return await run_in_threadpool(parts.jobs.cancel, training_id)


def _options(body: TrainingRequest, model_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of a training; refuse unknown models."""
    unknown = [name for name in body.models or [] if name not in model_names]
    if unknown:
        message = f"models: there is no model {unknown[0][:50]!r}; there are {', '.join(model_names)}"
        raise InvalidInput(message)
    return {"models": list(dict.fromkeys(body.models))} if body.models else {}
