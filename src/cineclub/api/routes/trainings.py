"""/training/: start, follow and cancel trainings; they run in the worker."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool

from cineclub.api.access import ADMIN, READ, GuardedRoute
from cineclub.api.presentation import training_document
from cineclub.api.routes.wiring import Parts, failures
from cineclub.api.schemas import TrainingOut, TrainingRequest, TrainingsOut
from cineclub.domain.errors import InvalidInput

router = APIRouter(tags=["training"], route_class=GuardedRoute)

Limit = Annotated[int, Query(ge=1, le=100, description="how many")]


@router.post(
    "/training/",
    status_code=202,
    response_model=TrainingOut,
    responses=failures(409, 422, 503),
    openapi_extra=ADMIN,
)
async def start_training(body: TrainingRequest, response: Response, parts: Parts) -> dict[str, Any]:
    """Queue a training and answer at once; `Location` says where to follow it.

    Only one training runs at a time: while one is queued or running the answer is 409 with its `training_id`.
    """
    options = _options(body, parts.model_names)
    training = await run_in_threadpool(parts.jobs.start, options, body.reason)
    response.headers["Location"] = f"/training/{training.training_id}"
    return training_document(training, with_report=True)


@router.get("/training/", response_model=TrainingsOut, responses=failures(422, 503), openapi_extra=READ)
async def list_trainings(parts: Parts, limit: Limit = 20) -> dict[str, Any]:
    """Return the newest trainings, without their reports."""
    trainings = await run_in_threadpool(parts.jobs.recent, limit)
    return {"trainings": [training_document(one, with_report=False) for one in trainings]}


@router.get("/training/{training_id}", response_model=TrainingOut, responses=failures(404, 503), openapi_extra=READ)
async def follow_training(training_id: str, parts: Parts) -> dict[str, Any]:
    """Return one training: its progress while it runs, its report once it has succeeded."""
    return training_document(await run_in_threadpool(parts.jobs.get, training_id), with_report=True)


@router.delete("/training/{training_id}", response_model=TrainingOut, responses=failures(404, 503), openapi_extra=ADMIN)
async def cancel_training(training_id: str, parts: Parts) -> dict[str, Any]:
    """Cancel a queued training at once, ask a running one to stop; a finished one stays as it is."""
    return training_document(await run_in_threadpool(parts.jobs.cancel, training_id), with_report=True)


def _options(body: TrainingRequest, model_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of a training; refuse models that there are not."""
    unknown = [name for name in body.models or [] if name not in model_names]
    if unknown:
        message = f"models: there is no model {unknown[0][:50]!r}; there are {', '.join(model_names)}"
        raise InvalidInput(message)
    return {"models": list(dict.fromkeys(body.models))} if body.models else {}
