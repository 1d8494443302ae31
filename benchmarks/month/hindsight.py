"""Lists that other models would have given to the same requests, with the histories as they were at that moment."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.month.scores import TOP_K, Requests, hits_of
from cineclub.domain.ratings.crowd import CrowdWindow
from cineclub.domain.ratings.log import RatingLog, RatingScale, UserRatings
from cineclub.domain.recommend.batch_ranking import NO_MOVIE, lists_of
from cineclub.domain.recommend.context import Context, contexts_at
from cineclub.domain.recommend.recommender import FittedModel, History, Recommender


@dataclass(frozen=True, slots=True)
class AcceptedRatings:
    """The imported ratings and those that the service accepted during the month, in order of time.

    Attributes:
        user_codes: (n,) the user.
        movie_codes: (n,) the rated movie.
        ratings: (n,) as the service received them.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
        request_indices: (n,) the number of answered requests before the rating's own; -1 for imported ratings.
    """

    user_codes: NDArray[np.int64]
    movie_codes: NDArray[np.int64]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    request_indices: NDArray[np.int64]


class Histories:
    """The history of each user, and the crowd's counts, at the moment of each request."""

    def __init__(
        self, accepted: AcceptedRatings, requests: Requests, movie_ids: NDArray[np.int64], scale: RatingScale
    ) -> None:
        """Take all ratings, all requests, the internal id of each movie, (n_movies,), by its code, and the scale."""
        self._moments = np.maximum.accumulate(requests.moments)
        log = RatingLog.from_columns(
            accepted.user_codes, movie_ids[accepted.movie_codes], accepted.ratings, accepted.rated_at, scale
        )
        self._crowd = CrowdWindow.of(log, int(self._moments[0]) if len(self._moments) else 0, None)
        order = np.lexsort((np.arange(len(accepted.user_codes)), accepted.user_codes))
        self._users = accepted.user_codes[order]
        self._rated_movie_ids = movie_ids[accepted.movie_codes[order]]
        self._ratings, self._rated_at = accepted.ratings[order], accepted.rated_at[order]
        self._request_indices = accepted.request_indices[order]
        self._requests = requests
        self._movie_ids = movie_ids

    def next_movie(self, request: int) -> int:
        """Return the internal id of the movie that the user rated after a request."""
        return int(self._movie_ids[self._requests.movie_codes[request]])

    def contexts_of(self, requests: NDArray[np.int64], movie_ids: NDArray[np.int64]) -> Iterator[Context]:
        """Yield the contexts of some requests, (n,) rising, in the order of a vocabulary."""
        return contexts_at(self._crowd, self._moments[requests], movie_ids)

    def before(self, request: int) -> UserRatings:
        """Return the ratings that the user had given before a request."""
        user = self._requests.user_codes[request]
        rows = slice(int(np.searchsorted(self._users, user)), int(np.searchsorted(self._users, user, side="right")))
        is_before = self._request_indices[rows] < request
        return UserRatings(
            self._rated_movie_ids[rows][is_before], self._ratings[rows][is_before], self._rated_at[rows][is_before]
        )


def ranks_of(fitted: FittedModel, histories: Histories, requests: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank, shape (n,), from 1, of the next movie in a model's list for each request; 0 if not in it."""
    known = [History.of(histories.before(int(request)), fitted.movie_ids) for request in requests]
    lists = lists_of(fitted, known, TOP_K, histories.contexts_of(requests, fitted.movie_ids))
    next_movies = np.array([histories.next_movie(int(request)) for request in requests], np.int64)
    movie_ids = np.where(lists == NO_MOVIE, NO_MOVIE, fitted.movie_ids[lists])
    is_next = movie_ids == next_movies[:, None]
    return np.where(is_next.any(axis=1), is_next.argmax(axis=1) + 1, 0)


def as_popular(
    fitted: FittedModel, movie_ids: NDArray[np.int64], popular: Callable[[NDArray[np.float32]], Recommender]
) -> FittedModel:
    """Return the popularity model of all movies, (n,) in any order, with the popularity of a model's training.

    It is 0 for movies that the model does not know. A trend follows the crowd's counts at each request instead, as it
    does in the service.
    """
    everything = np.union1d(movie_ids, fitted.movie_ids)
    popularity = np.zeros(len(everything), np.float32)
    popularity[np.searchsorted(everything, fitted.movie_ids)] = fitted.popularity
    return replace(fitted, recommender=popular(popularity), movie_ids=everything, popularity=popularity)


def best_version_by_day(
    ranks: Mapping[int, NDArray[np.int64]], first_days: Mapping[int, int], days: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, int]]:
    """Return the ranks, shape (n,), of the version with the most hits of each day, and that version by day.

    Args:
        ranks: of each version, shape (n,), for the same requests.
        first_days: the first day on which each version was registered; it takes no part before.
        days: (n,) of each request.
    """
    best_ranks = np.zeros(len(days), np.int64)
    versions: dict[int, int] = {}
    for day in np.unique(days).tolist():
        rows = days == day
        registered = [version for version in ranks if first_days[version] <= day]
        best = max(registered, key=lambda version: (hits_of(ranks[version][rows]).mean(), -version))
        best_ranks[rows], versions[day] = ranks[best][rows], best
    return best_ranks, versions
