"""Popular movies, ratings to write, and written movies."""

from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.request import Naming


@dataclass(frozen=True, slots=True)
class PopularMovie:
    """A movie with its damped popularity."""

    movie: Movie
    score: float


@dataclass(frozen=True, slots=True)
class NewRating:
    """A rating as a caller sends it; without ``rated_at`` it was given just now.

    ``naming`` is the system that ``movie_id`` belongs to.
    """

    user_id: str
    movie_id: str
    rating: float
    rated_at: datetime | None = None
    naming: Naming = "movie_id"


@dataclass(frozen=True, slots=True)
class KnownMovie:
    """A movie as it is stored, with its overview and the number of its ratings.

    ``ids_are_integers`` is whether responses write the ids of movies as numbers.
    """

    movie: Movie
    n_ratings: int
    ids_are_integers: bool


@dataclass(frozen=True, slots=True)
class WrittenMovies:
    """The counts of written movies, of which the unchanged ones were there already, and the internal ids of all."""

    n_added: int
    n_changed: int
    n_unchanged: int
    movie_ids: tuple[int, ...]
