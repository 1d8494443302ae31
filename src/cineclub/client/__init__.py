"""A typed client of the HTTP API, over the very schemas that the API answers with; see docs/client.md.

It needs httpx (``pip install 'cineclub[client]'``) and imports nothing of the server but its schemas.
"""

from cineclub.api.schemas import GivenRatingIn, RatingRequest
from cineclub.client.asynchronous import AsyncClient
from cineclub.client.calls import Wishes
from cineclub.client.errors import ServiceError
from cineclub.client.synchronous import Client

__all__ = ["AsyncClient", "Client", "GivenRatingIn", "RatingRequest", "ServiceError", "Wishes"]
