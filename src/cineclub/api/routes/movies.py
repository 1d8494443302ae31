"""/movies/ and /users/: the catalogue, and the ratings and the erasure of users."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from cineclub.api.access import ADMIN, READ, WRITE, GuardedRoute
from cineclub.api.fields import MAX_ID_LENGTH, Genre, Text
from cineclub.api.filters import with_filters
from cineclub.api.movie_schemas import MovieDetailOut, MovieIn, MoviesIn, MoviesOut, MoviesWritten, PopularOut
from cineclub.api.presentation import RATING_DIGITS, movie_detail_document, movie_document, scored_document
from cineclub.api.requests import filters_of, new_movie
from cineclub.api.routes.dependencies import Parts, failures
from cineclub.api.schemas import ErasedOut, SimilarOut, UserRatingsOut

router = APIRouter(tags=["movies"], route_class=GuardedRoute)

Limit = Annotated[int, Field(ge=1, le=100, description="number of films")]
LongLimit = Annotated[int, Query(ge=1, le=1000, description="number of ratings")]
PathId = Annotated[Text, Path(min_length=1, max_length=MAX_ID_LENGTH)]
IdsBecomeText = Annotated[
    bool, Query(description="an id that is no integer may be the first: responses write all ids as text from then on")
]


@with_filters
class SearchQuery(BaseModel):
    """The parameters of a search."""

    search: Annotated[Text, Field(min_length=1, max_length=200, description="a title, also with a few wrong letters")]
    available: bool | None = Field(
        default=None, description="only films that may be recommended, or only withdrawn ones; both unless given"
    )
    limit: Limit = 10


@with_filters
class PopularQuery(BaseModel):
    """The parameters of a list of popular films."""

    window_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="about the last days: the half-life of likes; all time unless given",
    )
    genre: Genre | None = Field(default=None, description="of this genre only")
    limit: Limit = 10


@with_filters
class SimilarQuery(BaseModel):
    """The parameters of a list of similar films."""

    limit: Limit = 10


@router.get("/movies/", response_model=MoviesOut, responses=failures(422, 503), openapi_extra=READ)
async def search(parts: Parts, query: Annotated[SearchQuery, Query()]) -> dict[str, Any]:
    """Find films by title, also with a few wrong letters; best match first. Withdrawn films are found too."""
    integers = bool(parts.live.movie_ids_are_integers)
    movies = await parts.browser.search(query.search, query.limit, filters_of(query))
    return {"movies": [movie_document(movie, integers=integers) for movie in movies]}


@router.get("/movies/popular", response_model=PopularOut, responses=failures(422, 503), openapi_extra=READ)
async def popular(parts: Parts, query: Annotated[PopularQuery, Query()]) -> dict[str, Any]:
    """Return the popular films, of all time or of the last days.

    Up to 90 days `window_days` is the half-life of likes: one that old counts half. They are counted every five
    minutes. For more days, and until likes were counted, ratings of so many days before the newest one count alike.
    """
    integers = bool(parts.live.movie_ids_are_integers)
    filters = filters_of(query)
    if query.genre is not None:
        filters = replace(filters, genres=(*filters.genres, query.genre))
    movies = await parts.browser.popular(query.window_days, filters, query.limit)
    return {"window_days": query.window_days, "movies": [scored_document(movie, integers=integers) for movie in movies]}


@router.get(
    "/movies/{movie_id:text}/similar", response_model=SimilarOut, responses=failures(404, 422, 503), openapi_extra=READ
)
async def similar(movie_id: PathId, parts: Parts, query: Annotated[SimilarQuery, Query()]) -> dict[str, Any]:
    """Return the recommendations for a history with this film alone, at the highest rating.

    For a film that the model has not learned, because too few people have rated it, they are the films most similar to
    it by genres, labels and year.
    """
    integers = bool(parts.live.movie_ids_are_integers)
    similar = await parts.browser.similar(movie_id, query.limit, filters_of(query))
    return {
        "movie": movie_document(similar.movie, integers=integers),
        "strategy": similar.strategy,
        "model": {"name": similar.model_name, "version": similar.model_version},
        "movies": [scored_document(movie, integers=integers) for movie in similar.movies],
    }


@router.get(
    "/movies/{movie_id:text}", response_model=MovieDetailOut, responses=failures(404, 422, 503), openapi_extra=READ
)
async def movie(movie_id: PathId, parts: Parts) -> dict[str, Any]:
    """Return one film."""
    movie = await parts.browser.movie(movie_id)
    return movie_detail_document(movie, integers=bool(parts.live.movie_ids_are_integers))


@router.post("/movies/", responses=failures(409, 422, 503), openapi_extra=WRITE)
async def add_movies(body: MoviesIn, parts: Parts, ids_become_text: IdsBecomeText = False) -> MoviesWritten:  # noqa: FBT002 - of the query
    """Add one film, or a list of up to 1000, or replace what is known of them; all or none.

    They are found by search, as similar films and in lists within a second, without a training. To send the same again
    changes nothing.
    """
    movies = [new_movie(str(movie.movie_id), movie) for movie in (body if isinstance(body, list) else [body])]
    written = await parts.movies.write(movies, ids_become_text=ids_become_text)
    parts.catalogue.note_changes(written.movie_ids if written.n_added or written.n_changed else ())
    return MoviesWritten(added=written.n_added, changed=written.n_changed, unchanged=written.n_unchanged)


@router.put(
    "/movies/{movie_id:movie}", response_model=MovieDetailOut, responses=failures(409, 422, 503), openapi_extra=WRITE
)
async def put_movie(
    movie_id: PathId,
    body: MovieIn,
    parts: Parts,
    ids_become_text: IdsBecomeText = False,  # noqa: FBT002 - of the query
) -> dict[str, Any]:
    """Add a film, or replace what is known of it, and return it; `available: false` withdraws it from all lists."""
    written = await parts.movies.write([new_movie(movie_id, body)], ids_become_text=ids_become_text)
    parts.catalogue.note_changes(written.movie_ids)
    movie = await parts.browser.stored(movie_id, written.movie_ids)
    return movie_detail_document(movie, integers=bool(parts.live.movie_ids_are_integers))


@router.delete("/movies/{movie_id:movie}", status_code=204, responses=failures(404, 409, 422, 503), openapi_extra=WRITE)
async def delete_movie(movie_id: PathId, parts: Parts) -> Response:
    """Delete a film that nobody has rated; withdraw a rated one with `available: false`."""
    parts.catalogue.note_changes([await parts.movies.delete(movie_id)])
    return Response(status_code=204)


@router.get(
    "/users/{user_id:text}/ratings", response_model=UserRatingsOut, responses=failures(422, 503), openapi_extra=READ
)
async def ratings_of(user_id: PathId, parts: Parts, limit: LongLimit = 100) -> dict[str, Any]:
    """Return the ratings of a user, newest first; an empty list for an unknown user."""
    integers = bool(parts.live.movie_ids_are_integers)
    rows = await parts.browser.ratings_of(user_id, limit)
    ratings = [
        {
            "movie": movie_document(row.movie, integers=integers),
            "rating": round(row.rating, RATING_DIGITS),
            "rated_at": row.rated_at,
        }
        for row in rows
    ]
    return {"user_id": user_id, "ratings": ratings}


@router.delete(
    "/users/{user_id:user}", response_model=ErasedOut, responses=failures(404, 409, 422, 503), openapi_extra=ADMIN
)
async def erase(user_id: PathId, parts: Parts) -> dict[str, Any]:
    """Erase a user: ratings and logged recommendations at once, snapshots within seconds; then queue a training.

    Write a slash inside an id as %2F. While a training runs that may have read the ratings, the new one is queued when
    that one has ended. Until its version serves, film weights learned from the ratings remain; backups from before hold
    the ratings as long as you keep them. Versions that learned from the ratings can no longer be reproduced. With
    ratings from your own views, erase the user in your own system first.
    """
    parts.predictor.forget(user_id)
    report = await run_in_threadpool(parts.erase_user, user_id)
    parts.predictor.forget(user_id)
    return {
        "n_ratings": report.erased.n_ratings,
        "n_predictions": report.erased.n_predictions,
        "n_owner_ratings": report.erased.n_owner_ratings,
        "training_id": report.training_id,
        "learned_version": report.erased.learned_version,
        "remains": "; ".join(report.remains()),
    }
