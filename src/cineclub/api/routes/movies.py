"""/movies/ and /users/: the catalogue, and what somebody has rated."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.concurrency import run_in_threadpool

from cineclub.api.access import ADMIN, READ, GuardedRoute
from cineclub.api.fields import MAX_GENRE_LENGTH, MAX_ID_LENGTH
from cineclub.api.presentation import RATING_DIGITS, movie_document, scored_document
from cineclub.api.routes.wiring import Parts, failures
from cineclub.api.schemas import ErasedOut, MovieOut, MoviesOut, PopularOut, SimilarOut, UserRatingsOut
from cineclub.domain.choice import Choice
from cineclub.domain.errors import NotFound

REMAINS = (
    "weights of films that were learned from this user, until the queued training's version serves; "
    "backups that were made before"
)

router = APIRouter(tags=["movies"], route_class=GuardedRoute)

Limit = Annotated[int, Query(ge=1, le=100, description="how many")]
LongLimit = Annotated[int, Query(ge=1, le=1000, description="how many")]
Search = Annotated[str, Query(min_length=1, max_length=200, description="a title, or nearly")]
Window = Annotated[
    int | None, Query(ge=1, le=36_500, description="days before the newest rating; all time unless given")
]
OneGenre = Annotated[str | None, Query(min_length=1, max_length=MAX_GENRE_LENGTH, description="of this genre only")]
PathId = Annotated[str, Path(min_length=1, max_length=MAX_ID_LENGTH)]


@router.get("/movies/", response_model=MoviesOut, responses=failures(422, 503), openapi_extra=READ)
async def search(parts: Parts, search: Search, limit: Limit = 10) -> dict[str, Any]:
    """Find films by title, also with a few wrong letters; the best first."""
    integers = bool(parts.live.movie_ids_are_integers)
    found = await parts.browser.search(search, limit)
    return {"movies": [movie_document(one, integers=integers) for one in found]}


@router.get("/movies/popular", response_model=PopularOut, responses=failures(422, 503), openapi_extra=READ)
async def popular(
    parts: Parts, window_days: Window = None, genre: OneGenre = None, limit: Limit = 10
) -> dict[str, Any]:
    """Return the films that are rated most and best, of all time or of the last days; counted at most a minute ago."""
    integers = bool(parts.live.movie_ids_are_integers)
    found = await parts.browser.popular(window_days, Choice(genres=(genre,) if genre else ()), limit)
    return {"window_days": window_days, "movies": [scored_document(one, integers=integers) for one in found]}


@router.get(
    "/movies/{movie_id:text}/similar",
    response_model=SimilarOut,
    responses=failures(404, 422, 503),
    openapi_extra=READ,
)
async def similar(movie_id: PathId, parts: Parts, limit: Limit = 10) -> dict[str, Any]:
    """Return what the model recommends to somebody who has rated this film alone, as high as can be."""
    integers = bool(parts.live.movie_ids_are_integers)
    found = await parts.browser.similar(movie_id, limit)
    return {
        "movie": movie_document(found.movie, integers=integers),
        "strategy": found.strategy,
        "model": {"name": found.model_name, "version": found.model_version},
        "movies": [scored_document(one, integers=integers) for one in found.movies],
    }


@router.get("/movies/{movie_id:text}", response_model=MovieOut, responses=failures(404, 422, 503), openapi_extra=READ)
async def movie(movie_id: PathId, parts: Parts) -> dict[str, Any]:
    """Return one film."""
    return movie_document(await parts.browser.movie(movie_id), integers=bool(parts.live.movie_ids_are_integers))


@router.get(
    "/users/{user_id:text}/ratings",
    response_model=UserRatingsOut,
    responses=failures(422, 503),
    openapi_extra=READ,
)
async def ratings_of(user_id: PathId, parts: Parts, limit: LongLimit = 100) -> dict[str, Any]:
    """Return what a user has rated, newest first; an empty list for somebody unknown."""
    integers = bool(parts.live.movie_ids_are_integers)
    rows = await parts.browser.ratings_of(user_id, limit) if "\0" not in user_id else []
    ratings = [
        {
            "movie": movie_document(one.movie, integers=integers),
            "rating": round(one.rating, RATING_DIGITS),
            "rated_at": one.rated_at,
        }
        for one in rows
    ]
    return {"user_id": user_id, "ratings": ratings}


@router.delete(
    "/users/{user_id:user}", response_model=ErasedOut, responses=failures(404, 409, 422, 503), openapi_extra=ADMIN
)
async def erase(user_id: PathId, parts: Parts) -> dict[str, Any]:
    """Erase a user: ratings and logged answers at once, snapshots within seconds, and a training is queued.

    Until that training's version serves, the weights of films that were learned from them remain; backups that were
    made before hold them for as long as you keep those. Versions that learned from them cannot be reproduced any more.
    """
    if "\0" in user_id:
        message = "ids hold no NUL characters: there is no such user"
        raise NotFound(message)
    parts.predictor.forget(user_id)
    report = await run_in_threadpool(parts.erase_user, user_id)
    parts.predictor.forget(user_id)
    return {
        "n_ratings": report.n_ratings,
        "n_predictions": report.n_predictions,
        "training_id": report.training_id,
        "remains": REMAINS,
    }
