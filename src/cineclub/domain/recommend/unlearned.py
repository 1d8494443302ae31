"""Movies that a model has not learned, scored by the movies most similar to them, and their places in lists.

They are movies outside of the model's vocabulary, and movies in it without a rating. Each has the weighted mean of the
scores of the most similar learned movies (``domain.movies.similarity``), and the scores of the others do not change.
A list has the learned movies first. The last of ten places is for an unlearned movie where the taste of the user speaks
for one as much as for the best learned ones, and in one list of twelve for the best one, so that it can be found out
what people think of it.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.movies.similarity import NearestMovies
from cineclub.domain.ratings.crowd import CrowdCounts
from cineclub.domain.ratings.log import EPOCH, UserRatings
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from cineclub.domain.ratings.vocabulary import UNKNOWN_YEAR
from cineclub.domain.recommend.cold_start import MovieScores
from cineclub.domain.recommend.recommender import Explain
from cineclub.domain.recommend.trends import likes_of_days, standardized

PLACES = 10
"""The last of so many places of a personal list is for an unlearned movie."""

BEST_LEARNED, BEST_PART = 10, 0.25
"""It is given to a movie whose personal score is among the first so many of the learned ones, and among the first part
of them where there are few."""

EXPLORING_PART = 0.08
"""The part of the lists in which the best unlearned movie gets it whatever its score (``make bench-new-films``)."""

CONTENDERS = 10
NEWNESS_DAYS = 90.0
"""The half-life of the likes by which the weight of newness is learned."""

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True, eq=False)
class UnlearnedMovies:
    """The unlearned movies of a model, in a vocabulary that begins with its own.

    Attributes:
        positions: (m,) int64, rising.
        nearest: the learned movies most similar to them.
        in_catalogue: (m,) int64, their positions in the catalogue.
        has_similar: (m,) whether any learned movie is similar to them.
    """

    positions: NDArray[np.int64]
    nearest: NearestMovies
    in_catalogue: NDArray[np.int64]
    has_similar: NDArray[np.bool_]

    @classmethod
    def of(
        cls, positions: NDArray[np.int64], nearest: NearestMovies, in_catalogue: NDArray[np.int64]
    ) -> "UnlearnedMovies":
        """Return movies with those most similar to them."""
        return cls(positions, nearest, in_catalogue, nearest.is_similar_to_any)

    @classmethod
    def none(cls) -> "UnlearnedMovies":
        """Return no movies."""
        return cls.of(np.empty(0, np.int64), NearestMovies.none(), np.empty(0, np.int64))

    def extended(self, scores: MovieScores, n_movies: int, *, is_moved: bool) -> MovieScores:
        """Return the scores of a model for the whole vocabulary of ``n_movies``.

        Args:
            scores: of the movies of the model's own vocabulary.
            n_movies: at least as many.
            is_moved: whether ratings of a user moved the scores; nobody else gets a movie that nobody knows.
        """
        n_own = len(scores.scores)
        if n_movies == n_own and not len(self.positions):
            return scores
        own = _padded(scores.scores, n_movies, float(scores.scores.min(initial=np.inf)))
        crowd = (
            None if scores.crowd is None else _padded(scores.crowd, n_movies, float(scores.crowd.min(initial=np.inf)))
        )
        trend = None if scores.trend is None else _padded(scores.trend, n_movies, 0.0)
        is_estimated = np.zeros(n_movies, np.bool_)
        explain = self._explained(scores.explain, is_estimated, n_own, len(scores.history))
        if not is_moved:
            return replace(scores, scores=own, crowd=crowd, trend=trend, explain=explain)
        means = self.nearest.means(own)
        is_higher = self.has_similar & (means > own[self.positions])
        estimated = self.positions[is_higher]
        if trend is not None:
            trend[estimated] = 0
        own[estimated] = means[is_higher]
        is_estimated[estimated] = True
        return replace(scores, scores=own, crowd=crowd, trend=trend, explain=explain, is_estimated=is_estimated)

    def contenders(
        self, scores: MovieScores, excluded: NDArray[np.int64], newness: NDArray[np.float32], *, is_exploring: bool
    ) -> NDArray[np.int64]:
        """Return the unlearned movies that may get a place in a list, positions (n,), best first.

        They are the first ``CONTENDERS`` by their score and their newness, both in standard deviations.

        Args:
            scores: of the whole vocabulary, as ``extended`` returns them.
            excluded: positions of the movies that must not be listed.
            newness: (m,) of the unlearned movies, weighted.
            is_exploring: whether their personal scores may be below those of the best learned movies.
        """
        if scores.is_estimated is None:
            return np.empty(0, np.int64)
        may_be_listed = np.ones(len(scores.scores), np.bool_)
        may_be_listed[excluded] = False
        is_open = (may_be_listed & scores.is_estimated)[self.positions]
        values = self.values(scores.scores, is_open, newness)
        best = np.argpartition(-values, CONTENDERS)[:CONTENDERS] if len(values) > CONTENDERS else np.arange(len(values))
        rows = np.flatnonzero(is_open)[best[np.lexsort((best, -values[best]))]]
        if not is_exploring:
            personal = scores.scores if scores.crowd is None else scores.scores - scores.crowd
            may_be_listed[self.positions] = False
            rows = rows[_are_among_best(self.nearest.at(rows).means(personal), personal, may_be_listed)]
        return self.positions[rows]

    def learned_first(
        self, scores: MovieScores, excluded: NDArray[np.int64], top_n: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the scores to rank by, (n_movies,), and the positions to exclude, so that learned movies come first.

        Movies with an estimated score, and those of which nothing is known, are excluded where enough others are left
        for ``top_n`` places. Else they follow the others, those with an estimate first.
        """
        if scores.is_estimated is None:
            return scores.scores, excluded
        is_last = scores.is_estimated.copy()
        is_last[self.positions] |= scores.scores[self.positions] <= scores.scores.min()
        is_left = ~is_last
        is_left[excluded] = False
        if np.count_nonzero(is_left) >= top_n:
            return scores.scores, np.concatenate([excluded, np.flatnonzero(is_last)])
        lowered = scores.scores.copy()
        lowered[is_last] -= np.ptp(lowered) + 1
        return lowered, excluded

    def values(
        self, scores: NDArray[np.float32], is_open: NDArray[np.bool_], newness: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return the order of the unlearned movies of a mask, shape (n_open,): score and newness, standardized.

        Args:
            scores: (n_movies,) of the whole vocabulary.
            is_open: (m,) whether each may be listed.
            newness: (m,) weighted.
        """
        return standardized(scores[self.positions[is_open]]) + newness[is_open]

    def _explained(self, explain: Explain, is_estimated: NDArray[np.bool_], n_own: int, n_ratings: int) -> Explain:
        """Return the explanation of all movies: that of an estimated score is the mean of those it comes from."""

        def explained(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            estimated = is_estimated[movie_indices]
            is_own = (movie_indices < n_own) & ~estimated
            rows = np.searchsorted(self.positions, movie_indices[estimated])
            nearest, weights = self.nearest.positions[rows], self.nearest.weights[rows]
            wanted = np.union1d(movie_indices[is_own], nearest).astype(np.int32)
            known = explain(wanted)
            reasons = np.zeros((len(movie_indices), n_ratings), np.float32)
            reasons[is_own] = known[np.searchsorted(wanted, movie_indices[is_own])]
            reasons[estimated] = np.einsum("mk,mkn->mn", weights, known[np.searchsorted(wanted, nearest)])
            return reasons

        return explained


def placed(best: NDArray[np.int32], contenders: NDArray[np.int64], scores: MovieScores) -> NDArray[np.int32]:
    """Return a list, positions (k,), with a contender in the last of every ``PLACES`` places.

    Where such a part of the list has an unlearned movie already it stays.

    Args:
        best: the list, best first.
        contenders: (n,) positions, best first.
        scores: of the whole vocabulary.
    """
    contenders = contenders[~np.isin(contenders, best)]
    n_places = len(best) // PLACES
    if not n_places or not len(contenders) or scores.is_estimated is None:
        return best
    places = PLACES * np.arange(1, n_places + 1) - 1
    has_some = scores.is_estimated[best[: n_places * PLACES]].reshape(n_places, PLACES).any(axis=1)
    places = places[~has_some][: len(contenders)]
    changed = best.copy()
    changed[places] = contenders[: len(places)]
    return changed


def is_exploring(history: UserRatings, moment: int) -> bool:
    """Return whether the list of a user on the day of a moment explores: drawn from the ratings and the day."""
    day = (moment // MICROSECONDS_PER_DAY).to_bytes(8, "little", signed=True)
    drawn = zlib.crc32(history.movie_ids.astype("<i8").tobytes() + day)
    return drawn < EXPLORING_PART * 2**32


def _are_among_best(
    values: NDArray[np.float32], scores: NDArray[np.float32], is_learned: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return whether each value, (n,), is among the best scores, (n_movies,), of the learned movies of a mask.

    Most often the highest is not, which is quicker to see than the order of all.
    """
    n_best = min(BEST_LEARNED, int(np.ceil(BEST_PART * np.count_nonzero(is_learned))))
    if not len(values) or np.count_nonzero((scores > values.max()) & is_learned) >= n_best:
        return np.zeros(len(values), np.bool_)
    n_better = [np.count_nonzero((scores > value) & is_learned) for value in values]
    return np.array(n_better) < n_best


@dataclass(slots=True)
class LatestNewness:
    """The weighted newness of unlearned movies by the crowd's newest likes, made once for all requests.

    Newness is -log(1 + age in years), in standard deviations of the vocabulary. Its weight is its mean in the likes of
    the last days: if scores are about normal, choosing by them with a weight moves the mean by it.

    Attributes:
        years: (n_movies,) of the vocabulary.
        movie_ids: (n_movies,) their internal ids.
        positions: (m,) of the unlearned movies.
        latest: the counts that the newness was made of, with it.
    """

    years: NDArray[np.int16]
    movie_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    latest: tuple[CrowdCounts, NDArray[np.float32]] | None = None

    def of(self, crowd: CrowdCounts | None) -> NDArray[np.float32]:
        """Return the newness of the unlearned movies, shape (m,), weighted; zeros without counts."""
        if crowd is None:
            return np.zeros(len(self.positions), np.float32)
        latest = self.latest
        if latest is None or latest[0] is not crowd:
            likes = likes_of_days(crowd.aligned(self.movie_ids), NEWNESS_DAYS)
            year = EPOCH.year + crowd.moment / (MICROSECONDS_PER_DAY * DAYS_PER_YEAR)
            self.latest = latest = crowd, weighted_newness(self.years, likes, year)[self.positions]
        return latest[1]


def weighted_newness(years: NDArray[np.int16], likes: NDArray[np.float32], now: float) -> NDArray[np.float32]:
    """Return the newness of movies, shape (n_movies,), times its mean in the likes; 0 for a movie without a year.

    Args:
        years: (n_movies,) with ``UNKNOWN_YEAR``; movies of later years are as new as those of this one.
        likes: (n_movies,) decayed.
        now: the year, with its fraction.
    """
    newness = np.zeros(len(years), np.float32)
    is_known = years != UNKNOWN_YEAR
    newness[is_known] = standardized(-np.log1p(np.maximum(now - years[is_known].astype(np.float32), 0)))
    n_likes = float(likes[is_known].sum())
    return newness * np.float32(likes[is_known] @ newness[is_known] / n_likes if n_likes > 0 else 0.0)


def _padded(values: NDArray[np.float32], n_movies: int, rest: np.float32 | float) -> NDArray[np.float32]:
    """Return values, (n,), with ``rest`` behind them, (n_movies,)."""
    padded = np.full(n_movies, rest, np.float32)
    padded[: len(values)] = values
    return padded
