"""When the crowd's counts are read again, and what serves meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cineclub.domain.errors import StorageMismatch, StorageUnavailable
from cineclub.domain.ratings.crowd import CrowdCounts, OlderChanges, OlderCounts
from cineclub.flows import crowd as crowd_flow
from cineclub.flows.crowd import CrowdKeeper, CrowdQueries

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 5, 5, 12, 0, 30, tzinfo=UTC)


class World:
    """A clock, and ratings as PostgreSQL would count them; ``failure`` is raised by every query."""

    def __init__(self) -> None:
        """Start at noon with one like of long ago and one of today."""
        self.now = NOON
        self.changes_known: OlderChanges = "none"
        self.failure: Exception | None = None
        self.read_seconds = 0.0
        self.stored: OlderCounts | None = None
        self.n_summed = self.n_recent = 0
        self.weight_today = 1.0
        self.reported: list[datetime] = []

    async def stored_counts(self, before: int) -> OlderCounts | None:
        """Return what a process has kept of that day."""
        self._fail()
        return self.stored if self.stored is not None and self.stored.counts.moment == before else None

    async def older(self, before: int, _known: OlderCounts | None) -> OlderCounts:
        """Sum anew."""
        self._fail()
        self.n_summed += 1
        counts = CrowdCounts(np.array([1]), np.ones((6, 1)), before, before, before - 1)
        self.stored = OlderCounts(counts, str(self.n_summed), self.now, self.read_seconds)
        return self.stored

    async def recent(self, _start: int, moment: int) -> CrowdCounts:
        """Return one film."""
        self._fail()
        self.n_recent += 1
        return CrowdCounts(np.array([2]), np.full((6, 1), self.weight_today), moment, moment, moment - 1)

    async def changes(self, older: OlderCounts) -> OlderChanges:
        """Return what changed since the newest sums."""
        self._fail()
        return self.changes_known if self.stored is older else "none"

    def _fail(self) -> None:
        """Fail where PostgreSQL would."""
        if self.failure is not None:
            raise self.failure

    def keeper(self) -> CrowdKeeper:
        """Return a keeper in this world."""
        queries = CrowdQueries(self.stored_counts, self.older, self.recent, self.changes)
        return CrowdKeeper(queries, lambda: self.now, self.reported.append)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which nobody waits long."""
    for name in ("WAKE_SECONDS", "RETRY_SECONDS", "START_SECONDS"):
        monkeypatch.setattr(crowd_flow, name, 0.02)
    return World()


async def read_again(keeper: CrowdKeeper, is_so: Callable[[], bool]) -> None:
    """Tell of a change until a condition holds."""
    for _ in range(500):
        keeper.renew_soon()
        if is_so():
            return
        await asyncio.sleep(0.01)
    pytest.fail("the counts were not read again")


async def running(keeper: CrowdKeeper, act: Callable[[], Awaitable[None]]) -> None:
    """Act while a keeper runs."""
    await keeper.start()
    try:
        await act()
    finally:
        await keeper.stop()


async def test_the_first_answer_has_counts(world: World) -> None:
    """When the start returns, the counts of the grid line are there, and their moment is reported."""
    keeper = world.keeper()
    assert keeper.current() is None

    async def act() -> None:
        counts = keeper.current()
        assert counts is not None
        assert counts.movie_ids.tolist() == [1, 2]
        assert world.reported == [NOON.replace(second=0)]

    await running(keeper, act)


async def test_counts_of_one_grid_line_that_differ_have_epochs_of_their_own(world: World) -> None:
    """Equal counts keep the object with its epoch; others of the same grid line, and later ones, get another."""
    keeper = world.keeper()

    async def act() -> None:
        first = keeper.current()
        await read_again(keeper, lambda: world.n_recent > 2)
        assert keeper.current() is first
        world.weight_today = 2.0
        await read_again(keeper, lambda: keeper.current() is not first)
        second = keeper.current()
        world.now += timedelta(minutes=5)
        await read_again(keeper, lambda: keeper.current() is not second)
        third = keeper.current()
        assert first is not None
        assert second is not None
        assert third is not None
        assert (first.moment, second.moment) == (second.moment, third.moment - 300_000_000)
        assert len({first.epoch, second.epoch, third.epoch}) == 3

    await running(keeper, act)


async def test_processes_have_equal_counts_for_a_grid_line(world: World) -> None:
    """Another process takes the older counts that one has kept, and has the same counts with the same epoch."""
    keepers = world.keeper(), world.keeper()
    for keeper in keepers:
        await keeper.start()
    first, second = keepers[0].current(), keepers[1].current()
    for keeper in keepers:
        await keeper.stop()
    assert first is not None
    assert second is not None
    assert first.is_same_as(second)
    assert first.epoch == second.epoch
    assert world.n_summed == 1


async def test_the_last_counts_serve_during_an_outage(world: World) -> None:
    """The clock does not go on without PostgreSQL; when it answers, the counts of then are read at once."""
    keeper = world.keeper()

    async def act() -> None:
        before = keeper.current()
        world.failure = StorageUnavailable("away")
        world.now += timedelta(days=30)
        for _ in range(10):
            keeper.renew_soon()
            await asyncio.sleep(0.01)
        assert keeper.current() is before
        world.failure = None
        for _ in range(500):  # nobody tells: it is tried again by itself
            if keeper.current() is not before:
                break
            await asyncio.sleep(0.01)
        after = keeper.current()
        assert after is not None
        assert after.moment == world.now.replace(second=0).timestamp() * 1e6
        assert np.isfinite(after.sums).all()

    await running(keeper, act)


@pytest.mark.parametrize("failure", [StorageUnavailable("away"), StorageMismatch("no view"), ValueError("a fault")])
async def test_a_start_without_postgresql_is_no_failure(world: World, failure: Exception) -> None:
    """The start returns without counts, whatever fails, and they come when it is over."""
    world.failure = failure
    keeper = world.keeper()

    async def act() -> None:
        assert keeper.current() is None
        world.failure = None
        await read_again(keeper, lambda: keeper.current() is not None)

    await running(keeper, act)


@pytest.mark.parametrize(
    ("changes", "read_seconds", "elapsed_seconds", "is_summed"),
    [
        ("none", 0.0, 86_000, False),
        ("some", 0.0, 1, True),
        ("some", 30.0, 1_000, False),
        ("some", 30.0, 2_000, True),
        ("erasure", 30.0, 1, True),
        ("unknown", 0.0, 3_000, False),
        ("unknown", 0.0, 4_000, True),
    ],
)
async def test_older_counts_are_summed_again_when_due(
    world: World, *, changes: OlderChanges, read_seconds: float, elapsed_seconds: float, is_summed: bool
) -> None:
    """An erasure counts at once, other changes after fifty times the sum's duration, views after an hour."""
    world.now = NOON.replace(hour=0)
    world.read_seconds = read_seconds
    keeper = world.keeper()

    async def act() -> None:
        world.changes_known = changes
        world.now += timedelta(seconds=elapsed_seconds)
        n_recent = world.n_recent
        await read_again(keeper, lambda: world.n_recent > n_recent)
        assert (world.n_summed > 1) is is_summed

    await running(keeper, act)


async def test_older_counts_are_summed_again_each_day(world: World) -> None:
    """On the next UTC day one day more is older."""
    keeper = world.keeper()

    async def act() -> None:
        world.now += timedelta(hours=12)
        await read_again(keeper, lambda: world.n_summed == 2)

    await running(keeper, act)


async def test_nobodys_likes_are_no_counts(world: World) -> None:
    """Without any like there are no counts, so that the context that is frozen with a model serves."""

    async def nobody(_start: int, moment: int) -> CrowdCounts:
        return CrowdCounts.empty(moment)

    async def nobody_before(before: int, _known: OlderCounts | None) -> OlderCounts:
        return OlderCounts(CrowdCounts.empty(before), "", world.now, 0.0)

    keeper = CrowdKeeper(CrowdQueries(world.stored_counts, nobody_before, nobody, world.changes), lambda: world.now)

    async def act() -> None:
        assert keeper.current() is None

    await running(keeper, act)


async def test_new_likes_do_not_wait_for_older_sums(world: World) -> None:
    """While older ratings are summed, which may take minutes, the new likes are counted with the former sums."""
    keeper = world.keeper()
    sum_of_world, is_summing, may_go_on = world.older, asyncio.Event(), asyncio.Event()

    async def slow(before: int, known: OlderCounts | None) -> OlderCounts:
        is_summing.set()
        await may_go_on.wait()
        return await sum_of_world(before, known)

    async def act() -> None:
        keeper._queries = CrowdQueries(world.stored_counts, slow, world.recent, world.changes)
        first, world.changes_known, world.weight_today = keeper.current(), "erasure", 3.0
        keeper.renew_soon()
        await asyncio.wait_for(is_summing.wait(), 10)
        during = keeper.current()
        assert during is not first
        assert during is not None
        assert during.sums[0, 1] == 3.0
        may_go_on.set()

    await running(keeper, act)
