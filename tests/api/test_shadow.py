"""Shadow predictions of another version: off the request path, equal to real ones, and without side effects."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from small_service import FIRST_EXTERNAL_ID, N_MOVIES, Artifact, Service, eventually, movie_ids, promote, running

from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.promotion.online_comparison import overlap, rank_overlap
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion
from cineclub.domain.ratings.log import SnapshotIdentity, UserRatings
from cineclub.domain.recommend.recommendations import PredictionResponse, ServedResponse
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.flows import shadow as shadow_module
from cineclub.flows.probation import ComparisonQueries, ProbationChecks, ProbationRules
from cineclub.flows.shadow import Shadow, ShadowMetrics

pytestmark = pytest.mark.anyio

Artifacts = Callable[[str], Artifact]
SHADOWED: dict[str, Any] = {"shadow": "challenger", "shadow_share": 1.0}


def compared(database_url: str) -> list[dict[str, Any]]:
    """Return the recorded comparisons, oldest first."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM cineclub.comparisons ORDER BY recommendation_id, purpose").fetchall()


def hold_challenger(database_url: str, home: Path, version: int, artifact: Artifact) -> None:
    """Register a held version, with its local copy."""
    learned = SnapshotIdentity(1, None, "0" * 64)
    promoted_at = PostgresPromotions(database_url).recent(1)[0].promoted_at
    registered = RegisteredVersion(version, artifact.recipe, promoted_at, artifact.manifest_sha256, learned)
    known = KnownVersion(registered, None, "challenger", "HOLD", "inconclusive", {}, {}, "1")
    PostgresPromotions(database_url).note_version(known)
    shutil.copytree(artifact.folder, home / "models" / registered.copy_name)


def show_in_visits(database_url: str, user_id: str, movie_ids: Sequence[int]) -> None:
    """Log a list of these films in each of the user's last eight visits."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO cineclub.predictions (recommendation_id, answered_at, user_id, strategy, movie_ids, scores,"
            " latency_seconds, degraded) SELECT gen_random_uuid(), now() - make_interval(hours => 2 * visit), %s,"
            " 'model', %s, %s, 0.01, false FROM generate_series(1, 8) AS visit",
            (user_id, list(movie_ids), [1.0] * len(movie_ids)),
        )


def shadow_of(service: Service) -> Shadow:
    """Return the shadow task."""
    return next(task for task in service.parts.services if isinstance(task, Shadow))


async def until_loaded(service: Service, n_opponents: int = 1) -> None:
    """Wait until a number of other versions is loaded."""

    async def are_loaded() -> bool:
        return len(shadow_of(service)._opponents) == n_opponents

    await eventually(are_loaded)


async def until_compared(database_url: str, n_answers: int) -> list[dict[str, Any]]:
    """Return the recorded comparisons once there is a given number."""

    async def are_there() -> bool:
        return len(await asyncio.to_thread(compared, database_url)) == n_answers

    await eventually(are_there)
    return compared(database_url)


def internal(body: dict[str, Any]) -> list[int]:
    """Return the recommended films by internal id."""
    return [movie_id - FIRST_EXTERNAL_ID + 1 for movie_id in movie_ids(body)]


async def metric(service: Service, line: str) -> bool:
    """Return whether /metrics has a line."""
    return line in (await service.client.get("/metrics")).text


async def test_a_challenger_gets_the_same_requests(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """The shadow list equals the list that the version gives when served.

    So it is with filters, without an account, with the same share of the trend, and after the same impressions.
    """
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    show_in_visits(trained_url, "2", range(1, N_MOVIES, 3))
    filtered = {"user_id": 3, "top_n": 4, "year_from": 1990, "diversity": 0.5}
    anonymous = {"ratings": [{"movie_id": 1002, "rating": 5}, {"movie_id": 1004, "rating": 4.5}], "top_n": 4}
    fresh = {"user_id": 5, "top_n": 5, "fresh": 0.5}
    requests: list[dict[str, Any]] = [{"user_id": 2, "top_n": 5}, filtered, anonymous, fresh]
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        served = [(await service.client.post("/predict/", json=request)).json() for request in requests]
        rows = await until_compared(trained_url, 4)
        assert await metric(service, 'cineclub_compared_answers_total{purpose="shadow"} 4.0')
        await asyncio.to_thread(promote, trained_url, 2, artifacts("knn"))

        async def serves_challenger() -> bool:
            return (await service.predict(2))["model"]["version"] == 2

        await eventually(serves_challenger)
        other = [(await service.client.post("/predict/", json=request)).json() for request in requests]
    by_id = {str(row["recommendation_id"]): row for row in rows}
    for served_list, other_list in zip(served, other, strict=True):
        row = by_id[served_list["recommendation_id"]]
        assert row["served_movie_ids"] == internal(served_list)
        assert row["other_movie_ids"] == internal(other_list)
        assert (row["purpose"], row["served_version"], row["other_version"]) == ("shadow", 1, 2)
        assert row["overlap"] == pytest.approx(overlap(internal(served_list), internal(other_list)))
        assert row["rank_overlap"] == pytest.approx(rank_overlap(internal(served_list), internal(other_list)), rel=1e-5)
    assert [by_id[response["recommendation_id"]]["user_id"] for response in served] == ["2", "3", None, "5"]


async def test_nothing_is_compared_unless_it_is_wanted(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """By default no other version is loaded, though there are a former version and a challenger."""
    await asyncio.to_thread(promote, trained_url, 2, artifacts("bias"))
    hold_challenger(trained_url, home, 3, artifacts("knn"))
    async with running(trained_url, home) as service:
        assert not any(isinstance(task, Shadow) for task in service.parts.services)
        await service.predict(2)
    assert compared(trained_url) == []


async def test_after_a_promotion_the_former_version_is_compared(
    trained_url: str, home: Path, artifacts: Artifacts
) -> None:
    """The former version is compared, next to a challenger too, and not after a rollback."""
    await asyncio.to_thread(promote, trained_url, 2, artifacts("bias"))
    hold_challenger(trained_url, home, 3, artifacts("knn"))
    async with running(trained_url, home, probation="alert", **SHADOWED) as service:
        await until_loaded(service, 2)
        await service.predict(2)
        rows = await until_compared(trained_url, 2)
        assert [(row["purpose"], row["other_version"]) for row in rows] == [("probation", 1), ("shadow", 3)]


async def test_only_a_share_is_compared(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """The share of compared responses is about that of the setting."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, shadow="challenger", shadow_share=0.3) as service:
        await until_loaded(service)
        watcher = shadow_of(service)
        chances = iter([0.1, 0.29, 0.3, 0.9] * 5)
        watcher._random = lambda: next(chances)
        for number in range(20):
            await service.predict(number)
        await until_compared(trained_url, 10)


async def test_a_slow_challenger_delays_no_response(
    trained_url: str, home: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow challenger delays no response; requests beyond the queue are dropped and counted."""
    monkeypatch.setattr(shadow_module, "MAX_WAITING", 3)
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        watcher = shadow_of(service)
        recommend = watcher._recommend

        def slowly(*params: Any) -> Any:
            time.sleep(1.0)
            return recommend(*params)

        watcher._recommend = slowly
        begun = time.monotonic()
        for number in range(20):
            await service.predict(number)
        assert time.monotonic() - begun < 5.0  # waiting for each would take twenty seconds
        assert await metric(service, 'cineclub_lost_comparisons_total{cause="dropped"} 1')


@pytest.mark.parametrize("damage", ["missing", "changed"])
async def test_a_broken_challenger_disturbs_nobody(
    trained_url: str, home: Path, artifacts: Artifacts, damage: str
) -> None:
    """A broken challenger is counted and logged, responses go on, and a later sound one is compared."""
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
    """Any exception of a challenger is counted, and the next request is compared again."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        watcher = shadow_of(service)
        recommend = watcher._recommend

        def failing(*_: Any) -> Any:
            message = "no such film"
            raise KeyError(message)

        watcher._recommend = failing
        await service.predict(2)
        await eventually(lambda: metric(service, 'cineclub_lost_comparisons_total{cause="failed"} 1'))
        watcher._recommend = recommend
        await service.predict(2)
        await until_compared(trained_url, 1)


async def test_whoever_is_erased_is_not_compared(trained_url: str, home: Path, artifacts: Artifacts) -> None:
    """Queued, running and recorded comparisons of an erased user are removed."""
    hold_challenger(trained_url, home, 2, artifacts("knn"))
    async with running(trained_url, home, **SHADOWED) as service:
        await until_loaded(service)
        await service.predict(4)
        await until_compared(trained_url, 1)
        watcher = shadow_of(service)
        recommend = watcher._recommend
        may_go_on = asyncio.Event()
        loop = asyncio.get_running_loop()

        def after_erasing(*params: Any) -> Any:
            asyncio.run_coroutine_threadsafe(may_go_on.wait(), loop).result(10)
            return recommend(*params)

        watcher._recommend = after_erasing
        for user_id in (4, 4, 5):
            await service.predict(user_id)
        response = await service.client.delete("/users/4")
        assert response.status_code == 200, response.text
        may_go_on.set()

        async def only_the_other_is_there() -> bool:
            return [row["user_id"] for row in await asyncio.to_thread(compared, trained_url)] == ["5"]

        await eventually(only_the_other_is_there)


async def test_degraded_responses_are_not_compared(service: Service) -> None:
    """Degraded responses, which were made without the database, are not compared."""
    response = await service.parts.predictor.predict(shadow_request())
    watcher = Shadow(*([None] * 4), shadow_rules(), lambda: None, lambda: 0.0)  # type: ignore[arg-type]
    watcher._opponents = {shadow_module.Opponent("shadow", 1, 2, ""): None}  # type: ignore[dict-item]
    watcher.observe(served(replace(response, degraded=True)))
    watcher.observe(served(replace(response, model_version=7)))
    assert not watcher._waiting
    watcher.observe(served(response))
    assert len(watcher._waiting) == 1


def shadow_request() -> RecommendationRequest:
    """Return a request for a user."""
    return RecommendationRequest(user_id="2")


def served(response: PredictionResponse) -> ServedResponse:
    """Return a response as observers receive it."""
    return ServedResponse(shadow_request(), UserRatings.none(), response, datetime.now(UTC), 0.01)


def shadow_rules() -> shadow_module.ShadowRules:
    """Return rules that compare everything."""
    return shadow_module.ShadowRules(has_challenger=True, probation_days=0.0, share=1.0, interval_seconds=1.0)


class AwayWhenCancelled:
    """A database whose driver turns a cancelled query into an error of its own, as psycopg may."""

    def __init__(self) -> None:
        """Start before the first read."""
        self.entered = asyncio.Event()

    async def standing(self) -> Any:
        """Hang until cancelled."""
        self.entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            message = "the query was cancelled"
            raise StorageUnavailable(message) from error

    async def checks(self, _limit: int) -> Any:
        """Hang until cancelled."""
        return await self.standing()


async def test_a_stop_in_the_middle_of_a_check_ends_it() -> None:
    """The service stops even where the cancelled look ends as a database error."""
    for make in (shadow_over, watch_over):
        store = AwayWhenCancelled()
        service = make(store)
        await service.start()
        async with asyncio.timeout(5):
            await store.entered.wait()
            await service.stop()


class Unwritable:
    """A database that fails unexpectedly, or hangs until it is cancelled."""

    def __init__(self, error: BaseException) -> None:
        """Fail with this."""
        self._error = error

    async def write(self, _batch: Any) -> None:
        """Fail."""
        raise self._error


class Lost:
    """Counts lost comparisons."""

    def __init__(self) -> None:
        """Start at zero."""
        self.causes: list[str] = []

    def comparison_lost(self, cause: str) -> None:
        """Note it."""
        self.causes.append(cause)


async def test_comparisons_that_are_not_written_are_counted_whatever_the_cause() -> None:
    """Unexpected errors and cancellations propagate once the loss is counted; an outage does not raise."""
    away, unforeseen, given_up = StorageUnavailable("away"), ValueError(), asyncio.CancelledError()
    for error, is_raised in ((away, False), (unforeseen, True), (given_up, True)):
        lost = Lost()
        rest: Any = (None, ShadowMetrics(None, lost.comparison_lost), shadow_rules(), lambda: None, lambda: 0.0)
        watcher = Shadow(None, Unwritable(error).write, *rest)  # type: ignore[arg-type]
        watcher._unwritten = [None, None]  # type: ignore[list-item]
        with pytest.raises(type(error)) if is_raised else contextlib.nullcontext():
            await watcher._write()
        assert lost.causes == ["not_written"] * 2


def shadow_over(store: Any) -> Shadow:
    """Return the shadow task over a store."""
    rest: Any = [None] * 3
    return Shadow(store.standing, *rest, shadow_rules(), lambda: None, lambda: 0.0)  # type: ignore[arg-type,return-value]


def watch_over(store: Any) -> ProbationChecks:
    """Return the probation task over a store."""
    rest: Any = [None] * 3
    queries = ComparisonQueries(store.standing, None, store.checks, None)  # type: ignore[arg-type]
    return ProbationChecks(queries, *rest, ProbationRules("alert", 1, 7, 0.01), lambda: None)  # type: ignore[arg-type,return-value]
