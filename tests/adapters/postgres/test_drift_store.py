"""Baselines are read back as they were written, one is pinned at a time, and a version keeps what its training saw."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import psycopg
import pytest
from drifting_ratings import fill_weeks, promote_with_baseline
from hypothesis import given, settings
from hypothesis import strategies as st

from cineclub.adapters.postgres.drift import PostgresDriftStatistics
from cineclub.adapters.postgres.drift_baselines import PostgresDriftBaselines, baseline_of_document
from cineclub.adapters.postgres.drift_checks import PostgresDriftChecks
from cineclub.adapters.postgres.outcomes import PostgresOutcomes
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.documents import to_document
from cineclub.domain.errors import NotFound, StorageUnavailable
from cineclub.domain.ratings import Movie, RatingLog, RatingScale
from cineclub.domain.statistics import baseline_of
from cineclub.flows.drift import DriftFlow, DriftQuestion
from cineclub.flows.drift_watch import ActionRules, DriftResponse
from cineclub.ports import AskedBy, CheckedWindow, DriftCheck

NOW = datetime(2026, 5, 1, tzinfo=UTC)
Found = TypeVar("Found")


def with_pool(database_url: str, work: Callable[[ServingPool], Awaitable[Found]]) -> Found:
    """Return what some work over a pool gives."""

    async def run() -> Found:
        pool = ServingPool(database_url)
        await pool.start()
        try:
            return await work(pool)
        finally:
            await pool.stop()

    return asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(
    rows=st.dictionaries(
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        st.tuples(st.sampled_from([0.5, 2.0, 3.5, 5.0]), st.integers(0, 40)),
        min_size=1,
    )
)
def test_a_baseline_is_read_back_as_it_was(rows: dict[tuple[int, int], tuple[float, int]]) -> None:
    """For any ratings, through the very text that is kept."""
    users, movies = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    ratings = np.array([one[0] for one in rows.values()], np.float32)
    rated_at = np.array([one[1] * 86_400_000_000 for one in rows.values()], np.int64)
    log = RatingLog.from_columns(users, movies, ratings, rated_at, RatingScale(0.5, 5.0))
    films = [Movie(1, "1", "One", 1995, ("Drama", "Horror")), Movie(2, "2", "Two", None, ())]
    baseline = baseline_of(log, films, np.random.default_rng(0))
    assert baseline_of_document(json.loads(json.dumps(to_document(baseline)))) == baseline


def test_the_baseline_of_production_is_that_of_the_promotion_that_serves(database_url: str) -> None:
    """Another version's is not taken for it, and none is none."""
    log = fill_weeks(database_url, NOW)
    before = with_pool(database_url, lambda pool: PostgresDriftBaselines(pool).of_production())
    promote_with_baseline(database_url, log, 7)
    with_baseline = with_pool(database_url, lambda pool: PostgresDriftBaselines(pool).of_production())
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cineclub.drift_baselines SET manifest_sha256 = repeat('b', 64)")
    of_other = with_pool(database_url, lambda pool: PostgresDriftBaselines(pool).of_production())
    assert (before.model_version, before.kept) == (None, None)
    assert with_baseline.model_version == 7
    assert with_baseline.kept is not None
    assert with_baseline.kept.baseline.whole.n_ratings == len(log)
    assert (of_other.model_version, of_other.kept) == (7, None)


def test_one_baseline_is_pinned_at_a_time(database_url: str) -> None:
    """Another takes its place, what was taken for the pin alone goes with it, and a failed pin changes nothing."""
    log = fill_weeks(database_url, NOW)
    promote_with_baseline(database_url, log, 7)

    async def work(pool: ServingPool) -> None:
        store = PostgresDriftBaselines(pool)
        production = await store.of_production()
        assert production.kept is not None
        await store.pin(production.kept.baseline)
        taken = await store.pinned()
        with pytest.raises(NotFound, match="version 8 has no baseline"):
            await store.pin(8)
        assert await store.pinned() == taken
        await store.pin(7)
        pinned = await store.pinned()
        assert pinned is not None
        assert (pinned.model_version, pinned.baseline_id) == (7, production.kept.baseline_id)
        await store.pin(None)
        assert await store.pinned() is None
        assert (await store.of_production()).kept is not None

    with_pool(database_url, work)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT version FROM cineclub.drift_baselines").fetchall() == [(7,)]


def test_several_who_act_on_alerts_at_once_start_one_training_and_tell_once(database_url: str) -> None:
    """Within the cool-down one of them does, whichever comes first."""
    window = CheckedWindow(NOW - timedelta(days=7), NOW, 7.0, 10, 0)
    check = DriftCheck(0, NOW, "ALERT", "Horror moved", window, 10.0, ())

    async def work(pool: ServingPool) -> tuple[list[bool], list[str | None]]:
        store = PostgresDriftChecks(pool)
        ids = [await store.record(check, "cli", is_usual=True) for _ in range(4)]
        notices = await asyncio.gather(*(store.claim_notice(one, timedelta(hours=1)) for one in ids))
        starts = await asyncio.gather(*(store.start_training(one, "drift", timedelta(hours=1)) for one in ids))
        return notices, starts

    notices, starts = with_pool(database_url, work)
    assert sorted(notices) == [False, False, False, True]
    assert [one is None for one in starts].count(False) == 1


def test_old_checks_are_deleted_but_for_usual_ones_of_two_years(database_url: str) -> None:
    """What was asked beside the settings goes with the answers of its time, and the rest when it is two years old."""
    now = datetime.now(UTC)
    ages = [(800, True), (400, True), (100, False), (100, True), (10, False)]

    async def work(pool: ServingPool) -> list[tuple[int, bool]]:
        store, outcomes = PostgresDriftChecks(pool), PostgresOutcomes(pool)
        for days, is_usual in ages:
            at = now - timedelta(days=days)
            window = CheckedWindow(at - timedelta(days=7), at, 7.0, 0, 0)
            await store.record(DriftCheck(0, at, "OK", "as usual", window, 10.0, ()), "api", is_usual=is_usual)
        while await outcomes.delete_before(now - timedelta(days=90), 1):
            pass
        return [((now - one.checked_at).days, one.is_usual) for one in await store.recent(100)]

    assert with_pool(database_url, work) == [(10, False), (100, True), (400, True)]


def test_the_last_usual_check_is_never_deleted(database_url: str) -> None:
    """However long ago it was: who asks when drift was last checked is told."""
    at = datetime.now(UTC) - timedelta(days=1_000)
    window = CheckedWindow(at - timedelta(days=7), at, 7.0, 0, 0)

    async def work(pool: ServingPool) -> bool:
        store = PostgresDriftChecks(pool)
        await store.record(DriftCheck(0, at, "OK", "as usual", window, 10.0, ()), "watch", is_usual=True)
        n_deleted = await PostgresOutcomes(pool).delete_before(datetime.now(UTC) - timedelta(days=90), 10)
        return n_deleted == 0 and await store.last() is not None

    assert with_pool(database_url, work)


def test_a_check_that_somebody_was_told_of_outlives_the_cool_down(database_url: str) -> None:
    """Though it asked for another window: without it the next alert would be told too, long before its time."""
    cooldown = timedelta(days=366)

    async def work(pool: ServingPool) -> bool:
        store = PostgresDriftChecks(pool)
        told = await recorded_alert(store, "cli", is_usual=False)
        assert await store.claim_notice(told.check_id, cooldown)
        await store.settle_notice(told.check_id, is_sent=True)
        await age(pool, 300)
        await PostgresOutcomes(pool).delete_before(datetime.now(UTC) - timedelta(days=90), 10)
        return await store.claim_notice((await recorded_alert(store)).check_id, cooldown)

    assert not with_pool(database_url, work)


def test_a_check_that_started_a_training_is_kept_like_a_usual_one(database_url: str) -> None:
    """The training names its number, and whoever asks why it ran finds the check for two years."""

    async def work(pool: ServingPool) -> list[int]:
        store, outcomes = PostgresDriftChecks(pool), PostgresOutcomes(pool)
        check = await recorded_alert(store, "cli", is_usual=False)
        assert await store.start_training(check.check_id, "drift", RULES.cooldown) is not None
        await age(pool, 300)
        n_deleted = [await outcomes.delete_before(datetime.now(UTC) - timedelta(days=90), 10)]
        await age(pool, 500)
        return [*n_deleted, await outcomes.delete_before(datetime.now(UTC) - timedelta(days=90), 10)]

    assert with_pool(database_url, work) == [0, 1]


def test_an_alert_that_waits_to_be_followed_is_not_deleted(database_url: str) -> None:
    """For as long as the longest cool-down, though a newer check was OK."""
    cooldown = timedelta(days=366)

    async def work(pool: ServingPool) -> list[int | None]:
        store = PostgresDriftChecks(pool)
        waiting = await recorded_alert(store)
        await age(pool, 365)
        newer = replace(waiting, verdict="OK", checked_at=datetime.now(UTC))
        await store.record(newer, "watch", is_usual=True)
        await PostgresOutcomes(pool).delete_before(datetime.now(UTC) - timedelta(days=90), 10)
        found = await store.unfollowed(cooldown)
        return [waiting.check_id, found.check_id if found else None]

    waiting, found = with_pool(database_url, work)
    assert found == waiting


def test_of_many_lengths_of_a_baseline_the_newest_stay(database_url: str) -> None:
    """Whoever asks for ever other windows does not fill the disk; what was asked for last is found again."""
    promote_with_baseline(database_url, fill_weeks(database_url, NOW), 7)

    async def work(pool: ServingPool) -> list[bool]:
        store = PostgresDriftBaselines(pool)
        kept = (await store.of_production()).kept
        assert kept is not None
        for days in range(20, 0, -1):
            await store.keep_length(kept.baseline_id, replace(kept.baseline, window_days=days + 0.5))
        return [await store.of_length(kept.baseline_id, days + 0.5) is not None for days in range(1, 21)]

    assert with_pool(database_url, work) == [True] * 16 + [False] * 4


def test_pinning_waits_for_a_check_under_way(database_url: str) -> None:
    """Only one of them counts at a time, and no check is compared with a baseline that goes meanwhile."""
    promote_with_baseline(database_url, fill_weeks(database_url, NOW), 7)

    async def work(pool: ServingPool) -> list[bool]:
        store = PostgresDriftBaselines(pool)
        statistics, checks = PostgresDriftStatistics(pool), PostgresDriftChecks(pool)
        flow = DriftFlow(statistics, store, checks, DriftQuestion(7.0, 10.0), lambda: NOW)
        async with flow._checking:
            pinning = asyncio.create_task(flow.pin(7))
            done, _ = await asyncio.wait([pinning], timeout=0.3)
        await pinning
        return [bool(done), await store.pinned() is not None]

    assert with_pool(database_url, work) == [False, True]


class Told:
    """Whoever is told of alerts: the first message may never be answered."""

    def __init__(self, *, hangs: bool = False) -> None:
        """Nothing was told yet."""
        self.messages: list[Mapping[str, Any]] = []
        self.is_asked = asyncio.Event()
        self.hangs = hangs

    async def tell(self, message: Mapping[str, Any]) -> bool:
        """Take a message."""
        self.is_asked.set()
        if self.hangs:
            await asyncio.Event().wait()
        self.messages.append(message)
        return True


RULES = ActionRules("alert", timedelta(hours=1))


async def recorded_alert(
    store: PostgresDriftChecks, asked_by: AskedBy = "watch", *, is_usual: bool = True
) -> DriftCheck:
    """Return an alert of now that was kept."""
    now = datetime.now(UTC)
    window = CheckedWindow(now - timedelta(days=7), now, 7.0, 10, 0)
    check = DriftCheck(0, now, "ALERT", "Horror moved", window, 10.0, ())
    return replace(check, check_id=await store.record(check, asked_by, is_usual=is_usual))


async def age(pool: ServingPool, days: int) -> None:
    """Let all that was kept of checks have happened so many days before."""
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE cineclub.drift_checks SET checked_at = checked_at - make_interval(days => %(days)s), "
            "notice_claimed_at = notice_claimed_at - make_interval(days => %(days)s), "
            "notified_at = notified_at - make_interval(days => %(days)s)",
            {"days": days},
        )


def test_who_is_stopped_while_telling_leaves_it_to_the_next(database_url: str) -> None:
    """The claim is given back, and whoever looks next tells of the very alert, once."""

    async def work(pool: ServingPool) -> tuple[int, list[Mapping[str, Any]]]:
        store, hanging, told = PostgresDriftChecks(pool), Told(hangs=True), Told()
        check = await recorded_alert(store)
        telling = asyncio.create_task(DriftResponse(store, hanging, RULES).follow(check))
        await asyncio.wait_for(hanging.is_asked.wait(), 30)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        for _ in range(2):
            await DriftResponse(store, told, RULES).catch_up()
        return check.check_id, told.messages

    check_id, messages = with_pool(database_url, work)
    assert [one["check_id"] for one in messages] == [check_id]


def test_an_alert_that_could_not_be_followed_is_followed_at_the_next_look(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL went away between the check and its notice; one that is older than the cool-down is left alone."""

    async def work(pool: ServingPool) -> tuple[int, list[Mapping[str, Any]]]:
        store, told = PostgresDriftChecks(pool), Told()
        response, check = DriftResponse(store, told, RULES), await recorded_alert(store)
        with monkeypatch.context() as away:
            away.setattr(store, "claim_notice", _away)
            with pytest.raises(StorageUnavailable):
                await response.follow(check)
        await DriftResponse(store, told, ActionRules("alert", timedelta())).catch_up()
        assert told.messages == []
        await response.catch_up()
        return check.check_id, told.messages

    check_id, messages = with_pool(database_url, work)
    assert [one["check_id"] for one in messages] == [check_id]


async def _away(*_: Any) -> bool:
    """Fail as PostgreSQL does.

    Raises:
        StorageUnavailable: always.
    """
    message = "PostgreSQL does not answer"
    raise StorageUnavailable(message)


def test_a_claim_of_who_was_killed_ends_after_two_minutes(database_url: str) -> None:
    """Before that nobody else tells, and the alert is not taken for followed; afterwards it is told."""

    async def work(pool: ServingPool) -> list[int]:
        store, told = PostgresDriftChecks(pool), Told()
        response, check = DriftResponse(store, told, RULES), await recorded_alert(store)
        assert await store.claim_notice(check.check_id, RULES.cooldown)
        await response.catch_up()
        n_told = [len(told.messages)]
        async with pool.connection() as connection:
            await connection.execute(
                "UPDATE cineclub.drift_checks SET notice_claimed_at = notice_claimed_at - interval '2 minutes'"
            )
        for _ in range(2):
            await response.catch_up()
            n_told.append(len(told.messages))
        return n_told

    assert with_pool(database_url, work) == [0, 1, 1]
