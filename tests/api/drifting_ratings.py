"""Ratings of the last half year, with a normal or a changed last week, and their baseline."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
from numpy.typing import NDArray

from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.domain.documents import to_document
from cineclub.domain.drift.statistics import baseline_of
from cineclub.domain.promotion.records import NewPromotion
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

N_USERS, N_MOVIES, N_WEEKS, A_WEEK = 400, 100, 20, 400
GENRES = (("Drama",), ("Comedy",), ("Horror",), ("Drama", "Crime"))
SCALE = RatingScale(0.5, 5.0)
MANIFEST = "a" * 64


def movies() -> list[Movie]:
    """Return films of four kinds."""
    return [
        Movie(nth, str(1000 + nth), f"Film {nth}", 1970 + nth % 50, GENRES[nth % len(GENRES)])
        for nth in range(1, N_MOVIES + 1)
    ]


def fill_weeks(
    database_url: str, until: datetime, *, has_last_week: bool = True, hated: str | None = None
) -> RatingLog:
    """Insert ratings of some weeks up to a time, and return those before the last week.

    Args:
        database_url: a migrated database without ratings.
        until: end of the last week.
        has_last_week: whether it has ratings.
        hated: a genre whose films all users rate lowest in it.
    """
    rng = np.random.default_rng(5)
    n_ratings = (N_WEEKS + has_last_week) * A_WEEK
    pairs = rng.permutation(N_USERS * N_MOVIES)[:n_ratings]
    user_ids, movie_ids = pairs % N_USERS + 1, pairs // N_USERS + 1
    week_begins = until - timedelta(days=7)
    begin = int((week_begins - timedelta(days=7 * N_WEEKS)).timestamp())
    seconds = begin + np.sort(rng.integers(0, 7 * 86_400, n_ratings)) + _weeks(n_ratings) * 7 * 86_400
    ratings = np.clip(np.round(2 * rng.normal(3.5, 0.9, n_ratings)) / 2, 0.5, 5.0)
    is_last = _weeks(n_ratings) == N_WEEKS
    if hated is not None:
        is_hated = np.array([hated in movie.genres for movie in movies()])[movie_ids - 1]
        ratings[is_last & is_hated] = 0.5
    log = RatingLog.from_columns(user_ids, movie_ids, ratings.astype(np.float32), seconds * 1_000_000, SCALE)
    _write(database_url, log)
    is_known = log.rated_at < int(week_begins.timestamp()) * 1_000_000
    return RatingLog.from_columns(
        log.user_ids[is_known], log.movie_ids[is_known], log.ratings[is_known], log.rated_at[is_known], SCALE
    )


def promote_with_baseline(database_url: str, log: RatingLog, version: int = 7, *, has_baseline: bool = True) -> None:
    """Promote a version trained on these ratings, without a model folder."""
    history = PostgresPromotions(database_url)
    recipe = Recipe("ease", {})
    if has_baseline:
        identity = SnapshotIdentity(len(log), None, "0" * 64)
        registered = RegisteredVersion(version, recipe, datetime.now(UTC), MANIFEST, identity)
        statistics = json.dumps(to_document(baseline_of(log, movies())))
        history.keep_statistics(registered, statistics)
    history.record(NewPromotion(version, "PROMOTE", "better", "person", None, recipe, MANIFEST, "nowhere"))


def _weeks(n_ratings: int) -> NDArray[np.int64]:
    """Return the week of each rating."""
    return np.arange(n_ratings) // A_WEEK


def _write(database_url: str, log: RatingLog) -> None:
    """Write films, users and ratings."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO cineclub.catalogue VALUES (true, 0.5, 5, true, true)")
        cursor.executemany(
            "INSERT INTO cineclub.movies (external_id, title, year, genres) VALUES (%s, %s, %s, %s)",
            [(movie.external_id, movie.title, movie.year, list(movie.genres)) for movie in movies()],
        )
        cursor.execute(
            "INSERT INTO cineclub.users (external_id) SELECT i::text FROM generate_series(1, %s) i", [N_USERS]
        )
        with cursor.copy("COPY cineclub.ratings FROM STDIN") as copy:
            for row in zip(log.user_ids, log.movie_ids, log.ratings, log.rated_at, strict=True):
                copy.write_row((*row[:3], datetime.fromtimestamp(row[3] / 1e6, UTC)))
