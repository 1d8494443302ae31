"""The paired bootstrap and the interval of rows that share their luck: seed, symmetry and coverage."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cineclub.domain.evaluation import significance
from cineclub.domain.evaluation.significance import Rows, clustered_mean, effective_users, paired_bootstrap

differences = st.lists(st.floats(-1, 1), min_size=1, max_size=40).map(lambda values: np.array(values, np.float64))


@given(differences)
def test_swapping_the_models_mirrors_the_interval_exactly(values: np.ndarray) -> None:
    """The interval of the swapped models is the negative interval."""
    interval = paired_bootstrap(values, np.random.default_rng(3), 200)
    mirrored = paired_bootstrap(-values, np.random.default_rng(3), 200)
    assert (interval.low, interval.mean, interval.high) == (-mirrored.high, -mirrored.mean, -mirrored.low)


@given(differences)
def test_the_same_seed_gives_the_same_interval(values: np.ndarray) -> None:
    """The interval depends on the generator's state alone, with ordered ends."""
    first, second = (paired_bootstrap(values, np.random.default_rng(3), 200) for _ in range(2))
    assert first == second
    assert first.low <= first.high


def test_drawing_in_pieces_gives_the_same_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing in batches does not change the interval."""
    values = np.random.default_rng(0).normal(size=50)
    whole = paired_bootstrap(values, np.random.default_rng(1), 300)
    monkeypatch.setattr(significance, "MAX_DRAWS_AT_ONCE", 50 * 7)
    assert paired_bootstrap(values, np.random.default_rng(1), 300) == whole


def test_the_interval_covers_the_true_mean_about_as_often_as_its_confidence() -> None:
    """Of 300 samples with a true difference of 0.1, 91 to 98 % of the 95 % intervals contain it."""
    rng = np.random.default_rng(5)
    intervals = [paired_bootstrap(rng.normal(0.1, 1, size=80), rng, 400) for _ in range(300)]
    covered = np.mean([interval.low <= 0.1 <= interval.high for interval in intervals])
    assert 0.91 <= covered <= 0.98


def test_no_evaluated_users_give_no_interval() -> None:
    """Without users every figure is NaN."""
    assert np.isnan(paired_bootstrap(np.empty(0), np.random.default_rng(0)).low)


@st.composite
def walks(draw: st.DrawFn) -> tuple[np.ndarray, Rows]:
    """Draw differences of judged ratings of a few users, movies and days, some of them missing."""
    n_rows = draw(st.integers(1, 60))
    codes = [draw(arrays(np.int64, n_rows, elements=st.integers(0, most))) for most in (20, 8, 5)]
    values = draw(arrays(np.float64, n_rows, elements=st.floats(-1, 1) | st.just(np.nan)))
    return values, Rows(*codes)


@given(walks())
def test_the_clustered_interval_of_the_swapped_models_is_mirrored_exactly(walk: tuple[np.ndarray, Rows]) -> None:
    """Mean and ends change their sign, and nothing else changes."""
    values, rows = walk
    forward, back = (clustered_mean(signed, rows).interval(0.99) for signed in (values, -values))
    mirrored = (-back.mean, -back.high, -back.low)
    assert np.array_equal((forward.mean, forward.low, forward.high), mirrored, equal_nan=True)
    assert (forward.n_users, forward.n_movies, forward.n_days) == (back.n_users, back.n_movies, back.n_days)


@given(walks(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_names_of_clusters_do_not_matter(
    walk: tuple[np.ndarray, Rows], random: Random
) -> None:
    """Rows in another order, with other ids, have the same interval."""
    values, rows = walk
    order = np.array(random.sample(range(len(values)), len(values)), int)
    renamed = Rows(90 - 7 * rows.user_ids[order], 5 + rows.movie_ids[order], -rows.days[order])
    first, second = clustered_mean(values, rows).interval(0.99), clustered_mean(values[order], renamed).interval(0.99)
    assert (first.mean, first.low, first.high) == pytest.approx(
        (second.mean, second.low, second.high), abs=1e-9, nan_ok=True
    )


@given(walk=walks(), confidence=st.sampled_from([0.8, 0.95, 0.99]), is_over_rows=st.booleans())
def test_the_interval_is_as_wide_as_the_widest_clustering(
    *, walk: tuple[np.ndarray, Rows], confidence: float, is_over_rows: bool
) -> None:
    """No clustering has a wider one, the mean lies in the middle, and one user, movie or day leaves it open."""
    mean_of_rows = clustered_mean(*walk, is_over_rows=is_over_rows)
    interval = mean_of_rows.interval(confidence)
    known = [spread.reach(confidence) for spread in mean_of_rows.spreads.values()]
    if not known:
        assert np.isnan(interval.mean)
        return
    assert interval.high - interval.mean == pytest.approx(max(known), abs=1e-12)
    assert interval.low <= interval.mean <= interval.high
    assert mean_of_rows.spreads[interval.clusters].reach(confidence) == max(known)
    assert np.isinf(interval.high) == (min(mean_of_rows.n_users, mean_of_rows.n_movies, mean_of_rows.n_days) < 2)


@given(walks())
def test_the_mean_is_that_of_users_and_its_variance_that_of_the_jackknife(walk: tuple[np.ndarray, Rows]) -> None:
    """The formula equals leaving out one movie, or one day, at a time from the weighted mean of the rows that stay."""
    values, rows = walk
    is_known = ~np.isnan(values)
    values, rows = values[is_known], rows.take(is_known)
    mean_of_rows = clustered_mean(values, rows)
    if not len(values):
        return
    by_user = [values[rows.user_ids == user].mean() for user in np.unique(rows.user_ids)]
    assert mean_of_rows.mean == pytest.approx(np.mean(by_user))
    weights = np.array([1 / np.sum(rows.user_ids == user) for user in rows.user_ids])
    for name, keys in (("users", rows.user_ids), ("movies", rows.movie_ids), ("days", rows.days)):
        groups = np.unique(keys)
        if len(groups) < 2:
            continue
        left = [keys != group for group in groups]
        means = np.array([(weights * values)[stays].sum() / weights[stays].sum() for stays in left])
        variance = (len(groups) - 1) / len(groups) * np.sum((means - mean_of_rows.mean) ** 2)
        assert mean_of_rows.spreads[name].variance == pytest.approx(variance, abs=1e-12)
        assert 1 <= mean_of_rows.spreads[name].freedom <= max(len(groups) - 1, 1)


def test_users_alone_have_the_interval_of_student() -> None:
    """If rows are users, the standard error is that of a mean, with the effective number of users for Student's t."""
    values = np.random.default_rng(0).normal(0.1, 1, 40)
    rows = Rows(np.arange(40), np.empty(0, int), np.empty(0, int))
    mean_of_rows = clustered_mean(values, rows)
    assert list(mean_of_rows.spreads) == ["users"]
    assert mean_of_rows.spreads["users"].variance == pytest.approx(values.var(ddof=1) / 40)
    assert mean_of_rows.spreads["users"].freedom == pytest.approx(effective_users(values - values.mean()))


@pytest.mark.parametrize(("n_days", "by_day"), [(2, 0.3), (3, 0.3), (15, 0.3), (15, 0.0)])
def test_the_interval_covers_where_films_and_days_share_their_luck(n_days: int, by_day: float) -> None:
    """Of 400 walks whose luck is shared by film and day 90 % cover the truth at 90 %, where people alone do not."""
    rng = np.random.default_rng(7)
    covered = {"all": 0, "users": 0}
    for _ in range(400):
        rows = Rows(np.repeat(np.arange(60), 3), rng.zipf(1.7, 180) % 40, rng.integers(0, n_days, 180))
        by_movie, by_this_day = rng.normal(0, 0.3, 40)[rows.movie_ids], rng.normal(0, by_day, n_days)[rows.days]
        mean_of_rows = clustered_mean(0.1 + by_movie + by_this_day + rng.normal(0, 0.3, 180), rows)
        covered["all"] += abs(mean_of_rows.mean - 0.1) <= mean_of_rows.reach(0.9)
        covered["users"] += abs(mean_of_rows.mean - 0.1) <= mean_of_rows.spreads["users"].reach(0.9)
    assert covered["all"] >= 0.87 * 400
    assert covered["users"] <= 0.6 * 400


@given(walks(), st.floats(1.5, 50))
def test_more_evidence_narrows_the_interval_until_it_excludes_the_bound(
    walk: tuple[np.ndarray, Rows], growth: float
) -> None:
    """The stated growth is enough, and clearly less is not."""
    mean_of_rows = clustered_mean(*walk)
    needed = mean_of_rows.growth_for_certainty(0.99)
    if not np.isfinite(needed):
        assert not mean_of_rows.mean > 0 or not np.isfinite(mean_of_rows.reach(0.99)) or mean_of_rows.mean < 1e-6
        return
    assert mean_of_rows.mean > mean_of_rows.reach(0.99, needed)
    assert mean_of_rows.reach(0.99, growth) <= mean_of_rows.reach(0.99)
    if needed > 1:
        assert mean_of_rows.mean <= mean_of_rows.reach(0.99, max(0.98 * needed, 1.0))


def test_rows_without_a_value_are_left_out() -> None:
    """Only NaN leaves nothing."""
    rows = Rows(np.arange(3), np.arange(3), np.arange(3))
    empty = clustered_mean(np.full(3, np.nan), rows)
    assert (empty.n_users, np.isnan(empty.interval(0.9).low)) == (0, True)
    part = clustered_mean(np.array([1.0, np.nan, 3.0]), rows)
    assert (part.mean, part.n_users, part.n_movies, part.n_days) == (2.0, 2, 2, 2)
