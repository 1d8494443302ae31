"""Splits: no model learns from the ratings that it is evaluated on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_strategies import log_of, rating_logs, rows_of

from cineclub.domain.errors import NotEnoughData
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.splitting import (
    EvaluationWindow,
    Split,
    rolling_cuts,
    split_at,
    split_users,
    time_cuts,
)
from cineclub.domain.ratings.log import RatingLog, RatingScale


def ratings_of(log: RatingLog, user: int) -> list[tuple[int, int]]:
    """Return one user's (time, film) pairs in canonical order."""
    mine = log.user_ids == user
    return list(zip(log.rated_at[mine].tolist(), log.movie_ids[mine].tolist(), strict=True))


def parts_of(window: EvaluationWindow, row: int) -> tuple[list[int], list[int]]:
    """Return the known and held-out films of the user of a row."""
    return window.known_of(row).movie_ids.tolist(), window.held_out_of(row).movie_ids.tolist()


@given(rating_logs(), st.integers(0, 13), st.integers(0, 13))
def test_a_time_split_follows_the_protocol_user_by_user(log: RatingLog, start: int, length: int) -> None:
    """Known are the earlier ratings and the first half of the window's, rounded down; the rest is held out."""
    end = start + length
    split = split_at(log, start, end)
    expected = {}
    n_without_history = 0
    for user in np.unique(log.user_ids).tolist():
        rated = ratings_of(log, user)
        before = [movie for time, movie in rated if time < start]
        inside = [movie for time, movie in rated if start <= time < end]
        known, held_out = before + inside[: len(inside) // 2], inside[len(inside) // 2 :]
        if held_out and known:
            expected[user] = (known, held_out)
        n_without_history += bool(held_out and not known)
    parts_by_user = {user: parts_of(split.window, row) for row, user in enumerate(split.window.user_ids.tolist())}
    assert parts_by_user == expected
    assert split.window.n_users_without_history == n_without_history
    assert rows_of(split.fit) == {(u, m) for u in np.unique(log.user_ids) for t, m in ratings_of(log, u) if t < start}


@given(rating_logs(min_size=1), st.sampled_from(["time", "random", "last-out"]), st.floats(0.05, 0.5))
def test_no_split_holds_out_what_it_lets_models_learn(log: RatingLog, kind: str, fraction: float) -> None:
    """Learned and known ratings are never held out, and every evaluated user has both parts."""
    split = split_users(log, kind, fraction, np.random.default_rng(0))
    held_out = rows_of(split.window.held_out)
    assert not held_out & rows_of(split.fit)
    assert not held_out & rows_of(split.window.known)
    assert (split.window.n_known > 0).all()
    assert (np.diff(split.window.held_out_starts) > 0).all()


@given(rating_logs(min_size=1), st.floats(0.05, 0.5))
def test_last_out_holds_out_the_last_of_each_user(log: RatingLog, fraction: float) -> None:
    """Each evaluated user's newest ceil(fraction x n) ratings are held out."""
    window = split_users(log, "last-out", fraction, np.random.default_rng(0)).window
    for row, user in enumerate(window.user_ids.tolist()):
        movies = [movie for _, movie in ratings_of(log, user)]
        n_held_out = math.ceil(fraction * len(movies))
        assert parts_of(window, row) == (movies[:-n_held_out], movies[-n_held_out:])


@given(rating_logs(min_size=1), st.integers(0, 5))
def test_a_random_split_depends_on_its_seed_alone(log: RatingLog, seed: int) -> None:
    """Equal seeds hold out the same ratings, in the requested number."""
    splits: list[Split] = [split_users(log, "random", 0.2, np.random.default_rng(seed)) for _ in range(2)]
    assert rows_of(splits[0].fit) == rows_of(splits[1].fit)
    assert len(splits[0].fit) == len(log) - math.ceil(0.2 * len(log))


def test_the_cuts_leave_the_newest_fractions() -> None:
    """Of 100 ratings at 100 times the last 10 are the test and the 10 before the validation window."""
    log = log_of([(1 + n // 10, n, 4.0, n) for n in range(100)])
    cuts = time_cuts(log, 0.1, 0.1)
    assert (cuts.validation_start, cuts.test_start) == (80, 90)


@pytest.mark.parametrize("n_ratings", [0, 50])
def test_ratings_without_times_cannot_be_cut(n_ratings: int) -> None:
    """Ratings without times, or all at one time, are refused with the next step."""
    log = log_of([(1, movie, 4.0, 7) for movie in range(n_ratings)])
    with pytest.raises(NotEnoughData, match="import"):
        time_cuts(log, 0.1, 0.1)


def test_rater_shares_count_learning_users_only() -> None:
    """The share of a film's raters is computed from the ratings before the cut."""
    log = log_of([(1, 1, 4.0, 0), (2, 1, 4.0, 0), (2, 2, 4.0, 1), (3, 2, 4.0, 9), (3, 3, 4.0, 9)])
    window = split_at(log, 5).window
    assert window.movie_ids.tolist() == [1, 2]
    assert window.rater_shares.tolist() == [1.0, 0.5]


def test_test_windows_are_added_until_enough_people_can_be_evaluated() -> None:
    """Test windows are added until enough users are evaluated or none is left, all after the validation window."""
    n_users, n_each = 60, 10
    times = np.arange(n_users * n_each, dtype=np.int64)
    log = RatingLog.from_columns(
        np.repeat(np.arange(n_users, dtype=np.int64), n_each),
        np.tile(np.arange(n_each, dtype=np.int64), n_users),
        np.full(len(times), 5, np.float32),
        times,
        RatingScale(0.5, 5.0),
    )
    cuts_by_wanted = {wanted: rolling_cuts(log, TrainingPlan(wanted_judged_users=wanted)) for wanted in (6, 12, 1000)}
    assert [len(cuts.test_starts) for cuts in cuts_by_wanted.values()] == [1, 2, 5]
    for cuts in cuts_by_wanted.values():
        assert cuts.validation_start < cuts.test_start
        assert cuts.windows[-1] == (540, None)
    assert [start for start, _ in cuts_by_wanted[1000].windows] == [300, 360, 420, 480, 540]
    assert len(rolling_cuts(log, TrainingPlan(test_fraction=0.3, wanted_judged_users=1000)).test_starts) == 1
