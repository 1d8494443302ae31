"""Requests for recommendations: for a user with a history, or with ratings in the request."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.log import EPOCH, RatingScale, UserRatings
from cineclub.domain.ratings.vocabulary import Vocabulary, imdb_number
from cineclub.domain.recommend.filters import NO_FILTERS, Filters

Naming = Literal["movie_id", "imdb_id", "tmdb_id"]


@dataclass(frozen=True, slots=True)
class GivenRating:
    """A rating of a request; ``naming`` is the system that the movie's id belongs to."""

    movie_id: str
    rating: float
    naming: Naming = "movie_id"


@dataclass(frozen=True, slots=True)
class RecommendationRequest:
    """A request for movies; without ``user_id`` only its ``ratings`` are known of the person.

    ``fresh`` is the share of the trend in the scores, 0 to 1 (``domain.recommend.trends``).
    """

    top_n: int = 10
    user_id: str | None = None
    ratings: Sequence[GivenRating] = ()
    filters: Filters = NO_FILTERS
    fresh: float = 0.0


def position_of(vocabulary: Vocabulary, movie_id: str, naming: Naming) -> int | None:
    """Return the position of a movie in the vocabulary; None for a movie that it does not hold."""
    if naming == "imdb_id":
        return vocabulary.by_imdb_id.get(imdb_number(movie_id))
    return (vocabulary.by_tmdb_id if naming == "tmdb_id" else vocabulary.by_external_id).get(movie_id)


def unknown_films(vocabulary: Vocabulary, n_own: int, ratings: Sequence[GivenRating]) -> tuple[str, ...]:
    """Return the ids, as they were given, of the rated movies that are not among the first ``n_own`` of a vocabulary.

    These are the model's own.
    """
    positions = (position_of(vocabulary, rating.movie_id, rating.naming) for rating in ratings)
    named = zip(ratings, positions, strict=True)
    return tuple(rating.movie_id for rating, position in named if position is None or position >= n_own)


def given_ratings(
    movie_ids: NDArray[np.int64],
    vocabulary: Vocabulary,
    scale: RatingScale,
    ratings: Sequence[GivenRating],
    now: datetime,
) -> UserRatings:
    """Return the given ratings of movies in the vocabulary as a history, a microsecond apart, beginning now.

    The last rating of a movie counts. ``movie_ids``, (n_movies,), are the internal ids of the vocabulary.

    Raises:
        InvalidInput: a rating is off the scale of the data.
    """
    _check_scale(ratings, scale)
    last: dict[int, float] = {}
    for rating in ratings:
        position = position_of(vocabulary, rating.movie_id, rating.naming)
        if position is not None:
            last.pop(position, None)
            last[position] = rating.rating
    first_rated_at = int((now - EPOCH).total_seconds() * 1_000_000)
    return UserRatings(
        movie_ids[list(last)], np.array(list(last.values()), np.float32), first_rated_at + np.arange(len(last))
    )


def _check_scale(ratings: Sequence[GivenRating], scale: RatingScale) -> None:
    """Raise ``InvalidInput`` for ratings off the scale, naming the first."""
    on_scale = scale.holds(np.array([rating.rating for rating in ratings], np.float32))
    if not on_scale.all():
        at = int(np.argmin(on_scale))
        message = (
            f"ratings[{at}].rating {ratings[at].rating:g} is off the scale: "
            f"this catalogue's ratings go from {scale.lowest:g} to {scale.highest:g}"
        )
        raise InvalidInput(message)
