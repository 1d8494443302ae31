"""POST /predict/: the prediction flow over HTTP."""

from collections.abc import AsyncIterator

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from cineclub.api.access import READ, GuardedRoute
from cineclub.api.errors import JSON_MEDIA_TYPE
from cineclub.api.presentation import prediction_document, recommendation_documents
from cineclub.api.requests import recommendation_request, recommendation_requests
from cineclub.api.routes.dependencies import failures
from cineclub.api.schemas import BatchRequest, BatchResponse, PredictRequest, PredictResponse
from cineclub.bootstrap.parts import ApiParts
from cineclub.domain.recommend.recommendations import PredictionResponse

router = APIRouter(tags=["predictions"], route_class=GuardedRoute)

PIECE_BYTES = 32_768


@router.post("/predict/", response_model=PredictResponse, responses=failures(422, 503), openapi_extra=READ)
async def predict(body: PredictRequest, request: Request) -> Response:
    """Recommend films for the ratings of a user, or for the ratings in the request.

    Rated films are left out unless `include_seen`. New users get the popular films. While the database is unavailable,
    recommendations come from memory and are marked `degraded`.
    """
    parts: ApiParts = request.app.state.parts
    response = await parts.predictor.predict(recommendation_request(body))
    movies = request.app.state.rendered.of(
        response.recommendation_list, integers=bool(parts.live.movie_ids_are_integers)
    )
    document = prediction_document(response, body.user_id, movies)
    return Response(orjson.dumps(document), media_type=JSON_MEDIA_TYPE)


@router.post("/predict/batch", response_model=BatchResponse, responses=failures(422, 503), openapi_extra=READ)
async def predict_batch(body: BatchRequest, request: Request) -> Response:
    """Recommend films to up to 1000 users at once, for example for a newsletter; the lists are not logged."""
    parts: ApiParts = request.app.state.parts
    responses = parts.predictor.predict_many(recommendation_requests(body))
    first = await anext(responses)  # an error that the request causes comes with the first
    pieces = _batch_pieces(body, first, responses, integers=bool(parts.live.movie_ids_are_integers))
    return StreamingResponse(pieces, media_type=JSON_MEDIA_TYPE)


async def _batch_pieces(
    body: BatchRequest,
    first: PredictionResponse,
    others: AsyncIterator[PredictionResponse],
    *,
    integers: bool,
) -> AsyncIterator[bytes]:
    """Yield the JSON of a batch, each list when it is made; a client that reads slowly holds no more than a piece."""
    piece = bytearray(b'{"answers":[')
    for at, user_id in enumerate(body.user_ids):
        response = await anext(others) if at else first
        movies = recommendation_documents(response.recommendation_list, integers=integers)
        piece += b"," if at else b""
        piece += orjson.dumps(prediction_document(response, user_id, movies))
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece + b"]}")
