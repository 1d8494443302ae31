"""Statistics of answers are what a plain reading of the log gives."""

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
from cineclub.domain.drift import AnswerStatistics
from cineclub.domain.statistics import N_BINS
from cineclub.ports import Period

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PERIODS = [Period(BEGIN + nth * DAY, BEGIN + (nth + 1) * DAY) for nth in range(3)]
GENRES = [("Drama",), ("Drama", "Horror"), (), ("Comedy", "Comedy")]
N_MOVIES, HEAD, VERSION = 8, (1, 3), 2


@dataclass(frozen=True)
class Answer:
    """A logged answer, so many hours after the begin."""

    hours: int
    films: tuple[int, ...]
    scores: tuple[float, ...]
    strategy: str = "model"
    version: int | None = VERSION
    name: str | None = "ease"


@pytest.fixture
def films_url(database_url: str) -> str:
    """A database with a few films."""
    with psycopg.connect(database_url) as connection:
        connection.cursor().executemany(
            "INSERT INTO cineclub.movies (external_id, title, genres) VALUES (%s, 'Film', %s)",
            [(str(nth), list(GENRES[nth % len(GENRES)])) for nth in range(1, N_MOVIES + 1)],
        )
    return database_url


def counted(database_url: str, answers: Sequence[Answer]) -> list[AnswerStatistics]:
    """Return what PostgreSQL makes of a log of these answers."""
    with psycopg.connect(database_url) as connection:
        connection.execute("TRUNCATE cineclub.predictions")
        connection.cursor().executemany(
            "INSERT INTO cineclub.predictions VALUES (%s, %s, 'ann', %s, %s, %s, %s, %s, 0.001, false)",
            [
                (
                    UUID(int=nth),
                    BEGIN + timedelta(hours=one.hours),
                    one.strategy,
                    one.name,
                    one.version,
                    list(one.films),
                    list(one.scores),
                )
                for nth, one in enumerate(answers)
            ],
        )

    async def count() -> list[AnswerStatistics]:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            return await PostgresDriftStatistics(pool).of_answers(PERIODS, HEAD, VERSION)
        finally:
            await pool.stop()

    return asyncio.run(count())


ANSWERS = st.lists(
    st.lists(st.integers(1, N_MOVIES), max_size=4, unique=True).flatmap(
        lambda films: st.builds(
            Answer,
            st.integers(-2, 74),
            st.just(tuple(films)),
            st.tuples(*[st.sampled_from([-1.0, 0.0, 0.25, 0.5, 3.0]) for _ in films]),
            st.sampled_from(["model", "popular"]),
            st.sampled_from([None, 1, VERSION]),
            st.sampled_from(["ease", "popular"]),
        )
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANSWERS)
def test_answers_are_counted_as_a_plain_reading_counts_them(films_url: str, answers: list[Answer]) -> None:
    """Head share, genres, cold starts and scores, in every period."""
    earlier = [
        score
        for one in answers
        if 0 <= one.hours < 48 and one.strategy == "model" and one.version == VERSION
        for score in one.scores
    ]
    for nth, found in enumerate(counted(films_url, answers)):
        mine = [one for one in answers if nth * 24 <= one.hours < (nth + 1) * 24]
        films = [film for one in mine for film in one.films]
        personal = [one for one in mine if one.version is not None and one.name != "popular"]
        genres: Counter[str] = Counter()
        for film in films:
            names = set(GENRES[film % len(GENRES)]) or {"(none)"}
            genres.update({name: 1 / len(names) / len(films) for name in names})  # type: ignore[dict-item]
        assert (found.starts_at, found.n_answers) == (PERIODS[nth].starts_at, len(mine))
        assert found.head_share == (pytest.approx(sum(film in HEAD for film in films) / len(films)) if films else None)
        assert found.genre_shares == pytest.approx(dict(genres))
        assert found.cold_start_share == (
            pytest.approx(sum(one.strategy == "popular" for one in personal) / len(personal)) if personal else None
        )
        scores = [s for one in mine if one.strategy == "model" and one.version == VERSION for s in one.scores]
        assert found.score_shares == pytest.approx(shares_of(scores, earlier))


def shares_of(scores: Sequence[float], earlier: Sequence[float]) -> tuple[float, ...]:
    """Return the share of each equal part between the 1st and 99th percentile of the version's earlier scores."""
    if not scores:
        return ()
    low, high = (_percentile(earlier, share) for share in (0.01, 0.99)) if earlier else (0.0, 0.0)
    bins = [int(max(min((one - low) / (high - low) * N_BINS, N_BINS - 1), 0)) if high > low else 0 for one in scores]
    return tuple(bins.count(nth) / len(bins) for nth in range(N_BINS))


def _percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile as PostgreSQL's percentile_cont reckons it, to the last bit."""
    rising, place = sorted(values), share * (len(values) - 1)
    low, high = rising[math.floor(place)], rising[math.ceil(place)]
    return low if math.floor(place) == math.ceil(place) else low + (place - math.floor(place)) * (high - low)


def test_one_wild_score_does_not_hide_that_all_others_moved(films_url: str) -> None:
    """The parts come from the days before, and what lies beyond them falls into the outer ones."""
    usual = [Answer(hour, (1,), (1.0 + nth % 10,)) for hour in (1, 25) for nth in range(100)]
    moved = [Answer(49, (1,), (10.0 if nth else 1e30,)) for nth in range(100)]
    found = counted(films_url, [*usual, *moved])
    assert [one.n_scored for one in found] == [100, 100, 100]
    assert found[2].score_shares[-1] == 1
    assert found[1].score_shares[-1] == pytest.approx(0.1)


def test_coverage_is_that_of_equally_many_answers(films_url: str) -> None:
    """A day with more answers does not cover more; one with fewer than are needed has no figure."""
    few = [Answer(1, (film % N_MOVIES + 1,), (1.0,)) for film in range(MIN_COVERAGE - 1)]
    same = [Answer(25, (1, 2), (1.0, 2.0)) for _ in range(MIN_COVERAGE)]
    more = [Answer(49, (1 + nth // MIN_COVERAGE,), (1.0,)) for nth in range(2 * MIN_COVERAGE)]
    found = counted(films_url, [*few, *same, *more])
    assert [one.sampled_coverage for one in found] == [None, 2 / N_MOVIES, 2 / N_MOVIES]


def test_of_many_answers_some_are_drawn(films_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are counted, the films of so many are looked at, and the shares stay near."""
    monkeypatch.setattr(drift_module, "ANSWERS_DRAWN", 500)
    answers = [Answer(1, (1 + nth % 2,), (float(nth % 2),)) for nth in range(3000)]
    first = counted(films_url, answers)[0]
    assert first.n_answers == 3000
    assert first.head_share == pytest.approx(0.5, abs=0.1)
    assert first.score_shares[0] + first.score_shares[-1] == 1
