"""The prediction flow, in the order of its drawing: from a user id to a list of films with reasons."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.cold_start import Answer, Strategy, answer
from cineclub.domain.errors import NotEnoughData, StorageUnavailable
from cineclub.domain.ranking import rank_movies
from cineclub.domain.ratings import Movie, UserRatings
from cineclub.domain.recent_histories import RecentHistories
from cineclub.domain.recommender import PredictsStars
from cineclub.ports import (
    HistoryReader,
    LiveModel,
    LiveModels,
    PredictionLog,
    PredictionMetrics,
    PredictionRecord,
)

MAX_REASONS = 3


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


@dataclass(frozen=True, slots=True)
class PredictionResponse:
    """An answer and how it was made; without a model in production ``model_name`` and ``model_version`` are None."""

    recommendation_id: str
    user_id: str
    strategy: Strategy
    degraded: bool
    model_name: str | None
    model_version: int | None
    recommendations: tuple[Recommendation, ...]


class PredictionFlow:
    """Answers one person at a time from what they have rated by now."""

    def __init__(
        self,
        histories: HistoryReader,
        models: LiveModels,
        log: PredictionLog,
        metrics: PredictionMetrics,
        now: Callable[[], datetime],
    ) -> None:
        """Take what the steps read from and write to."""
        self._histories = histories
        self._models = models
        self._log = log
        self._metrics = metrics
        self._now = now
        self._recent = RecentHistories()

    async def predict(self, user_id: str, top_n: int) -> PredictionResponse:
        """Return the ``top_n`` films recommended to a user, an unknown one too.

        Raises:
            StorageUnavailable: PostgreSQL is away and neither a model nor a popular list is in memory.
            NotEnoughData: there is no model and no rating at all.
        """
        begun = perf_counter()
        user_ratings, is_degraded = await self._history_of(user_id)
        live = self.load_model()
        strategy: Strategy = "popular"
        if live is None:
            recommendations = await self._popular_without_model(user_ratings, top_n)
        else:
            reply = answer(live.fitted, user_ratings)
            strategy = reply.strategy
            listed = self.recommend_popular if self.is_new_user(reply) else self.rank_movies
            recommendations = listed(live, reply, top_n)
        name, version = (live.fitted.recipe.model, live.version) if live else (None, None)
        response = PredictionResponse(
            _recommendation_id(self._now()), user_id, strategy, is_degraded, name, version, recommendations
        )
        self.log_prediction(response, perf_counter() - begun)
        return response

    @staticmethod
    def is_new_user(reply: Answer) -> bool:
        """Say whether the model could use none of the user's ratings (``domain.cold_start`` decides)."""
        return reply.strategy == "popular"

    @staticmethod
    def recommend_popular(live: LiveModel, reply: Answer, top_n: int) -> tuple[Recommendation, ...]:
        """Return the most popular films that the user has not rated, by the damped popularity kept with the model."""
        return tuple(
            Recommendation(rank, _movie_at(live, index), float(reply.scores[index]))
            for rank, index in _ranked(reply, top_n)
        )

    def load_model(self) -> LiveModel | None:
        """Return the model in production as the poll has loaded it last; None before the first promotion."""
        return self._models.current()

    @staticmethod
    def rank_movies(live: LiveModel, reply: Answer, top_n: int) -> tuple[Recommendation, ...]:
        """Return the unseen films with the best scores, with stars where the model has them, and reasons."""
        ranked = _ranked(reply, top_n)
        stars = _predicted_stars(live, reply, np.array([index for _, index in ranked], np.int32))
        return tuple(
            Recommendation(
                rank, _movie_at(live, index), float(reply.scores[index]), stars[rank - 1], _reasons(live, reply, index)
            )
            for rank, index in ranked
        )

    def log_prediction(self, response: PredictionResponse, latency_seconds: float) -> None:
        """Put the answer into the log and the counts, neither of which ever waits."""
        self._metrics.count_answer(response.strategy, response.model_version, degraded=response.degraded)
        self._log.append(
            PredictionRecord(
                recommendation_id=response.recommendation_id,
                user_id=response.user_id,
                answered_at=self._now(),
                strategy=response.strategy,
                model_name=response.model_name,
                model_version=response.model_version,
                movie_ids=[one.movie.movie_id for one in response.recommendations],
                scores=[one.score for one in response.recommendations],
                latency_seconds=latency_seconds,
                degraded=response.degraded,
            )
        )

    async def _history_of(self, user_id: str) -> tuple[UserRatings, bool]:
        """Return what the user has rated, and whether that comes from memory because PostgreSQL is away."""
        try:
            user_ratings = await self._histories.ratings_of(user_id)
        except StorageUnavailable:
            return self._recent.recall(user_id) or UserRatings.none(), True
        self._recent.remember(user_id, user_ratings)
        return user_ratings, False

    async def _popular_without_model(self, user_ratings: UserRatings, top_n: int) -> tuple[Recommendation, ...]:
        """Return the most popular unseen films as the database counts them."""
        popular = await self._histories.popular(top_n + len(user_ratings))
        if not popular:
            message = "there are no ratings and no model yet: import ratings with `cineclub import`, then train"
            raise NotEnoughData(message)
        seen = set(user_ratings.movie_ids.tolist())
        unseen = [one for one in popular if one.movie.movie_id not in seen][:top_n]
        return tuple(Recommendation(rank, one.movie, one.score) for rank, one in enumerate(unseen, start=1))


def _ranked(reply: Answer, top_n: int) -> list[tuple[int, int]]:
    """Return rank, from 1, and vocabulary position of the best unseen films."""
    best = rank_movies(reply.scores, reply.history.movie_indices, top_n)
    return list(enumerate(best.tolist(), start=1))


def _movie_at(live: LiveModel, movie_index: int) -> Movie:
    """Return the texts of the film at a position of the vocabulary."""
    return live.movies[int(live.fitted.movie_ids[movie_index])]


def _predicted_stars(live: LiveModel, reply: Answer, movie_indices: NDArray[np.int32]) -> list[float | None]:
    """Return the expected rating of each film, None each where the model predicts none."""
    recommender = live.fitted.recommender
    if not isinstance(recommender, PredictsStars):
        return [None] * len(movie_indices)
    return [float(stars) for stars in recommender.predict_stars(reply.history, movie_indices)]


def _reasons(live: LiveModel, reply: Answer, movie_index: int) -> tuple[Reason, ...]:
    """Return the rated films that raised this film's score most, at most three, strongest first."""
    history = reply.history
    weights = live.fitted.recommender.explain(history, movie_index)
    strongest = np.argsort(-weights, kind="stable")[:MAX_REASONS]
    return tuple(
        Reason(_movie_at(live, int(history.movie_indices[row])), float(history.ratings[row]), float(weights[row]))
        for row in strongest
        if weights[row] > 0
    )


def _recommendation_id(now: datetime) -> str:
    """Return a UUID of version 7: it rises with time, so the log's primary key grows at its end."""
    milliseconds = int(now.timestamp() * 1000)
    bits = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
    return str(UUID(int=bits))
