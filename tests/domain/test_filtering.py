"""The filter leaves the k-core, whatever order its rules run in, and says what it removed."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from log_strategies import log_of, rating_logs, rows_of

from cineclub.domain.filtering import keep_core
from cineclub.domain.ratings import RatingLog


def core_by_hand(log: RatingLog, per_user: int, per_movie: int) -> set[tuple[int, int]]:
    """The k-core, films first, one row at a time."""
    rows = rows_of(log)
    while True:
        users, movies = Counter(user for user, _ in rows), Counter(movie for _, movie in rows)
        left = {(user, movie) for user, movie in rows if users[user] >= per_user and movies[movie] >= per_movie}
        if left == rows:
            return rows
        rows = left


@given(rating_logs(), st.integers(1, 4), st.integers(1, 4))
def test_the_filter_leaves_the_k_core(log: RatingLog, per_user: int, per_movie: int) -> None:
    """A row-by-row filter that takes both rules at once leaves the same ratings."""
    kept, _ = keep_core(log, per_user, per_movie)
    assert rows_of(kept) == core_by_hand(log, per_user, per_movie)


@given(rating_logs(), st.integers(1, 4), st.integers(1, 4))
def test_the_report_accounts_for_everything_that_left(log: RatingLog, per_user: int, per_movie: int) -> None:
    """What the passes removed is the difference between before and after."""
    kept, report = keep_core(log, per_user, per_movie)
    assert report.before.n_users - report.after.n_users == sum(one.n_users_removed for one in report.passes)
    assert report.before.n_movies - report.after.n_movies == sum(one.n_movies_removed for one in report.passes)
    assert len(log) - len(kept) == sum(one.n_ratings_removed for one in report.passes)
    assert all(one.n_ratings_removed for one in report.passes)


@given(rating_logs())
def test_filtering_twice_changes_nothing(log: RatingLog) -> None:
    """The core of a core is itself, in no pass."""
    once, _ = keep_core(log, 2, 2)
    twice, report = keep_core(once, 2, 2)
    assert rows_of(twice) == rows_of(once)
    assert report.passes == ()


def test_one_removal_can_pull_the_next() -> None:
    """A user who leaves takes a film along, which takes the next user along."""
    log = log_of([(1, 1, 4.0, 0), (2, 1, 4.0, 0), (2, 2, 4.0, 0), (3, 2, 4.0, 0), (3, 3, 4.0, 0), (4, 3, 4.0, 0)])
    kept, report = keep_core(log, 2, 2)
    assert len(kept) == 0
    assert len(report.passes) == 2
