"""Histories in memory are what PostgreSQL holds."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
import pytest

from cineclub.domain.ratings import UserRatings
from cineclub.flows.current_histories import CurrentHistories
from cineclub.ports import PopularMovie

pytestmark = pytest.mark.anyio


class SlowReader:
    """A reader whose answers come when the test lets them: the order of events is forced."""

    def __init__(self) -> None:
        """Nothing was asked."""
        self.asked: list[asyncio.Future[UserRatings]] = []

    async def ratings_of(self, user_id: str) -> UserRatings:  # noqa: ARG002 - one user is enough
        """Wait until the test answers."""
        answer: asyncio.Future[UserRatings] = asyncio.get_running_loop().create_future()
        self.asked.append(answer)
        return await answer

    async def ratings_of_many(self, user_ids: Sequence[str]) -> Mapping[str, UserRatings]:
        """Return nothing."""
        return dict.fromkeys(user_ids[:0], UserRatings.none())

    async def users(self) -> AsyncIterator[list[str]]:
        """Yield nobody."""
        yield []

    async def popular(self, limit: int) -> list[PopularMovie]:  # noqa: ARG002 - not asked here
        """Return nothing."""
        return []

    def forget(self, user_id: str) -> None:
        """Keep nothing, as always."""


def rating_of(value: float) -> UserRatings:
    """Return a history of one rating."""
    return UserRatings(np.array([1]), np.array([value], np.float32), np.array([0]))


async def read(histories: CurrentHistories, reader: SlowReader, found: UserRatings) -> UserRatings:
    """Read once; if the memory does not answer, the reader finds this."""
    n_asked = len(reader.asked)
    task = asyncio.create_task(histories.ratings_of("u"))
    await asyncio.sleep(0)
    if len(reader.asked) > n_asked:
        reader.asked[-1].set_result(found)
    return await task


async def test_nothing_is_kept_before_changes_are_told() -> None:
    """Without notices every history is read anew."""
    reader = SlowReader()
    histories = CurrentHistories(reader)
    await read(histories, reader, rating_of(1))
    assert (await read(histories, reader, rating_of(2))).ratings[0] == 2


async def test_a_kept_history_is_the_same_until_it_changes() -> None:
    """A second read does not ask; a change of the user, of everybody, and a lost line do."""
    reader = SlowReader()
    histories = CurrentHistories(reader)
    histories.trust()
    first = await read(histories, reader, rating_of(1))
    assert await read(histories, reader, rating_of(2)) is first
    for value, change in enumerate((lambda: histories.forget("u"), histories.forget_all, histories.distrust), start=2):
        change()
        histories.trust()
        assert (await read(histories, reader, rating_of(value))).ratings[0] == value


async def test_what_was_read_before_a_change_is_not_kept() -> None:
    """A notice that overtakes the read it makes stale: the stale history is answered once and not kept."""
    reader = SlowReader()
    histories = CurrentHistories(reader)
    histories.trust()
    early = asyncio.create_task(histories.ratings_of("u"))
    await asyncio.sleep(0)
    histories.forget("u")
    reader.asked[-1].set_result(rating_of(1))
    assert (await early).ratings[0] == 1
    assert (await read(histories, reader, rating_of(2))).ratings[0] == 2


async def test_what_was_asked_before_the_memory_was_trusted_is_not_kept() -> None:
    """A change between the read and the first notice was told to nobody."""
    reader = SlowReader()
    histories = CurrentHistories(reader)
    early = asyncio.create_task(histories.ratings_of("u"))
    await asyncio.sleep(0)
    histories.trust()
    reader.asked[-1].set_result(rating_of(1))
    await early
    assert (await read(histories, reader, rating_of(2))).ratings[0] == 2


async def test_a_read_that_was_asked_earlier_does_not_replace_a_later_one() -> None:
    """Two reads of one user may come back in the other order; the later one is kept."""
    reader = SlowReader()
    histories = CurrentHistories(reader)
    histories.trust()
    early, late = (asyncio.create_task(histories.ratings_of("u")) for _ in range(2))
    await asyncio.sleep(0)
    reader.asked[1].set_result(rating_of(2))
    await late
    reader.asked[0].set_result(rating_of(1))
    await early
    assert (await read(histories, reader, rating_of(3))).ratings[0] == 2
