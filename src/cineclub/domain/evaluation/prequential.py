"""Prequential evaluation: a window is walked in the order of time (Vinagre, Jorge & Gama 2014).

Each judged rating is a row: its list is recommended from the history and the crowd's counts of that very moment, by a
model that was fitted before the window. Ratings of the same instant are unknown to each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.splitting import (
    EvaluationWindow,
    Split,
    SplitKind,
    split_users,
    start_of_newest,
)
from cineclub.domain.ratings.crowd import CrowdWindow, positions_in
from cineclub.domain.ratings.log import RatingLog, RatingScale, UserRatings
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from cineclub.domain.recommend.context import Context, contexts_at


@dataclass(frozen=True, slots=True)
class SampleSize:
    """The most users of a window, the most judged ratings of one of them, and of all together."""

    users: int
    ratings_per_user: int
    ratings: int


@dataclass(frozen=True, slots=True)
class PrequentialWindow:
    """Judged ratings in the order of time, each with the history before it.

    Attributes:
        log: all ratings of the window's users up to its end, in canonical order.
        rows: (n_rows,) position of each judged rating in ``log``.
        starts: (n_rows,) position of the first rating of its user.
        ends: (n_rows,) position after the user's last rating before the instant of the judged one.
        crowd: the likes of all users.
        movie_ids: (n_movies,) rising; the movies of the ratings to fit on.
        rater_shares: (n_movies,) the share of the users in the ratings to fit on who rated each of them.
        new_movie_ids: (n_new,) the movies that are first rated in the window, in the order of that time.
        new_since: (n_new,) that time, rising.
    """

    log: RatingLog
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    crowd: CrowdWindow
    movie_ids: NDArray[np.int64]
    rater_shares: NDArray[np.float64]
    new_movie_ids: NDArray[np.int64]
    new_since: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of judged ratings."""
        return len(self.rows)

    @property
    def scale(self) -> RatingScale:
        """The scale of the ratings."""
        return self.log.scale

    @property
    def user_ids(self) -> NDArray[np.int64]:
        """The user of each judged rating, shape (n_rows,)."""
        return self.log.user_ids[self.rows]

    @property
    def moments(self) -> NDArray[np.int64]:
        """The time of each judged rating, shape (n_rows,), rising, microseconds since 1970-01-01 UTC."""
        return self.log.rated_at[self.rows]

    @property
    def days(self) -> NDArray[np.int64]:
        """The UTC day of each judged rating, shape (n_rows,), in days since 1970-01-01."""
        return self.moments // MICROSECONDS_PER_DAY

    @property
    def held_out(self) -> RatingLog:
        """The judged ratings, in the order of time."""
        return self.log.take(self.rows)

    @property
    def held_out_starts(self) -> NDArray[np.int64]:
        """The start of each row's held-out ratings, shape (n_rows + 1,): each has one."""
        return np.arange(len(self) + 1)

    @property
    def known_parts(self) -> tuple[RatingLog, NDArray[np.int64], NDArray[np.int64]]:
        """A log, and where each row's history starts and ends in it, both (n_rows,)."""
        return self.log, self.starts, self.ends

    @property
    def n_known(self) -> NDArray[np.int64]:
        """The number of ratings before each judged one, shape (n_rows,)."""
        return self.ends - self.starts

    @property
    def n_users_without_history(self) -> int:
        """The number of users with a judged rating before which they had given none."""
        return len(np.unique(self.user_ids[self.n_known == 0]))

    @property
    def is_ranked(self) -> NDArray[np.bool_]:
        """Whether a list is evaluated for each row, shape (n_rows,): its movie was liked."""
        return self.log.ratings[self.rows] >= self.scale.relevance_threshold

    def user_ids_who_like(self) -> NDArray[np.int64]:
        """Return the users, rising, whose lists can be evaluated."""
        return np.unique(self.user_ids[self.is_ranked])

    def known_of(self, row: int) -> UserRatings:
        """Return the history before the judged rating at ``row``."""
        part = slice(self.starts[row], self.ends[row])
        return UserRatings(self.log.movie_ids[part], self.log.ratings[part], self.log.rated_at[part])

    def held_out_of(self, row: int) -> UserRatings:
        """Return the judged rating at ``row``."""
        part = self.rows[row : row + 1]
        return UserRatings(self.log.movie_ids[part], self.log.ratings[part], self.log.rated_at[part])

    def contexts_of(self, movie_ids: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[Context]:
        """Yield the contexts of some rows, (m,) rising, in the order of a vocabulary."""
        return contexts_at(self.crowd, self.moments[rows], movie_ids)

    def unrated_at(self, movie_ids: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield for some rows, (m,) rising, the positions in a vocabulary of the movies that nobody has rated yet.

        No list holds them: a movie of the vocabulary that is first rated later is one that people are about to rate.
        """
        positions, is_new = positions_in(movie_ids, self.new_movie_ids)
        _, was_rated = positions_in(self.movie_ids, movie_ids)
        was_rated[positions[is_new]] = True
        never, new, since = np.flatnonzero(~was_rated), positions[is_new], self.new_since[is_new]
        for n_rated in np.searchsorted(since, self.moments[rows]).tolist():
            yield np.concatenate((never, new[n_rated:]))

    def sampled(self, size: SampleSize, rng: np.random.Generator) -> "PrequentialWindow":
        """Return the window of a random sample of users, and of each user's ratings; itself if it is small enough.

        Where all ratings together are too many, the most of one user is lowered, so that every drawn user stays.
        """
        users, of_row = np.unique(self.user_ids, return_inverse=True)
        drawn = rng.permutation(len(users))[: size.users]
        counts = np.zeros(len(users), np.int64)
        counts[drawn] = np.bincount(of_row, minlength=len(users))[drawn]
        most = size.ratings_per_user
        while most > 1 and np.minimum(counts, most).sum() > size.ratings:
            most -= 1
        order = np.lexsort((rng.random(len(self)), of_row))
        first = np.concatenate(([0], np.cumsum(np.bincount(of_row, minlength=len(users)))))
        nth = np.arange(len(self)) - first[of_row[order]]
        selected = np.sort(order[(nth < most) & (counts[of_row[order]] > 0)])
        if len(selected) == len(self):
            return self
        return replace(self, rows=self.rows[selected], starts=self.starts[selected], ends=self.ends[selected])


Window = EvaluationWindow | PrequentialWindow


@dataclass(frozen=True, slots=True)
class PrequentialSplit:
    """The ratings to fit on, and the window to walk."""

    fit: RatingLog
    window: PrequentialWindow


AnySplit = Split | PrequentialSplit


def walk_from(log: RatingLog, start: int, end: int | None = None) -> PrequentialSplit:
    """Return the split with the ratings before ``start`` to fit on and the window ``start`` <= time < ``end``.

    The catalogue of the ratings to fit on has the movies of the window too: a list may hold them from their first
    rating on, as the lists of a service do.
    """
    fit = log.before(start)
    is_in_window = log.rated_at >= start if end is None else (log.rated_at >= start) & (log.rated_at < end)
    is_of_window = np.isin(log.user_ids, np.unique(log.user_ids[is_in_window]))
    if end is not None:
        is_of_window &= log.rated_at < end
    ratings = log.take(is_of_window)
    first, before = _history_bounds(ratings)
    rows = np.flatnonzero(ratings.rated_at >= start)
    rows = rows[np.argsort(ratings.rated_at[rows], kind="stable")]
    movie_ids, n_raters = np.unique(fit.movie_ids, return_counts=True)
    new_movie_ids, new_since = _first_rated(log, is_in_window, movie_ids)
    window = PrequentialWindow(
        log=ratings,
        rows=rows,
        starts=first[rows],
        ends=before[rows],
        crowd=CrowdWindow.of(log, start, end),
        movie_ids=movie_ids,
        rater_shares=n_raters / max(fit.n_users, 1),
        new_movie_ids=new_movie_ids,
        new_since=new_since,
    )
    return PrequentialSplit(fit, window)


def _first_rated(
    log: RatingLog, rows: NDArray[np.bool_], former: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the movies of some rows, (n,), that are not among ``former``, and their first time, in its order."""
    rows = rows & ~np.isin(log.movie_ids, former)
    order = np.lexsort((log.movie_ids[rows], log.rated_at[rows]))
    movie_ids, first = np.unique(log.movie_ids[rows][order], return_index=True)
    by_time = np.argsort(first)
    return movie_ids[by_time], log.rated_at[rows][order][first[by_time]]


def _history_bounds(log: RatingLog) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each row the positions of its user's first rating and of the first one of its instant, both (n,)."""
    rows = np.arange(len(log))
    is_other_user = np.diff(log.user_ids, prepend=-1) != 0
    is_other_instant = is_other_user | (np.diff(log.rated_at, prepend=-1) != 0)
    first = np.maximum.accumulate(np.where(is_other_user, rows, 0))
    return first, np.maximum.accumulate(np.where(is_other_instant, rows, 0))


def split_ratings(log: RatingLog, kind: SplitKind, test_fraction: float, rng: np.random.Generator) -> AnySplit:
    """Return the split of a kind; only ``random`` draws from ``rng``."""
    if kind == "prequential":
        return walk_from(log, start_of_newest(log, test_fraction))
    return split_users(log, kind, test_fraction, rng)
