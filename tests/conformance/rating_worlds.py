"""Small random rating logs on many scales, ordinary and degenerate."""

import numpy as np
from hypothesis import strategies as st

from cineclub.domain.ratings.log import RatingLog, RatingScale, UserRatings
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models import catalogue

SCALES = [RatingScale(0.5, 5), RatingScale(1, 5), RatingScale(0, 10), RatingScale(-10, 10), RatingScale(0, 1)]
STEPS = 8
MOVIE_ID_STEP = 7
"""Film ids have gaps, so that an id is never its position."""


TOP = 2**63 - 1
"""The highest id there can be."""


def log_of(rows: list[tuple[int, int, float, int]], scale: RatingScale) -> RatingLog:
    """Return the log of rows (user, film, rating, time in microseconds)."""
    users, movies, ratings, times = zip(*rows, strict=True)
    return RatingLog.from_columns(
        np.array(users, np.int64),
        np.array(movies, np.int64),
        np.array(ratings, np.float32),
        np.array(times, np.int64),
        scale,
    )


@st.composite
def worlds(draw: st.DrawFn) -> RatingLog:
    """Draw a log of at most 7 users and 9 films on a scale, with many equal ratings and times."""
    scale = draw(st.sampled_from(SCALES))
    pairs = draw(st.sets(st.tuples(st.integers(1, 7), st.integers(1, 9)), min_size=1, max_size=40))
    steps = draw(st.lists(st.integers(0, STEPS), min_size=len(pairs), max_size=len(pairs)))
    times = draw(st.lists(st.integers(0, 9), min_size=len(pairs), max_size=len(pairs)))
    span = scale.highest - scale.lowest
    rows = [
        (user, movie * MOVIE_ID_STEP, scale.lowest + span * step / STEPS, time)
        for (user, movie), step, time in zip(sorted(pairs), steps, times, strict=True)
    ]
    return log_of(rows, scale)


def degenerate_worlds() -> dict[str, RatingLog]:
    """Return degenerate logs by name: those in which a divisor or a difference of a formula is zero."""
    stars = RatingScale(0.5, 5)
    everybody = [(user, movie) for user in range(6) for movie in range(8)]
    return {
        "a single rating": log_of([(1, 1, 5.0, 0)], stars),
        "one user": log_of([(1, movie, 1.0 + movie % 5, movie) for movie in range(6)], stars),
        "one film": log_of([(user, 1, 1.0 + user % 5, user) for user in range(6)], stars),
        "all ratings equal": log_of([(user, movie, 4.0, 0) for user, movie in everybody], stars),
        "all at the lowest": log_of([(user, movie, 0.5, 0) for user, movie in everybody], stars),
        "all at the highest": log_of([(user, movie, 5.0, 0) for user, movie in everybody], stars),
        "nobody shares a film": log_of([(movie // 3, movie, 5.0 - movie % 2, movie) for movie in range(18)], stars),
        "0 to 10": log_of([(user, movie, (user * movie) % 11, 0) for user, movie in everybody], RatingScale(0, 10)),
        "0 to 1000": log_of([(user, movie, 125.0 * (movie % 9), 0) for user, movie in everybody], RatingScale(0, 1000)),
        "ids near 2**63": log_of(
            [(TOP - user, TOP - movie, 5.0 - (user + movie) % 3, (user + 3 * movie) % 8) for user, movie in everybody],
            stars,
        ),
        "one day": log_of([(user, movie, 1.0 + (user + movie) % 5, 60 * movie) for user, movie in everybody], stars),
        "below zero": log_of([(user, movie, -1.0 - movie, 0) for user, movie in everybody], RatingScale(-9, -1)),
    }


def fitted_on(name: str, log: RatingLog, seed: int = 0) -> FittedModel:
    """Return a model of the catalogue with default hyperparameters, fitted on a log."""
    return catalogue.fit(
        catalogue.default_recipe(name), RatingMatrix.from_log(log), np.random.default_rng(seed), lambda _fraction: None
    )


def everybody_in(log: RatingLog) -> list[UserRatings]:
    """Return the ratings of each user of a log, and an empty history."""
    rows = [log.user_ids == user for user in np.unique(log.user_ids)]
    return [UserRatings(log.movie_ids[of], log.ratings[of], log.rated_at[of]) for of in rows] + [UserRatings.none()]
