"""PostgreSQL's statistics of responses equal those of a plain implementation."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cineclub.adapters.postgres import drift as drift_module
from cineclub.adapters.postgres.drift import MIN_COVERAGE, PostgresDriftStatistics
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.drift.periods import Period
from cineclub.domain.drift.responses import ResponseStatistics
from cineclub.domain.drift.statistics import N_BINS

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PERIODS = [Period(BEGIN + nth * DAY, BEGIN + (nth + 1) * DAY) for nth in range(3)]
GENRES = [("Drama",), ("Drama", "Horror"), (), ("Comedy", "Comedy")]
N_MOVIES, HEAD, VERSION = 8, (1, 3), 2


@dataclass(frozen=True)
class LoggedResponse:
    """A logged response, with its hours after the start."""

    hours: int
    movies: tuple[int, ...]
    scores: tuple[float, ...]
    strategy: str = "model"
    version: int | None = VERSION
    name: str | None = "ease"


@pytest.fixture
def movies_url(database_url: str) -> str:
    """A database with a few films."""
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO cineclub.movies (external_id, title, genres) VALUES (%s, 'Film', %s)",
            [(str(nth), list(GENRES[nth % len(GENRES)])) for nth in range(1, N_MOVIES + 1)],
        )
    return database_url


def counted(database_url: str, responses: Sequence[LoggedResponse]) -> list[ResponseStatistics]:
    """Return PostgreSQL's statistics of these logged responses."""
    with psycopg.connect(database_url) as connection:
        connection.execute("TRUNCATE cineclub.predictions")
        connection.cursor().executemany(
            "INSERT INTO cineclub.predictions VALUES (%s, %s, 'ann', %s, %s, %s, %s, %s, 0.001, false)",
            [
                (
                    UUID(int=nth),
                    BEGIN + timedelta(hours=response.hours),
                    response.strategy,
                    response.name,
                    response.version,
                    list(response.movies),
                    list(response.scores),
                )
                for nth, response in enumerate(responses)
            ],
        )

    async def count() -> list[ResponseStatistics]:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            return await PostgresDriftStatistics(pool).of_responses(PERIODS, HEAD, VERSION)
        finally:
            await pool.stop()

    return asyncio.run(count())


RESPONSES = st.lists(
    st.lists(st.integers(1, N_MOVIES), max_size=4, unique=True).flatmap(
        lambda movies: st.builds(
            LoggedResponse,
            st.integers(-2, 74),
            st.just(tuple(movies)),
            st.tuples(*[st.sampled_from([-1.0, 0.0, 0.25, 0.5, 3.0]) for _ in movies]),
            st.sampled_from(["model", "popular"]),
            st.sampled_from([None, 1, VERSION]),
            st.sampled_from(["ease", "popular"]),
        )
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RESPONSES)
def test_responses_are_counted_as_a_plain_reading_counts_them(movies_url: str, responses: list[LoggedResponse]) -> None:
    """Head share, genres, cold starts and scores agree in every period."""
    earlier = [
        score
        for response in responses
        if 0 <= response.hours < 48 and response.strategy == "model" and response.version == VERSION
        for score in response.scores
    ]
    for nth, statistics in enumerate(counted(movies_url, responses)):
        mine = [response for response in responses if nth * 24 <= response.hours < (nth + 1) * 24]
        movies = [movie for response in mine for movie in response.movies]
        personal = [response for response in mine if response.version is not None and response.name != "popular"]
        genres: Counter[str] = Counter()
        for movie in movies:
            names = set(GENRES[movie % len(GENRES)]) or {"(none)"}
            genres.update({name: 1 / len(names) / len(movies) for name in names})  # type: ignore[dict-item]
        assert (statistics.starts_at, statistics.n_responses) == (PERIODS[nth].starts_at, len(mine))
        assert statistics.head_share == (
            pytest.approx(sum(movie in HEAD for movie in movies) / len(movies)) if movies else None
        )
        times = list(Counter(movies).values())
        assert statistics.effective_movies == (
            pytest.approx(sum(times) ** 2 / sum(n**2 for n in times)) if times else None
        )
        assert statistics.genre_shares == pytest.approx(dict(genres))
        assert statistics.cold_start_share == (
            pytest.approx(sum(response.strategy == "popular" for response in personal) / len(personal))
            if personal
            else None
        )
        scores = [
            s
            for response in mine
            if response.strategy == "model" and response.version == VERSION
            for s in response.scores
        ]
        assert statistics.score_shares == pytest.approx(shares_of(scores, earlier))


def shares_of(scores: Sequence[float], earlier: Sequence[float]) -> tuple[float, ...]:
    """Return the share of scores in each equal part between the 1st and 99th percentile of earlier scores."""
    if not scores:
        return ()
    low, high = (_percentile(earlier, share) for share in (0.01, 0.99)) if earlier else (0.0, 0.0)
    bins = [
        int(max(min((score - low) / (high - low) * N_BINS, N_BINS - 1), 0)) if high > low else 0 for score in scores
    ]
    return tuple(bins.count(nth) / len(bins) for nth in range(N_BINS))


def _percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile exactly as PostgreSQL's percentile_cont computes it."""
    rising, place = sorted(values), share * (len(values) - 1)
    low, high = rising[math.floor(place)], rising[math.ceil(place)]
    return low if math.floor(place) == math.ceil(place) else low + (place - math.floor(place)) * (high - low)


def test_one_wild_score_does_not_hide_that_all_others_moved(movies_url: str) -> None:
    """The bins come from earlier days; scores outside them fall into the outer bins."""
    usual = [LoggedResponse(hour, (1,), (1.0 + nth % 10,)) for hour in (1, 25) for nth in range(100)]
    moved = [LoggedResponse(49, (1,), (10.0 if nth else 1e30,)) for nth in range(100)]
    windows = counted(movies_url, [*usual, *moved])
    assert [window.n_scored for window in windows] == [100, 100, 100]
    assert windows[2].score_shares[-1] == 1
    assert windows[1].score_shares[-1] == pytest.approx(0.1)


def test_coverage_is_that_of_equally_many_responses(movies_url: str) -> None:
    """More responses in a day do not raise coverage; too few responses give no figure."""
    few = [LoggedResponse(1, (movie % N_MOVIES + 1,), (1.0,)) for movie in range(MIN_COVERAGE - 1)]
    same = [LoggedResponse(25, (1, 2), (1.0, 2.0)) for _ in range(MIN_COVERAGE)]
    more = [LoggedResponse(49, (1 + nth // MIN_COVERAGE,), (1.0,)) for nth in range(2 * MIN_COVERAGE)]
    windows = counted(movies_url, [*few, *same, *more])
    assert [window.sampled_coverage for window in windows] == [None, 2 / N_MOVIES, 2 / N_MOVIES]


def test_of_many_responses_some_are_drawn(movies_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All responses are counted, films are read from a sample, and the shares stay close."""
    monkeypatch.setattr(drift_module, "MAX_RESPONSES", 500)
    responses = [LoggedResponse(1, (1 + nth % 2,), (float(nth % 2),)) for nth in range(3000)]
    first = counted(movies_url, responses)[0]
    assert first.n_responses == 3000
    assert first.head_share == pytest.approx(0.5, abs=0.1)
    assert first.score_shares[0] + first.score_shares[-1] == 1
