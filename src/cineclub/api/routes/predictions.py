"""POST /predict/: the prediction flow over HTTP."""

import orjson
from fastapi import APIRouter, Request, Response

from cineclub.api.access import READ, GuardedRoute
from cineclub.api.errors import JSON_MEDIA_TYPE
from cineclub.api.presentation import prediction_document, recommendation_documents
from cineclub.api.questions import question_of, questions_of
from cineclub.api.routes.wiring import failures
from cineclub.api.schemas import BatchRequest, BatchResponse, PredictRequest, PredictResponse
from cineclub.serving import ApiParts

router = APIRouter(tags=["predictions"], route_class=GuardedRoute)


@router.post("/predict/", response_model=PredictResponse, responses=failures(422, 503), openapi_extra=READ)
async def predict(body: PredictRequest, request: Request) -> Response:
    """Recommend films to one user from what they have rated by now, or to somebody who says what they think of some.

    Films that were rated never come back unless `include_seen`. Somebody new gets the popular films. While the database
    is away the answer comes from memory and says `degraded`.
    """
    parts: ApiParts = request.app.state.parts
    response = await parts.predictor.predict(question_of(body))
    films = request.app.state.rendered.of(response.listed, integers=bool(parts.live.movie_ids_are_integers))
    document = prediction_document(response, body.user_id, films)
    return Response(orjson.dumps(document), media_type=JSON_MEDIA_TYPE)


@router.post("/predict/batch", response_model=BatchResponse, responses=failures(422, 503), openapi_extra=READ)
async def predict_batch(body: BatchRequest, request: Request) -> Response:
    """Recommend films to up to 1000 users at once, as for a newsletter: nothing is logged as shown."""
    parts: ApiParts = request.app.state.parts
    answers = parts.predictor.predict_many(questions_of(body))
    integers = bool(parts.live.movie_ids_are_integers)
    documents = [
        prediction_document(response, user_id, recommendation_documents(response.listed, integers=integers))
        for user_id, response in zip(body.user_ids, [one async for one in answers], strict=True)
    ]
    return Response(orjson.dumps({"answers": documents}), media_type=JSON_MEDIA_TYPE)
