"""POST /predict/: the prediction flow over HTTP."""

import orjson
from fastapi import APIRouter, Request, Response

from cineclub.api.errors import JSON_MEDIA_TYPE
from cineclub.api.presentation import prediction_document
from cineclub.api.questions import question_of
from cineclub.api.routes.wiring import failures
from cineclub.api.schemas import PredictRequest, PredictResponse
from cineclub.serving import ApiParts

router = APIRouter(tags=["predictions"])


@router.post("/predict/", response_model=PredictResponse, responses=failures(422, 503))
async def predict(body: PredictRequest, request: Request) -> Response:
    """Recommend films to one user from what they have rated by now, or to somebody who says what they think of some.

    Films that were rated never come back unless `include_seen`. Somebody new gets the popular films. While the database
    is away the answer comes from memory and says `degraded`.
    """
    parts: ApiParts = request.app.state.parts
    response = await parts.predictor.predict(question_of(body))
    document = prediction_document(
        response, body.user_id, movie_ids_are_integers=bool(parts.live.movie_ids_are_integers)
    )
    return Response(orjson.dumps(document), media_type=JSON_MEDIA_TYPE)
