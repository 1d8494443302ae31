"""POST /ratings/ and DELETE /ratings/…: ratings as they are given."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from cineclub.api.access import WRITE, GuardedRoute
from cineclub.api.fields import MAX_ID_LENGTH
from cineclub.api.questions import given_rating
from cineclub.api.routes.wiring import Parts, failures
from cineclub.api.schemas import RatingRequest, RatingsRequest, RatingsWritten
from cineclub.domain.errors import NotFound
from cineclub.ports import NewRating

router = APIRouter(tags=["ratings"], route_class=GuardedRoute)

PathId = Annotated[str, Path(min_length=1, max_length=MAX_ID_LENGTH)]


@router.post("/ratings/", responses=failures(404, 409, 422, 503), openapi_extra=WRITE)
async def rate(body: RatingsRequest, parts: Parts) -> RatingsWritten:
    """Write one rating, or a list of up to 1000, all or none; the next answer knows them.

    A second rating of a film by the same user replaces the first.
    """
    ratings = [_new_rating(one) for one in (body if isinstance(body, list) else [body])]
    await parts.ratings.write(ratings)
    return RatingsWritten(written=len(ratings))


@router.delete(
    "/ratings/{user_id:text}/{movie_id}",
    status_code=204,
    responses=failures(404, 409, 422, 503),
    openapi_extra=WRITE,
)
async def take_back(user_id: PathId, movie_id: PathId, parts: Parts) -> Response:
    """Take one rating back; the next answer has forgotten it."""
    if "\0" in user_id + movie_id:
        message = "ids hold no NUL characters: there is no such rating"
        raise NotFound(message)
    await parts.ratings.delete(user_id, movie_id)
    return Response(status_code=204)


def _new_rating(one: RatingRequest) -> NewRating:
    """Return a rating with ids as text."""
    film = given_rating(one)
    return NewRating(str(one.user_id), film.film_id, film.rating, one.rated_at, film.naming)
