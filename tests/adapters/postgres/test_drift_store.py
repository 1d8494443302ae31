"""Stored baselines and checks of drift: pinning, retention, alerts and their claims."""

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
from cineclub.adapters.postgres.drift_store import LENGTHS_KEPT, PostgresDriftStore, baseline_of_document
from cineclub.adapters.postgres.outcomes import PostgresOutcomes
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.domain.documents import to_document
from cineclub.domain.drift.records import CheckedWindow, CheckOrigin, DriftCheck
from cineclub.domain.drift.statistics import baseline_of
from cineclub.domain.errors import NotFound, StorageUnavailable
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale
from cineclub.flows.drift import DriftFlow, DriftQueries, DriftRequest
from cineclub.flows.drift_alerts import AlertActions, AlertRules

NOW = datetime(2026, 5, 1, tzinfo=UTC)
Found = TypeVar("Found")


def with_pool(database_url: str, work: Callable[[ServingPool], Awaitable[Found]]) -> Found:
    """Return the result of work over a pool."""

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
    """A baseline of random ratings is equal after storing and loading."""
    users, movies = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    ratings = np.array([row[0] for row in rows.values()], np.float32)
    rated_at = np.array([row[1] * 86_400_000_000 for row in rows.values()], np.int64)
    log = RatingLog.from_columns(users, movies, ratings, rated_at, RatingScale(0.5, 5.0))
    movies = [Movie(1, "1", "One", 1995, ("Drama", "Horror")), Movie(2, "2", "Two", None, ())]
    baseline = baseline_of(log, movies)
    assert baseline_of_document(json.loads(json.dumps(to_document(baseline)))) == baseline


def test_the_baseline_of_production_is_that_of_the_promotion_that_serves(database_url: str) -> None:
    """Another version's baseline is not used, and a missing one is None."""
    log = fill_weeks(database_url, NOW)
    before = with_pool(database_url, lambda pool: PostgresDriftStore(pool).baselines())
    promote_with_baseline(database_url, log, 7)
    with_baseline = with_pool(database_url, lambda pool: PostgresDriftStore(pool).baselines())
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cineclub.drift_baselines SET manifest_sha256 = repeat('b', 64)")
    of_other = with_pool(database_url, lambda pool: PostgresDriftStore(pool).baselines())
    assert (before.model_version, before.model) == (None, None)
    assert with_baseline.model_version == 7
    assert with_baseline.model is not None
    assert with_baseline.model.baseline.whole.n_ratings == len(log)
    assert (of_other.model_version, of_other.model) == (7, None)


def test_one_baseline_is_pinned_at_a_time(database_url: str) -> None:
    """A new pin replaces the old one and the checks made for it; a failed pin changes nothing."""
    log = fill_weeks(database_url, NOW)
    promote_with_baseline(database_url, log, 7)

    async def work(pool: ServingPool) -> None:
        store = PostgresDriftStore(pool)
        production = (await store.baselines()).model
        assert production is not None
        await store.pin(production.baseline)
        taken = (await store.baselines()).pinned
        with pytest.raises(NotFound, match="version 8 has no baseline"):
            await store.pin(8)
        assert (await store.baselines()).pinned == taken
        await store.pin(7)
        pinned = (await store.baselines()).pinned
        assert pinned is not None
        assert (pinned.model_version, pinned.baseline_id) == (7, production.baseline_id)
        await store.pin(None)
        assert (await store.baselines()).pinned is None
        assert (await store.baselines()).model is not None

    with_pool(database_url, work)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT version FROM cineclub.drift_baselines").fetchall() == [(7,)]


def test_several_who_act_on_alerts_at_once_start_one_training_and_send_one_message(database_url: str) -> None:
    """Of several concurrent processes one acts within the cool-down."""
    window = CheckedWindow(NOW - timedelta(days=7), NOW, 7.0, 10, 0)
    check = DriftCheck(0, NOW, "ALERT", "Horror moved", window, 10.0, ())

    async def work(pool: ServingPool) -> tuple[list[bool], list[str | None]]:
        store = PostgresDriftStore(pool)
        ids = [await store.record(check, "cli", is_usual=True) for _ in range(4)]
        notices = await asyncio.gather(*(store.claim_notice(check_id, timedelta(hours=1)) for check_id in ids))
        starts = await asyncio.gather(
            *(store.start_training(check_id, "drift", timedelta(hours=1)) for check_id in ids)
        )
        return notices, starts

    notices, starts = with_pool(database_url, work)
    assert sorted(notices) == [False, False, False, True]
    assert [start is None for start in starts].count(False) == 1


def test_old_checks_are_deleted_but_for_usual_ones_of_two_years(database_url: str) -> None:
    """Checks with other settings are deleted with the responses of their time, the others after two years."""
    now = datetime.now(UTC)
    ages = [(800, True), (400, True), (100, False), (100, True), (10, False)]

    async def work(pool: ServingPool) -> list[tuple[int, bool]]:
        store, outcomes = PostgresDriftStore(pool), PostgresOutcomes(pool)
        for days, is_usual in ages:
            at = now - timedelta(days=days)
            window = CheckedWindow(at - timedelta(days=7), at, 7.0, 0, 0)
            await store.record(DriftCheck(0, at, "OK", "as usual", window, 10.0, ()), "api", is_usual=is_usual)
        while await outcomes.delete_before(now - timedelta(days=90), 1):
            pass
        return [((now - past_check.checked_at).days, past_check.is_usual) for past_check in await store.recent(100)]

    assert with_pool(database_url, work) == [(10, False), (100, True), (400, True)]


def test_the_last_usual_check_is_never_deleted(database_url: str) -> None:
    """The last usual check is kept whatever its age, so that its time is known."""
    at = datetime.now(UTC) - timedelta(days=1_000)
    window = CheckedWindow(at - timedelta(days=7), at, 7.0, 0, 0)

    async def work(pool: ServingPool) -> bool:
        store = PostgresDriftStore(pool)
        await store.record(DriftCheck(0, at, "OK", "as usual", window, 10.0, ()), "watch", is_usual=True)
        n_deleted = await PostgresOutcomes(pool).delete_before(datetime.now(UTC) - timedelta(days=90), 10)
        return n_deleted == 0 and await store.last() is not None

    assert with_pool(database_url, work)


def test_a_notified_check_outlives_the_cool_down(database_url: str) -> None:
    """A notified check with other settings is kept for the cool-down, so that no second message is sent."""
    cooldown = timedelta(days=366)

    async def work(pool: ServingPool) -> bool:
        store = PostgresDriftStore(pool)
        notified = await recorded_alert(store, "cli", is_usual=False)
        assert await store.claim_notice(notified.check_id, cooldown)
        await store.settle_notice(notified.check_id, is_sent=True)
        await age(pool, 300)
        await PostgresOutcomes(pool).delete_before(datetime.now(UTC) - timedelta(days=90), 10)
        return await store.claim_notice((await recorded_alert(store)).check_id, cooldown)

    assert not with_pool(database_url, work)


def test_a_check_that_started_a_training_is_kept_like_a_usual_one(database_url: str) -> None:
    """A check that started a training is kept for two years, since the training names it."""

    async def work(pool: ServingPool) -> list[int]:
        store, outcomes = PostgresDriftStore(pool), PostgresOutcomes(pool)
        check = await recorded_alert(store, "cli", is_usual=False)
        assert await store.start_training(check.check_id, "drift", RULES.cooldown) is not None
        await age(pool, 300)
        n_deleted = [await outcomes.delete_before(datetime.now(UTC) - timedelta(days=90), 10)]
        await age(pool, 500)
        return [*n_deleted, await outcomes.delete_before(datetime.now(UTC) - timedelta(days=90), 10)]

    assert with_pool(database_url, work) == [0, 1]


def test_an_alert_that_waits_to_be_followed_is_not_deleted(database_url: str) -> None:
    """An alert that is not followed yet is kept for the longest cool-down, though a newer check was OK."""
    cooldown = timedelta(days=366)

    async def work(pool: ServingPool) -> list[int | None]:
        store = PostgresDriftStore(pool)
        waiting = await recorded_alert(store)
        await age(pool, 365)
        newer = replace(waiting, verdict="OK", checked_at=datetime.now(UTC))
        await store.record(newer, "watch", is_usual=True)
        await PostgresOutcomes(pool).delete_before(datetime.now(UTC) - timedelta(days=90), 10)
        unfollowed = await store.unfollowed(cooldown)
        return [waiting.check_id, unfollowed.check_id if unfollowed else None]

    waiting, unfollowed = with_pool(database_url, work)
    assert unfollowed == waiting


def test_of_many_lengths_of_a_baseline_the_newest_stay(database_url: str) -> None:
    """Only the newest lengths of a baseline are kept, so that many windows do not fill the disk."""
    promote_with_baseline(database_url, fill_weeks(database_url, NOW), 7)

    async def work(pool: ServingPool) -> list[bool]:
        store = PostgresDriftStore(pool)
        stored = (await store.baselines()).model
        assert stored is not None
        for days in range(LENGTHS_KEPT + 4, 0, -1):
            await store.keep_length(stored.baseline_id, replace(stored.baseline, window_days=days + 0.5))
        lengths = [days + 0.5 for days in range(1, LENGTHS_KEPT + 5)]
        return [await store.baseline_of_length(stored.baseline_id, length) is not None for length in lengths]

    assert with_pool(database_url, work) == [True] * LENGTHS_KEPT + [False] * 4


def test_pinning_waits_for_a_check_under_way(database_url: str) -> None:
    """Pinning and checking exclude each other, so no check is compared with a baseline that is being removed."""
    promote_with_baseline(database_url, fill_weeks(database_url, NOW), 7)

    async def work(pool: ServingPool) -> list[bool]:
        store = PostgresDriftStore(pool)
        source = PostgresDriftStatistics(pool)
        queries = DriftQueries(source.of_ratings, source.of_responses, source.sizes, source.extent, source.whole_log)
        flow = DriftFlow(queries, store, DriftRequest(7.0, 10.0), timedelta(days=1), lambda: NOW)
        async with flow._checking:
            pinning = asyncio.create_task(flow.pin(7))
            done, _ = await asyncio.wait([pinning], timeout=0.3)
        await pinning
        return [bool(done), (await store.baselines()).pinned is not None]

    assert with_pool(database_url, work) == [False, True]


class Receiver:
    """A receiver of alerts; it may never respond to the first message."""

    def __init__(self, *, hangs: bool = False) -> None:
        """Start without messages."""
        self.messages: list[Mapping[str, Any]] = []
        self.is_asked = asyncio.Event()
        self.hangs = hangs

    async def send(self, message: Mapping[str, Any]) -> bool:
        """Take a message."""
        self.is_asked.set()
        if self.hangs:
            await asyncio.Event().wait()
        self.messages.append(message)
        return True


RULES = AlertRules("alert", timedelta(hours=1))


async def recorded_alert(
    store: PostgresDriftStore, asked_by: CheckOrigin = "watch", *, is_usual: bool = True
) -> DriftCheck:
    """Return a recorded alert with the present time."""
    now = datetime.now(UTC)
    window = CheckedWindow(now - timedelta(days=7), now, 7.0, 10, 0)
    check = DriftCheck(0, now, "ALERT", "Horror moved", window, 10.0, ())
    return replace(check, check_id=await store.record(check, asked_by, is_usual=is_usual))


async def age(pool: ServingPool, days: int) -> None:
    """Move all recorded checks into the past by a number of days."""
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE cineclub.drift_checks SET checked_at = checked_at - make_interval(days => %(days)s), "
            "notice_claimed_at = notice_claimed_at - make_interval(days => %(days)s), "
            "notified_at = notified_at - make_interval(days => %(days)s)",
            {"days": days},
        )


def test_who_is_stopped_while_telling_leaves_it_to_the_next(database_url: str) -> None:
    """The claim is released, and the next process sends the same alert once."""

    async def work(pool: ServingPool) -> tuple[int, list[Mapping[str, Any]]]:
        store, hanging, webhook = PostgresDriftStore(pool), Receiver(hangs=True), Receiver()
        check = await recorded_alert(store)
        telling = asyncio.create_task(AlertActions(store, hanging.send, RULES).follow(check))
        await asyncio.wait_for(hanging.is_asked.wait(), 30)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        for _ in range(2):
            await AlertActions(store, webhook.send, RULES).catch_up()
        return check.check_id, webhook.messages

    check_id, messages = with_pool(database_url, work)
    assert [message["check_id"] for message in messages] == [check_id]


class StoreThatGoesAway(PostgresDriftStore):
    """PostgreSQL that goes away when a notice is claimed."""

    async def claim_notice(self, check_id: int, cooldown: timedelta) -> bool:
        """Fail as PostgreSQL does.

        Raises:
            StorageUnavailable: always.
        """
        message = f"PostgreSQL does not answer ({check_id}, {cooldown})"
        raise StorageUnavailable(message)


def test_an_alert_that_could_not_be_followed_is_followed_at_the_next_check(database_url: str) -> None:
    """An alert whose notice failed with PostgreSQL is followed later; one older than the cool-down is not."""

    async def work(pool: ServingPool) -> tuple[int, list[Mapping[str, Any]]]:
        store, webhook = PostgresDriftStore(pool), Receiver()
        response, check = AlertActions(store, webhook.send, RULES), await recorded_alert(store)
        with pytest.raises(StorageUnavailable):
            await AlertActions(StoreThatGoesAway(pool), webhook.send, RULES).follow(check)
        await AlertActions(store, webhook.send, AlertRules("alert", timedelta())).catch_up()
        assert webhook.messages == []
        await response.catch_up()
        return check.check_id, webhook.messages

    check_id, messages = with_pool(database_url, work)
    assert [message["check_id"] for message in messages] == [check_id]


def test_a_claim_of_who_was_killed_ends_after_two_minutes(database_url: str) -> None:
    """For two minutes no other process sends the alert or marks it as followed; then it is sent."""

    async def work(pool: ServingPool) -> list[int]:
        store, webhook = PostgresDriftStore(pool), Receiver()
        response, check = AlertActions(store, webhook.send, RULES), await recorded_alert(store)
        assert await store.claim_notice(check.check_id, RULES.cooldown)
        await response.catch_up()
        n_messages = [len(webhook.messages)]
        async with pool.connection() as connection:
            await connection.execute(
                "UPDATE cineclub.drift_checks SET notice_claimed_at = notice_claimed_at - interval '2 minutes'"
            )
        for _ in range(2):
            await response.catch_up()
            n_messages.append(len(webhook.messages))
        return n_messages

    assert with_pool(database_url, work) == [0, 1, 1]
