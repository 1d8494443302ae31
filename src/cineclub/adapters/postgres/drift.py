"""What ratings and answers of a period look like, counted inside PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.drift import AnswerStatistics
from cineclub.domain.errors import NotEnoughData, StorageUnavailable
from cineclub.domain.ratings import RatingScale
from cineclub.domain.segments import (
    ACTIVITY_FROM,
    ACTIVITY_NAMES,
    DIMENSIONS,
    HEAD,
    HEAD_PART,
    MAX_HEAD,
    NO_GENRE,
    NO_YEAR,
    TAIL,
    Segments,
    segments_of,
)
from cineclub.domain.statistics import N_BINS, QUANTILES, PeriodStatistics
from cineclub.ports import Measure, Period

SQL = named_queries("drift.sql")
LIMIT_SECONDS = 60.0
WHOLE_LIMIT_SECONDS = 600.0
SPARE_SECONDS = 10.0
"""PostgreSQL gives up first: a count that takes too long must not look like a database that is away."""

ANSWERS_DRAWN, MORE_DRAWN = 2_000, 1.2
"""Of so many answers of a period, drawn by their ids, the films and scores are looked at."""

USERS_ASKED = 30_000
"""Of so many active users, drawn by their ids, it is looked up whether they are new."""

MIN_COVERAGE, MAX_COVERAGE = 50, 2_000
BINS = [f"bin_{nth}" for nth in range(N_BINS)]


class PostgresDriftStatistics:
    """Implements the port ``DriftStatistics`` on our own tables, or on the owner's views in ``external_schema``."""

    def __init__(self, pool: ServingPool, external_schema: str | None = None) -> None:
        """Use the pool of the request path, one connection at a time."""
        self._pool = pool
        self._schema = external_schema
        self._ratings = self._composed_ratings()

    async def of_ratings(self, period: Period, measure: Measure, *, is_whole: bool = False) -> PeriodStatistics:
        """Return the ratings of a period in numbers, as a baseline has them; of the whole log nobody is new.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute (ten for the whole log).
        """
        scale = measure.scale
        named: dict[str, Any] = {
            "starts_at": period.starts_at,
            "ends_at": period.ends_at,
            "lowest": scale.lowest,
            "steps": N_BINS / (scale.highest - scale.lowest),
            "sample_size": measure.sample_size,
            "head_movie_ids": list(measure.head_movie_ids),
            **CONSTANTS,
        }
        async with self._counting(WHOLE_LIMIT_SECONDS if is_whole else LIMIT_SECONDS) as counting:
            [row] = await counting.rows(self._ratings, named)
        return _statistics_of(row, period, measure.sample_size, is_whole=is_whole)

    async def sizes(self, periods: Sequence[Period]) -> list[int]:
        """Return how many ratings each of some periods has.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        async with self._counting() as counting:
            rows = await counting.rows(self._query("window_sizes"), _ends_of(periods))
        return [row["n_ratings"] for row in rows]

    async def extent(self, until: datetime) -> Period | None:
        """Return from the oldest rating to just after the newest before a time; None where there is none.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        async with self._counting() as counting:
            [row] = await counting.rows(self._query("extent"), {"ends_at": until})
        return None if row["oldest"] is None else Period.up_to(row["oldest"], row["newest"])

    async def measure(self, until: datetime, sample_size: int) -> Measure:
        """Return what periods before a time are measured by: the scale, and the films most rated until then.

        Raises:
            NotEnoughData: nothing was imported yet.
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        asked = {"ends_at": until, "head_part": HEAD_PART, "max_head": MAX_HEAD}
        async with self._counting() as counting:
            scales = await counting.rows(sql.SQL(SQL["scale"]), {})
            head = await counting.rows(self._query("head"), asked)
        if not scales:
            message = "there are no ratings yet: run `cineclub import PATH`, or `cineclub demo`"
            raise NotEnoughData(message)
        return Measure(
            RatingScale(scales[0]["lowest"], scales[0]["highest"]), sample_size, tuple(row["movie_id"] for row in head)
        )

    async def of_answers(
        self, periods: Sequence[Period], head_movie_ids: Sequence[int], model_version: int | None
    ) -> list[AnswerStatistics]:
        """Return the answers of some periods in numbers; scores are those of one version of the model.

        Films and scores are those of at most ``ANSWERS_DRAWN`` answers a period, and coverage is that of equally many.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        async with self._counting() as counting:
            counts = await counting.rows(sql.SQL(SQL["answer_counts"]), _ends_of(periods))
            n_answers = [row["n_answers"] for row in counts]
            coverage_size = _coverage_size(n_answers)
            asked = {
                **_ends_of(periods),
                "model_version": model_version,
                "parts": [min(MORE_DRAWN * ANSWERS_DRAWN / max(count, 1), 1.0) for count in n_answers],
                "sample_size": ANSWERS_DRAWN,
                "coverage_size": coverage_size,
                "head_movie_ids": list(head_movie_ids),
                "no_genre": NO_GENRE,
                "n_bins": N_BINS,
            }
            shown = await counting.rows(sql.SQL(SQL["answers"]).format(), asked)
        of_period = {row["nth"]: row for row in shown}
        return [
            _answers_of(period, counted, of_period.get(nth), coverage_size)
            for nth, (period, counted) in enumerate(zip(periods, counts, strict=True), 1)
        ]

    @contextlib.asynccontextmanager
    async def _counting(self, limit_seconds: float = LIMIT_SECONDS) -> AsyncIterator["_Counting"]:
        """Give a transaction whose statements PostgreSQL ends once they took so long together."""
        ends_at = monotonic() + limit_seconds
        async with self._pool.connection(limit_seconds + SPARE_SECONDS) as connection:
            try:
                async with connection.transaction():
                    yield _Counting(connection, ends_at)
            except psycopg.errors.QueryCanceled as error:
                message = f"counting for drift took more than {limit_seconds:.0f} s: ask for a shorter window"
                raise StorageUnavailable(message) from error

    def _query(self, name: str, **parts: sql.Composable) -> sql.Composed:
        """Return a query on our own tables, or on the owner's views."""
        if self._schema is None:
            return sql.SQL(SQL[f"{name}_internal"]).format(**parts)
        return sql.SQL(SQL[f"{name}_external"]).format(schema=sql.Identifier(self._schema), **parts)

    def _composed_ratings(self) -> sql.Composed:
        """Return the query of a period's ratings, with a column for each equal part of the scale."""
        each = list(enumerate(BINS))
        return sql.SQL(SQL["ratings"]).format(
            given=self._query("given"),
            film=self._query("film"),
            drawn_users=self._query("drawn_users"),
            users_before=self._query("rated_before", column=sql.Identifier("user_id")),
            films_before=self._query("rated_before", column=sql.Identifier("movie_id")),
            counted_bins=_listed(f"count(*) FILTER (WHERE b.bin = {nth}) AS {name}" for nth, name in each),
            bins=_listed(BINS),
            summed_bins=_listed(f"sum(part * {name})" for name in BINS),
            plain_bins=_listed(f"coalesce(sum({name}), 0)::bigint" for name in BINS),
            gini=sql.SQL(SQL["gini"]),
        )


CONSTANTS: Mapping[str, Any] = {
    "n_bins": N_BINS,
    "users_asked": USERS_ASKED,
    "quantiles": list(QUANTILES),
    "no_genre": NO_GENRE,
    "no_year": NO_YEAR,
    "head": HEAD,
    "tail": TAIL,
    "activity_names": list(ACTIVITY_NAMES),
    "activity_from": list(ACTIVITY_FROM),
}


@dataclass(frozen=True, slots=True)
class _Counting:
    """A transaction that asks until a moment of the clock that only runs on."""

    connection: psycopg.AsyncConnection[dict[str, Any]]
    ends_at: float

    async def rows(self, query: sql.SQL | sql.Composed, named: Mapping[str, Any]) -> list[Row]:
        """Return the rows of a query, planned for these very values; PostgreSQL ends it when the time is over."""
        left = max(round(1000 * (self.ends_at - monotonic())), 1)  # 0 would be no limit at all
        await self.connection.execute(SQL["settings"], {"milliseconds": str(left)})
        return await (await self.connection.execute(query, named, prepare=False)).fetchall()


def _listed(expressions: Iterator[str] | Sequence[str]) -> sql.SQL:
    """Return expressions of ours with commas between."""
    return sql.SQL(", ".join(expressions))  # made of numbers and names of this file alone


def _ends_of(periods: Sequence[Period]) -> dict[str, Any]:
    """Return periods as query parameters."""
    return {"starts": [one.starts_at for one in periods], "ends": [one.ends_at for one in periods]}


def _statistics_of(row: Row, period: Period, sample_size: int, *, is_whole: bool) -> PeriodStatistics:
    """Return the statistics of a row."""
    n_ratings, n_users, n_movies = row["n_ratings"], row["n_active_users"], row["n_rated_movies"]
    quantiles = zip(QUANTILES, row["ratings_per_user"] or [], strict=False)
    return PeriodStatistics(
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        n_ratings=n_ratings,
        n_active_users=n_users,
        n_rated_movies=n_movies,
        mean_rating=row["rating_sum"] / n_ratings if n_ratings else None,
        rating_shares=tuple(count / max(n_ratings, 1) for count in row["bins"]),
        ratings_per_user={str(number): value for number, value in quantiles},
        popularity_gini=row["popularity_gini"],
        sampled_popularity_gini=row["sampled_popularity_gini"] if row["n_sampled"] >= sample_size else None,
        segments=_segments_of(row["segments"]),
        new_user_share=row["new_user_share"] if not is_whole else None,
        new_movie_share=row["n_new_movies"] / n_movies if n_movies and not is_whole else None,
    )


def _segments_of(rows: Sequence[Mapping[str, Any]]) -> Segments:
    """Return the parts of each dimension."""
    found: dict[str, Any] = {}
    for dimension in DIMENSIONS:
        of_dimension = [row for row in rows if row["dimension"] == dimension]
        counts = np.array([row["bins"] for row in of_dimension], np.float64).reshape(-1, N_BINS)
        sums = np.array([row["rating_sum"] for row in of_dimension], np.float64)
        found[dimension] = segments_of([row["name"] for row in of_dimension], counts, sums)
    return found


def _coverage_size(n_answers: Sequence[int]) -> int:
    """Return of how many answers of each period the coverage is, so that most periods with answers have as many."""
    some = [count for count in n_answers if count]
    return int(np.clip(np.median(some) / 2, MIN_COVERAGE, MAX_COVERAGE)) if some else MIN_COVERAGE


def _answers_of(period: Period, counted: Row, shown: Row | None, coverage_size: int) -> AnswerStatistics:
    """Return the statistics of the answers of a period."""
    n_shown = shown["n_shown"] if shown else 0
    n_scores = sum(shown["scores"].values()) if shown else 0
    is_covered = shown is not None and counted["n_answers"] >= coverage_size and shown["n_movies"]
    return AnswerStatistics(
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        n_answers=counted["n_answers"],
        n_scored=shown["n_scored"] if shown else 0,
        head_share=shown["n_head"] / n_shown if shown and n_shown else None,
        sampled_coverage=shown["n_covered"] / shown["n_movies"] if shown and is_covered else None,
        genre_shares={name: part / n_shown for name, part in shown["genres"].items()} if shown and n_shown else {},
        cold_start_share=counted["n_cold_starts"] / counted["n_with_model"] if counted["n_with_model"] else None,
        score_shares=(
            tuple(shown["scores"].get(str(nth), 0) / n_scores for nth in range(N_BINS)) if shown and n_scores else ()
        ),
    )
