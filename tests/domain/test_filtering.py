"""The filter of the rating log: the k-core, and the report of removals."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from log_strategies import log_of, rating_logs, rows_of

from cineclub.domain.ratings.filtering import keep_core
from cineclub.domain.ratings.log import RatingLog


def core_by_hand(log: RatingLog, per_user: int, per_movie: int) -> set[tuple[int, int]]:
    """Return the k-core, films first, row by row."""
    rows = rows_of(log)
    while True:
        users, movies = Counter(user for user, _ in rows), Counter(movie for _, movie in rows)
        left = {(user, movie) for user, movie in rows if users[user] >= per_user and movies[movie] >= per_movie}
        if left == rows:
            return rows
        rows = left


@given(rating_logs(), st.integers(1, 4), st.integers(1, 4))
def test_the_filter_leaves_the_k_core(log: RatingLog, per_user: int, per_movie: int) -> None:
    """The filter gives the same ratings as a row-by-row filter."""
    core, _ = keep_core(log, per_user, per_movie)
    assert rows_of(core) == core_by_hand(log, per_user, per_movie)


@given(rating_logs(), st.integers(1, 4), st.integers(1, 4))
def test_the_report_accounts_for_everything_that_left(log: RatingLog, per_user: int, per_movie: int) -> None:
    """The removals of the passes are the difference between before and after."""
    core, report = keep_core(log, per_user, per_movie)
    assert report.before.n_users - report.after.n_users == sum(removal.n_users_removed for removal in report.passes)
    assert report.before.n_movies - report.after.n_movies == sum(removal.n_movies_removed for removal in report.passes)
    assert len(log) - len(core) == sum(removal.n_ratings_removed for removal in report.passes)
    assert all(removal.n_ratings_removed for removal in report.passes)


@given(rating_logs())
def test_filtering_twice_changes_nothing(log: RatingLog) -> None:
    """Filtering the core again removes nothing, in no pass."""
    once, _ = keep_core(log, 2, 2)
    twice, report = keep_core(once, 2, 2)
    assert rows_of(twice) == rows_of(once)
    assert report.passes == ()


def test_one_removal_can_pull_the_next() -> None:
    """Removing a user removes a film, which removes the next user."""
    log = log_of([(1, 1, 4.0, 0), (2, 1, 4.0, 0), (2, 2, 4.0, 0), (3, 2, 4.0, 0), (3, 3, 4.0, 0), (4, 3, 4.0, 0)])
    core, report = keep_core(log, 2, 2)
    assert len(core) == 0
    assert len(report.passes) == 2
