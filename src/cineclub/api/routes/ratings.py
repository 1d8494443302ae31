"""POST /ratings/ and DELETE /ratings/…: writing and deleting ratings."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Path, Request, Response

from cineclub.api.access import WRITE, GuardedRoute
from cineclub.api.fields import MAX_ID_LENGTH, Text
from cineclub.api.requests import given_rating
from cineclub.api.routes.dependencies import Parts, failures
from cineclub.api.schemas import RatingRequest, RatingsRequest, RatingsWritten
from cineclub.domain.errors import InvalidInput
from cineclub.domain.recommend.records import NewRating

router = APIRouter(tags=["ratings"], route_class=GuardedRoute)

PathId = Annotated[Text, Path(json_schema_extra={"minLength": 1, "maxLength": MAX_ID_LENGTH})]


@router.post("/ratings/", responses=failures(404, 409, 422, 503), openapi_extra=WRITE)
async def rate(body: RatingsRequest, parts: Parts) -> RatingsWritten:
    """Write one rating, or a list of up to 1000, all or none; the next recommendations use them.

    A second rating of a film by the same user replaces the first.
    """
    ratings = [_new_rating(rating) for rating in (body if isinstance(body, list) else [body])]
    await parts.ratings.write(ratings)
    return RatingsWritten(written=len(ratings))


@router.delete(
    "/ratings/{user_id:text}/{movie_id:text}",
    status_code=204,
    responses=failures(404, 409, 422, 503),
    openapi_extra=WRITE,
)
async def take_back(user_id: PathId, movie_id: PathId, request: Request, parts: Parts) -> Response:
    """Delete one rating; the next recommendations ignore it. Write a slash inside an id as %2F."""
    user_id, movie_id = _ids_in(request)
    await parts.ratings.delete(user_id, movie_id)
    return Response(status_code=204)


def _ids_in(request: Request) -> tuple[str, str]:
    """Return both ids from the raw path: in a decoded path, a slash inside an id looks like the separator.

    Raises:
        InvalidInput: the path has more slashes than the separator, or an id is empty or too long.
    """
    ids = [unquote(part) for part in request.scope["raw_path"].decode("latin-1").split("/")[2:]]
    if len(ids) != len(("user", "film")) or not all(1 <= len(part) <= MAX_ID_LENGTH for part in ids):
        message = (
            f"the address must be /ratings/USER/FILM with ids of 1 to {MAX_ID_LENGTH} characters: "
            "write a slash inside an id as %2F"
        )
        raise InvalidInput(message)
    return ids[0], ids[1]


def _new_rating(rating: RatingRequest) -> NewRating:
    """Return a rating with ids as text."""
    given = given_rating(rating)
    return NewRating(str(rating.user_id), given.movie_id, given.rating, rating.rated_at, given.naming)
