"""Which ratings a benchmark runs on, and how they are cut."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.files import demo_source, read_rating_log
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog, RatingScale
from cineclub.domain.splitting import JudgedWindow, split_last_out

REAL_RATINGS = Path(__file__).parents[2] / "shared" / "data" / "ml-latest-small"
TEST_FRACTION = 0.2
HALF_STARS = RatingScale(0.5, 5.0)


@dataclass(frozen=True, slots=True)
class RatingSet:
    """A log of ratings with the name that tables give it."""

    name: str
    log: RatingLog

    @property
    def extent(self) -> str:
        """How much it holds, as a sentence."""
        return f"{self.name}: {len(self.log):,} ratings of {self.log.n_users:,} users and {self.log.n_movies:,} films"


@dataclass(frozen=True, slots=True)
class ErrorSplit:
    """A random fifth held out, for rating errors.

    Attributes:
        ratings: what models learn from.
        users: (n,) row of each held-out rating in ``ratings``, -1 for a user that has none there.
        movies: (n,) column likewise.
        held_out: the held-out ratings.
        is_learned: (n_ratings of the log,) which of them models learn from.
    """

    ratings: RatingMatrix
    users: NDArray[np.int64]
    movies: NDArray[np.int64]
    held_out: RatingLog
    is_learned: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RankingSplit:
    """Each user's last fifth held out, for lists; ``learned`` is the log of ``ratings``."""

    ratings: RatingMatrix
    window: JudgedWindow
    learned: RatingLog


def rating_set(path: Path | None) -> RatingSet:
    """Return the ratings of a path that ``cineclub import`` reads; without one those at hand, else the demo's."""
    if path is None and not REAL_RATINGS.is_dir():
        imported = demo_source().read(HALF_STARS, lambda _fraction, _part: None)
        return RatingSet("demo ratings", imported.rows.to_log(HALF_STARS))
    chosen = path or REAL_RATINGS
    return RatingSet(chosen.name, read_rating_log(chosen))


def error_split(log: RatingLog, seed: int) -> ErrorSplit:
    """Return the split of a seed; a model is judged on every held-out rating, also on those of unknown films."""
    is_learned = np.ones(len(log), np.bool_)
    is_learned[np.random.default_rng(seed).permutation(len(log))[: int(TEST_FRACTION * len(log))]] = False
    ratings, held_out = RatingMatrix.from_log(log.take(is_learned)), log.take(~is_learned)
    users, movies = positions(ratings.user_ids, held_out.user_ids), positions(ratings.movie_ids, held_out.movie_ids)
    return ErrorSplit(ratings, users, movies, held_out, is_learned)


def ranking_split(log: RatingLog) -> RankingSplit:
    """Return the split that hides each user's last fifth."""
    split = split_last_out(log, TEST_FRACTION)
    return RankingSplit(RatingMatrix.from_log(split.fit), split.window, split.fit)


def positions(vocabulary: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each id stands in a rising vocabulary, -1 where it is unknown."""
    found = np.minimum(np.searchsorted(vocabulary, ids), len(vocabulary) - 1)
    return np.where(vocabulary[found] == ids, found, -1)
