"""Answers: films with their scores and reasons, and how they were made."""

from dataclasses import dataclass

from cineclub.domain.cold_start import Strategy
from cineclub.domain.ratings import Movie


@dataclass(frozen=True, slots=True)
class Reason:
    """A film the user has rated, and by how much that rating raised the score of the recommended one."""

    movie: Movie
    your_rating: float
    weight: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One film of an answer; ``rank`` starts at 1, ``predicted_stars`` is None where the model has none."""

    rank: int
    movie: Movie
    score: float
    predicted_stars: float | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ListedFilms:
    """The films of an answer, and how they were chosen: an object of its own, which others may know it by."""

    strategy: Strategy
    recommendations: tuple[Recommendation, ...]


@dataclass(frozen=True, slots=True)
class PredictionResponse:
    """An answer and how it was made; without a model in production ``model_name`` and ``model_version`` are None.

    ``unknown_films`` are those of the question's ratings that the model has not learned yet.
    """

    recommendation_id: str
    user_id: str | None
    degraded: bool
    model_name: str | None
    model_version: int | None
    listed: ListedFilms
    unknown_films: tuple[str, ...] = ()

    @property
    def strategy(self) -> Strategy:
        """How the films were chosen."""
        return self.listed.strategy

    @property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """The films, best first."""
        return self.listed.recommendations
