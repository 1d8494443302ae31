"""What other models would have listed, asked the same questions with the histories as they were at that moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.batch_ranking import NO_MOVIE, lists_of
from cineclub.domain.ratings import UserRatings
from cineclub.domain.recommender import FittedModel, History, Recommender
from cineclub.domain.replay.scores import TOP_K, Asked, hits_of


@dataclass(frozen=True, slots=True)
class Given:
    """Every rating of the past and of the month that was taken, in order of time.

    Attributes:
        user_codes: (n,) who rated.
        movie_codes: (n,) what they rated.
        ratings: (n,) as they arrived.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
        questions: (n,) which question each followed; -1 for those of the past.
    """

    user_codes: NDArray[np.int64]
    movie_codes: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    questions: NDArray[np.int64]


class Histories:
    """What each person had rated when they asked."""

    def __init__(self, given: Given, asked: Asked, movie_ids: NDArray[np.int64]) -> None:
        """Take all ratings, all questions, and the internal id of each film, by its code."""
        order = np.lexsort((np.arange(len(given.user_codes)), given.user_codes))
        self._users = given.user_codes[order]
        self._movie_ids = movie_ids[given.movie_codes[order]]
        self._ratings, self._rated_at = given.ratings[order], given.rated_at[order]
        self._questions = given.questions[order]
        self._asked = asked
        self._film_ids = movie_ids

    def film_of(self, question: int) -> int:
        """Return the internal id of the film that was rated next."""
        return int(self._film_ids[self._asked.movie_codes[question]])

    def before(self, question: int) -> UserRatings:
        """Return what whoever asked had rated before."""
        user = self._asked.user_codes[question]
        rows = slice(int(np.searchsorted(self._users, user)), int(np.searchsorted(self._users, user, side="right")))
        is_before = self._questions[rows] < question
        return UserRatings(
            self._movie_ids[rows][is_before], self._ratings[rows][is_before], self._rated_at[rows][is_before]
        )


def ranks_of(fitted: FittedModel, histories: Histories, questions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place, from 1, at which a model would have listed each film; 0 where it would not have."""
    known = [History.of(histories.before(int(one)), fitted.movie_ids) for one in questions]
    lists = lists_of(fitted, known, TOP_K)
    films = np.array([histories.film_of(int(one)) for one in questions], np.int64)
    listed = np.where(lists == NO_MOVIE, NO_MOVIE, fitted.movie_ids[lists])
    found = listed == films[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0)


def as_popular(fitted: FittedModel, popular: Callable[[NDArray[np.float32]], Recommender]) -> FittedModel:
    """Return the list of popular films as it was when a model learned, as a model of the same films."""
    return replace(fitted, recommender=popular(fitted.popularity))


def best_by_day(
    ranks: Mapping[int, NDArray[np.int64]], known_since: Mapping[int, int], days: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, int]]:
    """Return the ranks of the version that was best on each day, and which that was, by day.

    Args:
        ranks: of each version, shape (n,), for the same questions.
        known_since: the first day on which each version was registered; before, it counts for nothing.
        days: (n,) of each question.
    """
    best = np.zeros(len(days), np.int64)
    versions: dict[int, int] = {}
    for day in np.unique(days).tolist():
        rows = days == day
        there = [version for version in ranks if known_since[version] <= day]
        chosen = max(there, key=lambda version: (hits_of(ranks[version][rows]).mean(), -version))
        best[rows], versions[day] = ranks[chosen][rows], chosen
    return best, versions
