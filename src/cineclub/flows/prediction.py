"""The prediction flow, in the order of its drawing: from a user id to a list of films with reasons."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.choice import EVERYTHING
from cineclub.domain.cold_start import Answer, answer
from cineclub.domain.diversity import diversify, n_contenders
from cineclub.domain.errors import NotEnoughData, StorageUnavailable
from cineclub.domain.films import FilmIndex
from cineclub.domain.questions import Question, given_ratings, position_of, unknown_films
from cineclub.domain.ranking import rank_movies
from cineclub.domain.ratings import UserRatings
from cineclub.domain.recent_answers import RecentAnswers
from cineclub.domain.recent_histories import RecentHistories
from cineclub.domain.recommendations import ListedFilms, PredictionResponse, Reason, Recommendation
from cineclub.ports import (
    AnswerObserver,
    HistoryReader,
    LiveModel,
    LiveModels,
    PredictionLog,
    PredictionMetrics,
    PredictionRecord,
)

MAX_REASONS = 3
N_POPULAR = 1000
"""Of how many popular films an answer is chosen while no model is there."""


class PredictionFlow:
    """Answers one person at a time from what they have rated by now."""

    def __init__(
        self,
        histories: HistoryReader,
        models: LiveModels,
        log: PredictionLog,
        metrics: PredictionMetrics,
        now: Callable[[], datetime],
        observer: AnswerObserver,
    ) -> None:
        """Take what the steps read from and write to, and who is told of every answer."""
        self._histories = histories
        self._models = models
        self._log = log
        self._metrics = metrics
        self._now = now
        self._observer = observer
        self._recent = RecentHistories()
        self._answers = RecentAnswers()
        self._n_forgotten = 0

    async def predict(self, question: Question) -> PredictionResponse:
        """Return the films recommended to somebody: a user, an unknown one too, or whoever gave the ratings.

        Raises:
            InvalidInput: a rating is off the scale, or no film has a genre that is asked for.
            StorageUnavailable: PostgreSQL is away and neither a model nor a popular list is in memory.
            NotEnoughData: there is no model and no rating at all.
        """
        begun = perf_counter()
        n_forgotten = self._n_forgotten
        known, is_degraded = await self._history_of(question.user_id)
        is_kept = n_forgotten == self._n_forgotten  # or it may be of somebody who was erased while it was read
        if question.user_id is not None and is_kept and not is_degraded:
            self._recent.remember(question.user_id, known)
        response = await self._answer(question, known, degraded=is_degraded, is_kept=is_kept)
        self.log_prediction(response, perf_counter() - begun)
        self._observer.offer(question, known, response)
        return response

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user in memory: neither what they rated nor answers on their way to the log."""
        self._n_forgotten += 1
        self._recent.forget(user_id)
        self._answers.forget(user_id)
        self._histories.forget(user_id)
        self._log.forget(user_id)
        self._observer.forget(user_id)

    async def predict_many(self, questions: Sequence[Question]) -> AsyncIterator[PredictionResponse]:
        """Yield the answers to many questions about users, in their order; other requests go on meanwhile.

        Nothing is logged: nobody was shown these films yet.

        Raises:
            InvalidInput: no film has a genre that is asked for.
            StorageUnavailable: PostgreSQL is away and neither a model nor a popular list is in memory.
            NotEnoughData: there is no model and no rating at all.
        """
        known, is_degraded = await self._histories_of([one.user_id for one in questions if one.user_id is not None])
        for question in questions:
            yield await self._answer(
                question, known.get(question.user_id or "", UserRatings.none()), degraded=is_degraded
            )
            await asyncio.sleep(0)

    async def _answer(
        self, question: Question, known: UserRatings, *, degraded: bool, is_kept: bool = False
    ) -> PredictionResponse:
        """Return the answer to a question, given what its user has rated; keep its films for the same question."""
        live = self.load_model()
        if live is None:
            listed = ListedFilms("popular", await self._popular_without_model(known, question))
        else:
            listed = self._listed_films(question, known, live, is_kept=is_kept)
        name, version = (live.fitted.recipe.model, live.version) if live else (None, None)
        return PredictionResponse(
            recommendation_id=_recommendation_id(self._now()),
            user_id=question.user_id,
            degraded=degraded,
            model_name=name,
            model_version=version,
            listed=listed,
            unknown_films=unknown_films(live.films, question.ratings) if live else (),
        )

    def _listed_films(self, question: Question, known: UserRatings, live: LiveModel, *, is_kept: bool) -> ListedFilms:
        """Return the films of the last answer where they would be the same again, or those that the model lists."""
        recalled = self._answers.recall(question, known, live.fitted)
        if recalled is not None:
            return recalled
        listed = self._listed_anew(question, known, live)
        if is_kept:
            self._answers.remember(question, known, live.fitted, listed)
        return listed

    def _listed_anew(self, question: Question, known: UserRatings, live: LiveModel) -> ListedFilms:
        """Return the films that the model lists."""
        reply = answer(live.fitted, self._ratings_for(question, known, live))
        choose = self.recommend_popular if self.is_new_user(reply) else self.rank_movies
        return ListedFilms(reply.strategy, choose(live, reply, question))

    @staticmethod
    def is_new_user(reply: Answer) -> bool:
        """Say whether the model could use none of the user's ratings (``domain.cold_start`` decides)."""
        return reply.strategy == "popular"

    @staticmethod
    def recommend_popular(live: LiveModel, reply: Answer, question: Question) -> tuple[Recommendation, ...]:
        """Return the most popular films that the user has not rated, by the damped popularity kept with the model."""
        return tuple(
            Recommendation(rank, live.movies[index], float(reply.scores[index]))
            for rank, index in _ranked(live, reply, question)
        )

    def load_model(self) -> LiveModel | None:
        """Return the model in production as the poll has loaded it last; None before the first promotion."""
        return self._models.current()

    @staticmethod
    def rank_movies(live: LiveModel, reply: Answer, question: Question) -> tuple[Recommendation, ...]:
        """Return the unseen films with the best scores, with stars where the model has them, and reasons."""
        ranked = _ranked(live, reply, question)
        movie_indices = np.array([index for _, index in ranked], np.int32)
        scores = reply.scores[movie_indices].tolist()
        stars = _predicted_stars(live, reply, movie_indices)
        reasons = _reasons(live, reply, movie_indices)
        return tuple(
            Recommendation(rank, live.movies[index], *of_film)
            for (rank, index), *of_film in zip(ranked, scores, stars, reasons, strict=True)
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

    async def _history_of(self, user_id: str | None) -> tuple[UserRatings, bool]:
        """Return what the user has rated, and whether that comes from memory because PostgreSQL is away."""
        if user_id is None:
            return UserRatings.none(), False
        try:
            return await self._histories.ratings_of(user_id), False
        except StorageUnavailable:
            return self._recent.recall(user_id) or UserRatings.none(), True

    async def _histories_of(self, user_ids: Sequence[str]) -> tuple[Mapping[str, UserRatings], bool]:
        """Return what users have rated, and whether that comes from memory because PostgreSQL is away."""
        try:
            return await self._histories.ratings_of_many(user_ids), False
        except StorageUnavailable:
            recalled = {user_id: self._recent.recall(user_id) for user_id in user_ids}
            return {user_id: ratings for user_id, ratings in recalled.items() if ratings is not None}, True

    def _ratings_for(self, question: Question, known: UserRatings, live: LiveModel) -> UserRatings:
        """Return what to answer from: what the user has rated, or what came with the question."""
        if question.user_id is not None:
            return known
        return given_ratings(live.fitted, live.films, question.ratings, self._now())

    async def _popular_without_model(self, known: UserRatings, question: Question) -> tuple[Recommendation, ...]:
        """Return the most popular films as the database counts them."""
        n_given = len(known) + len(question.ratings)
        is_chosen = question.choice != EVERYTHING
        popular = await self._histories.popular(question.top_n + n_given if not is_chosen else N_POPULAR)
        if not popular:
            message = "there are no ratings and no model yet: import ratings with `cineclub import`, then train"
            raise NotEnoughData(message)
        films = FilmIndex.of([one.movie for one in popular])
        rated = set(known.movie_ids.tolist())
        seen = [at for at, one in enumerate(popular) if one.movie.movie_id in rated]
        named = (position_of(films, one.film_id, one.naming) for one in question.ratings)
        seen += [at for at in named if at is not None]
        scores = np.array([one.score for one in popular], np.float32)
        listed = _listed(films, scores, np.array(seen, np.int32), question)
        return tuple(Recommendation(rank, popular[at].movie, popular[at].score) for rank, at in listed)


def listed_films(live: LiveModel, question: Question, known: UserRatings, now: datetime) -> list[int]:
    """Return the internal ids of the films that a model answers with, best first, for whoever compares models.

    Raises:
        InvalidInput: a rating is off the scale, or no film has a genre that is asked for.
    """
    is_user = question.user_id is not None
    reply = answer(live.fitted, known if is_user else given_ratings(live.fitted, live.films, question.ratings, now))
    return [int(live.fitted.movie_ids[index]) for _, index in _ranked(live, reply, question)]


def _ranked(live: LiveModel, reply: Answer, question: Question) -> list[tuple[int, int]]:
    """Return rank, from 1, and vocabulary position of the films to answer."""
    return _listed(live.films, reply.scores, reply.history.movie_indices, question)


def _listed(
    films: FilmIndex, scores: NDArray[np.float32], seen_indices: NDArray[np.int32], question: Question
) -> list[tuple[int, int]]:
    """Return rank, from 1, and position of the best films that may be answered, or of different ones among them."""
    top_n, diversity = question.top_n, question.choice.diversity
    left_out = question.choice.left_out(films, seen_indices)
    best = rank_movies(scores, left_out, n_contenders(top_n) if diversity else top_n)
    if diversity:
        best = best[diversify(scores[best], films.genres[:, best], diversity, top_n)]
    return list(enumerate(best.tolist(), start=1))


def _predicted_stars(live: LiveModel, reply: Answer, movie_indices: NDArray[np.int32]) -> list[float | None]:
    """Return the expected rating of each film, None each where the model predicts none."""
    if live.stars is None:
        return [None] * len(movie_indices)
    return [float(stars) for stars in live.stars.predict_stars(reply.history, movie_indices)]


def _reasons(live: LiveModel, reply: Answer, movie_indices: NDArray[np.int32]) -> list[tuple[Reason, ...]]:
    """Return for each film the rated films that raised its score most, at most three, strongest first."""
    history = reply.history
    if not len(movie_indices) or not len(history):
        return [()] * len(movie_indices)
    weights = reply.explain(movie_indices)
    rows, heaviest = _strongest(weights)
    rated, ratings = history.movie_indices[rows].tolist(), history.ratings[rows].tolist()
    return [
        tuple(
            Reason(live.movies[movie_index], rating, weight)
            for movie_index, rating, weight in zip(*of_movie, strict=True)
            if weight > 0
        )
        for of_movie in zip(rated, ratings, heaviest.tolist(), strict=True)
    ]


def _strongest(weights: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the positions of the largest of each row of weights, shape (m, n), and these, largest and first first.

    Both have the shape (m, at most ``MAX_REASONS``); the weights are used up.
    """
    n_wanted = min(MAX_REASONS, weights.shape[1])
    every_row = np.arange(len(weights))
    positions = np.empty((len(weights), n_wanted), np.int64)
    heaviest = np.empty((len(weights), n_wanted), np.float32)
    for nth in range(n_wanted):
        positions[:, nth] = weights.argmax(axis=1)
        heaviest[:, nth] = weights[every_row, positions[:, nth]]
        weights[every_row, positions[:, nth]] = -np.inf
    return positions, heaviest


def _recommendation_id(now: datetime) -> str:
    """Return a UUID of version 7: it rises with time, so the log's primary key grows at its end."""
    drawn = int.from_bytes(os.urandom(10))
    milliseconds = int(now.timestamp() * 1000)
    bits = milliseconds << 80 | 7 << 76 | (drawn >> 62 & 0xFFF) << 64 | 2 << 62 | drawn & (1 << 62) - 1
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
