"""Typed clients of the HTTP API with the API's own schemas; see docs/client.md.

They need httpx (``pip install 'cineclub[client]'``) and import nothing of the server but its schemas.
"""

from cineclub.api.movie_schemas import IdentifiedMovieIn, LabelIn, MovieIn
from cineclub.api.schemas import GivenRatingIn, RatingRequest
from cineclub.client.calls import RecommendationParams
from cineclub.client.clients import AsyncClient, Client
from cineclub.client.errors import ServiceError

__all__ = [
    "AsyncClient",
    "Client",
    "GivenRatingIn",
    "IdentifiedMovieIn",
    "LabelIn",
    "MovieIn",
    "RatingRequest",
    "RecommendationParams",
    "ServiceError",
]
