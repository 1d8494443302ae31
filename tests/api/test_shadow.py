"""Another version is asked beside the one that serves: off the request path, rightly, and never in anybody's way."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from small_service import FIRST_EXTERNAL_ID, Artifact, Service, eventually, film_ids, promote, running

from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.live_comparison import overlap, rank_overlap
from cineclub.domain.ratings import SnapshotIdentity
from cineclub.flows import shadow as shadow_module
from cineclub.flows.probation import ProbationRules, ProbationWatch
from cineclub.flows.shadow import Shadow
from cineclub.ports import KnownVersion, RegisteredVersion

pytestmark = pytest.mark.anyio

Artifacts = Callable[[str], Artifact]
SHADOWED: dict[str, Any] = {"shadow": "challenger", "shadow_share": 1.0}


def compared(database_url: str) -> list[dict[str, Any]]:
    """Return the compared answers, oldest first."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM cineclub.comparisons ORDER BY recommendation_id, purpose").fetchall()


def hold_challenger(database_url: str, home: Path, version: int, artifact: Artifact) -> None:
    """Register a version that the gate has held, with its copy on this machine."""
    learned = SnapshotIdentity(1, None, "0" * 64)
    promoted_at = PromotionHistory(database_url).recent(1)[0].promoted_at
    registered = RegisteredVersion(version, artifact.recipe, promoted_at, artifact.manifest_sha256, learned)
    known = KnownVersion(registered, None, "challenger", "HOLD", "inconclusive", {}, {}, "1")
    PromotionHistory(database_url).versions.note(known)
    shutil.copytree(artifact.folder, home / "models" / registered.copy_name)


def shadow_of(service: Service) -> Shadow:
    """Return what asks other versions."""
    return next(one for one in service.parts.services if isinstance(one, Shadow))


async def until_loaded(service: Service, n_rivals: int = 1) -> None:
    """Wait until so many versions are there to be asked."""

    async def are_loaded() -> bool:
        return len(shadow_of(service)._rivals) == n_rivals

    await eventually(are_loaded)


async def until_compared(database_url: str, n_answers: int) -> list[dict[str, Any]]:
    """Return the compared answers once there are so many."""

    async def are_there() -> bool:
        return len(await asyncio.to_thread(compared, database_url)) == n_answers

    await eventually(are_there)
    return compared(database_url)


def internal(answer: dict[str, Any]) -> list[int]:
    """Return the films of an answer by internal id."""
    return [one - FIRST_EXTERNAL_ID + 1 for one in film_ids(answer)]


async def metric(service: Service, line: str) -> bool:
    """Say whether a line stands in /metrics."""
    return line in (await service.client.get("/metrics")).text


async def test_a_challenger_is_asked_what_was_answered(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """Its list is what it would give as the served version, also with wishes and for people without an account."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    wishes = {"user_id": 3, "top_n": 4, "year_from": 1990, "diversity": 0.5}
    anonymous = {"ratings": [{"movie_id": 1002, "rating": 5}, {"movie_id": 1004, "rating": 4.5}], "top_n": 4}
    asked: list[dict[str, Any]] = [{"user_id": 2, "top_n": 5}, wishes, anonymous]
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        served = [(await service.client.post("/predict/", json=one)).json() for one in asked]
        rows = await until_compared(trained_url, 3)
        assert await metric(service, 'cineclub_compared_answers_total{purpose="shadow"} 3.0')
        await asyncio.to_thread(promote, trained_url, 2, artifacts("knn"))

        async def serves_challenger() -> bool:
            return (await service.predict(2))["model"]["version"] == 2

        await eventually(serves_challenger)
        other = [(await service.client.post("/predict/", json=one)).json() for one in asked]
    by_id = {str(row["recommendation_id"]): row for row in rows}
    for answer, would_be in zip(served, other, strict=True):
        row = by_id[answer["recommendation_id"]]
        assert row["served_movie_ids"] == internal(answer)
        assert row["other_movie_ids"] == internal(would_be)
        assert (row["purpose"], row["served_version"], row["other_version"]) == ("shadow", 1, 2)
        assert row["overlap"] == pytest.approx(overlap(internal(answer), internal(would_be)))
        assert row["rank_overlap"] == pytest.approx(rank_overlap(internal(answer), internal(would_be)), rel=1e-5)
    assert [by_id[one["recommendation_id"]]["user_id"] for one in served] == ["2", "3", None]


async def test_nothing_is_compared_unless_it_is_wanted(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """By default no other version is loaded, though there are a former one and a challenger."""
    await asyncio.to_thread(promote, trained_url, 2, artifacts("bias"))
    hold_challenger(trained_url, home, 3, artifacts("knn"))
    async with running(trained_url, home) as service:
        assert not any(isinstance(one, Shadow) for one in service.parts.services)
        await service.predict(2)
    assert compared(trained_url) == []


async def test_after_a_promotion_the_former_version_is_asked(
    trained_url: str, home: Path, artifacts: Artifacts
) -> None:
    """Beside a challenger too, and not after a rollback."""
    await asyncio.to_thread(promote, trained_url, 2, artifacts("bias"))
    hold_challenger(trained_url, home, 3, artifacts("knn"))
    async with running(trained_url, home, probation="alert", **SHADOWED) as service:
        await until_loaded(service, 2)
        await service.predict(2)
        rows = await until_compared(trained_url, 2)
        assert [(row["purpose"], row["other_version"]) for row in rows] == [("probation", 1), ("shadow", 3)]


async def test_only_a_share_is_compared(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """About as many as the setting says."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, shadow="challenger", shadow_share=0.3) as service:
        await until_loaded(service)
        watcher = shadow_of(service)
        chances = iter([0.1, 0.29, 0.3, 0.9] * 5)
        watcher._chance = lambda: next(chances)
        for number in range(20):
            await service.predict(number)
        await until_compared(trained_url, 10)


async def test_a_slow_challenger_delays_no_answer(
    trained_url: str, home: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it thinks, answers go on; what finds no room in the queue is dropped and counted."""
    monkeypatch.setattr(shadow_module, "MAX_WAITING", 3)
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        watcher = shadow_of(service)
        list_films = watcher._list_films

        def slowly(*asked: Any) -> Any:
            time.sleep(1.0)
            return list_films(*asked)

        watcher._list_films = slowly
        begun = time.monotonic()
        for number in range(20):
            await service.predict(number)
        assert time.monotonic() - begun < 5.0  # a wait for each would take twenty seconds
        assert await metric(service, 'cineclub_lost_comparisons_total{cause="dropped"} 1')


@pytest.mark.parametrize("damage", ["missing", "changed"])
async def test_a_broken_challenger_disturbs_nobody(
    trained_url: str, home: Path, artifacts: Artifacts, damage: str
) -> None:
    """It is counted and logged, answers go on, and a sound one that comes later is asked."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    [copy] = (home / "models").glob("2-*")
    if damage == "missing":
        shutil.rmtree(copy)
    else:
        (copy / "manifest.json").write_text("{")
    async with running(trained_url, home, **SHADOWED) as service:
        await eventually(lambda: metric(service, 'cineclub_lost_comparisons_total{cause="broken_version"} 1'))
        assert (await service.predict(2))["model"]["version"] == 1
        await asyncio.to_thread(hold_challenger, trained_url, home, 3, artifacts("bias"))
        await until_loaded(service)
        await service.predict(2)
        [row] = await until_compared(trained_url, 1)
    assert row["other_version"] == 3


async def test_a_challenger_that_fails_is_counted(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """Whatever it raises: the next question is asked again."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        watcher = shadow_of(service)
        list_films = watcher._list_films

        def failing(*_: Any) -> Any:
            message = "no such film"
            raise KeyError(message)

        watcher._list_films = failing
        await service.predict(2)
        await eventually(lambda: metric(service, 'cineclub_lost_comparisons_total{cause="failed"} 1'))
        watcher._list_films = list_films
        await service.predict(2)
        await until_compared(trained_url, 1)


async def test_whoever_is_erased_is_not_compared(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """Neither what waits of them, nor what is in hand, nor what was kept stays."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        await service.predict(4)
        await until_compared(trained_url, 1)
        watcher = shadow_of(service)
        list_films = watcher._list_films
        may_go_on = asyncio.Event()
        loop = asyncio.get_running_loop()

        def after_erasing(*asked: Any) -> Any:
            asyncio.run_coroutine_threadsafe(may_go_on.wait(), loop).result(10)
            return list_films(*asked)

        watcher._list_films = after_erasing
        for user_id in (4, 4, 5):
            await service.predict(user_id)
        response = await service.client.delete("/users/4")
        assert response.status_code == 200, response.text
        may_go_on.set()

        async def only_the_other_is_there() -> bool:
            return [row["user_id"] for row in await asyncio.to_thread(compared, trained_url)] == ["5"]

        await eventually(only_the_other_is_there)


async def test_degraded_answers_are_not_compared(service: Service) -> None:
    """They were made from less than the other version would know."""
    offered: list[Any] = []
    answer = await service.parts.predictor.predict(shadow_question())
    watcher = Shadow(*([None] * 4), shadow_rules(), lambda: offered.append(1), lambda: 0.0)  # type: ignore[arg-type]
    watcher._rivals = {shadow_module.Rival("shadow", 1, 2, ""): None}  # type: ignore[dict-item]
    watcher.offer(shadow_question(), None, replace(answer, degraded=True))  # type: ignore[arg-type]
    watcher.offer(shadow_question(), None, replace(answer, model_version=7))  # type: ignore[arg-type]
    assert not watcher._waiting
    watcher.offer(shadow_question(), None, answer)  # type: ignore[arg-type]
    assert len(watcher._waiting) == 1


def shadow_question() -> Any:
    """Return a question about a user."""
    return shadow_module.Question(user_id="2")


def shadow_rules() -> shadow_module.ShadowRules:
    """Return rules that compare everything."""
    return shadow_module.ShadowRules(has_challenger=True, probation_days=0.0, share=1.0, look_seconds=1.0)


class AwayWhenCancelled:
    """A database whose driver turns a cancelled query into an error of its own, as psycopg may."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.asked = asyncio.Event()

    async def standing(self) -> Any:
        """Hang until cancelled."""
        self.asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            message = "the query was cancelled"
            raise StorageUnavailable(message) from error

    async def looks(self, _limit: int) -> Any:
        """Hang until cancelled."""
        return await self.standing()


async def test_a_stop_in_the_middle_of_a_look_ends_it() -> None:
    """The service stops even where the cancelled look ends as a database error."""
    for make in (shadow_over, watch_over):
        store = AwayWhenCancelled()
        service = make(store)
        await service.start()
        async with asyncio.timeout(5):
            await store.asked.wait()
            await service.stop()


class Unwritable:
    """A database that fails in a way nobody foresaw, or hangs until it is given up."""

    def __init__(self, error: BaseException) -> None:
        """Fail with this."""
        self._error = error

    async def write(self, _batch: Any) -> None:
        """Fail."""
        raise self._error


class Lost:
    """Remembers what was lost."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.causes: list[str] = []

    def comparison_lost(self, cause: str) -> None:
        """Note it."""
        self.causes.append(cause)


async def test_comparisons_that_are_not_written_are_counted_whatever_the_cause() -> None:
    """An unforeseen error and a cancel go on to whoever knows what to do; an absent database is no error."""
    away, unforeseen, given_up = StorageUnavailable("away"), ValueError(), asyncio.CancelledError()
    for error, is_raised in ((away, False), (unforeseen, True), (given_up, True)):
        lost = Lost()
        rest: Any = (None, None, lost, shadow_rules(), lambda: None, lambda: 0.0)
        watcher = Shadow(Unwritable(error), *rest)  # type: ignore[arg-type]
        watcher._unwritten = [None, None]  # type: ignore[list-item]
        with pytest.raises(type(error)) if is_raised else contextlib.nullcontext():
            await watcher._write()
        assert lost.causes == ["not_written"] * 2


def shadow_over(store: Any) -> Shadow:
    """Return what asks other versions, over a store."""
    rest: Any = [None] * 3
    return Shadow(store, *rest, shadow_rules(), lambda: None, lambda: 0.0)  # type: ignore[arg-type,return-value]


def watch_over(store: Any) -> ProbationWatch:
    """Return what looks at probations, over a store."""
    rest: Any = [None] * 3
    return ProbationWatch(store, *rest, ProbationRules("alert", 1, 7, 0.01), lambda: None)  # type: ignore[arg-type,return-value]
