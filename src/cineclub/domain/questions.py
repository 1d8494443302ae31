"""What people ask: films for somebody with a history, or for somebody who says what they think of some films."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from cineclub.domain.choice import EVERYTHING, Choice
from cineclub.domain.errors import InvalidInput
from cineclub.domain.films import FilmIndex, imdb_number
from cineclub.domain.ratings import EPOCH, RatingScale, UserRatings
from cineclub.domain.recommender import FittedModel

Naming = Literal["movie_id", "imdb_id", "tmdb_id"]


@dataclass(frozen=True, slots=True)
class GivenRating:
    """A rating that comes with the question: the film's id, whose id that is, and the rating."""

    film_id: str
    rating: float
    naming: Naming = "movie_id"


@dataclass(frozen=True, slots=True)
class Question:
    """Films for whom, how many, and chosen how; without ``user_id`` for somebody of whom only ``ratings`` are known."""

    top_n: int = 10
    user_id: str | None = None
    ratings: Sequence[GivenRating] = ()
    choice: Choice = EVERYTHING


def position_of(films: FilmIndex, film_id: str, naming: Naming) -> int | None:
    """Return where a film stands in the vocabulary; None for one that it does not hold."""
    if naming == "imdb_id":
        return films.by_imdb_id.get(imdb_number(film_id))
    return (films.by_tmdb_id if naming == "tmdb_id" else films.by_external_id).get(film_id)


def unknown_films(films: FilmIndex, ratings: Sequence[GivenRating]) -> tuple[str, ...]:
    """Return the ids, as they were given, of the rated films that the vocabulary does not hold."""
    return tuple(one.film_id for one in ratings if position_of(films, one.film_id, one.naming) is None)


def given_ratings(fitted: FittedModel, films: FilmIndex, ratings: Sequence[GivenRating], now: datetime) -> UserRatings:
    """Return the ratings of films in the vocabulary as a history: given now, one after the other, the last counts.

    Raises:
        InvalidInput: a rating is off the scale of the data.
    """
    _check_scale(ratings, fitted.scale)
    last: dict[int, float] = {}
    for one in ratings:
        position = position_of(films, one.film_id, one.naming)
        if position is not None:
            last.pop(position, None)
            last[position] = one.rating
    begun = int((now - EPOCH).total_seconds() * 1_000_000)
    return UserRatings(
        fitted.movie_ids[list(last)], np.array(list(last.values()), np.float32), begun + np.arange(len(last))
    )


def _check_scale(ratings: Sequence[GivenRating], scale: RatingScale) -> None:
    """Refuse ratings off the scale, naming the first."""
    on_scale = scale.holds(np.array([one.rating for one in ratings], np.float32))
    if not on_scale.all():
        at = int(np.argmin(on_scale))
        message = (
            f"ratings[{at}].rating {ratings[at].rating:g} is off the scale: "
            f"this catalogue's ratings go from {scale.lowest:g} to {scale.highest:g}"
        )
        raise InvalidInput(message)
