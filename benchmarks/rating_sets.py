"""The ratings of the benchmarks, and their splits."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.files import demo_source, read_all
from cineclub.domain.evaluation.splitting import EvaluationWindow, split_last_out
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix

REAL_RATINGS = Path(__file__).parents[2] / "shared" / "data" / "ml-latest-small"
TEST_FRACTION = 0.2
HALF_STARS = RatingScale(0.5, 5.0)


@dataclass(frozen=True, slots=True)
class RatingSet:
    """A rating log with its name for tables."""

    name: str
    log: RatingLog

    @property
    def extent(self) -> str:
        """The size of the log in words."""
        return f"{self.name}: {len(self.log):,} ratings of {self.log.n_users:,} users and {self.log.n_movies:,} films"


@dataclass(frozen=True, slots=True)
class ErrorSplit:
    """A random fifth held out, for rating errors.

    Attributes:
        ratings: the training matrix.
        users: (n,) row of each held-out rating in ``ratings``, -1 for a user that has none there.
        movies: (n,) column likewise.
        held_out: the held-out ratings.
        is_learned: (n_ratings of the log,) mask of the training ratings.
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
    window: EvaluationWindow
    learned: RatingLog


def rating_set(path: Path | None) -> RatingSet:
    """Return the ratings of a path that ``cineclub import`` reads; by default the local ones, else the demo's."""
    if path is None and not REAL_RATINGS.is_dir():
        imported = demo_source().read(HALF_STARS, lambda _fraction, _part: None)
        return RatingSet("demo ratings", imported.rows.to_log(HALF_STARS))
    chosen = path or REAL_RATINGS
    imported = read_all(chosen)
    if n_left_out := len(imported.rejected) + len(imported.superseded):
        print(f"{chosen}: {n_left_out:,} rows left out, bad or superseded by a later rating", file=sys.stderr)
    return RatingSet(chosen.name, imported.rows.to_log(imported.scale))


def error_split(log: RatingLog, seed: int) -> ErrorSplit:
    """Return the split of a seed; every held-out rating counts, those of unknown films too."""
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
    """Return the position of each id in a sorted vocabulary, -1 for an unknown one."""
    places = np.minimum(np.searchsorted(vocabulary, ids), len(vocabulary) - 1)
    return np.where(vocabulary[places] == ids, places, -1)
