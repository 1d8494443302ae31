"""A version that proves worse than the one it replaced is rolled back by itself, once, and says why."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from small_service import N_MOVIES, N_USERS, Service, eventually, fill, running, small_log, small_movies
from test_shadow import compared, metric, until_loaded
from typer.testing import CliRunner

from cineclub import bootstrap
from cineclub.adapters.postgres.comparisons import recent_looks
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.cli import diagnosis
from cineclub.cli.main import app
from cineclub.domain.errors import Conflict
from cineclub.domain.matrix import RatingMatrix
from cineclub.flows.probation import ProbationWatch
from cineclub.models import catalogue
from cineclub.ports import Promotion, RegisteredVersion, VersionRecord
from cineclub.settings import Settings
from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
pytestmark = pytest.mark.anyio

WATCHED: dict[str, Any] = {"shadow_share": 1.0, "probation_days": 1.0}
LOOKED_AFTER = timedelta(hours=1.6)  # past the first look, before the second

N_FEW = 8  # as many as the sign test needs at 99 %

Promote = Callable[[str], RegisteredVersion]


@pytest.fixture
def settings(bench_database: str, home: Path) -> Settings:
    """Settings of a home with a registry and the small catalogue."""
    fill(bench_database)
    return Settings(home=home, database_url=bench_database)


@pytest.fixture
def put_in_production(settings: Settings) -> Promote:
    """Fits a model on the small catalogue, registers it and promotes it, by the model's name."""
    registry = bootstrap.registry(settings)
    registry.open()

    def promoted(name: str) -> RegisteredVersion:
        log = small_log()
        fitted = catalogue.fit(
            catalogue.default_recipe(name), RatingMatrix.from_log(log), np.random.default_rng(0), lambda _: None
        )
        tags = {"verdict": "PROMOTE", "snapshot_n_ratings": str(len(log)), "snapshot_sha256": "ab" * 32}
        training_id = f"00000000-0000-0000-0000-{len(PromotionHistory(url_of(settings)).recent(100)):012d}"
        version = registry.register(training_id, fitted, small_movies(), VersionRecord(tags=tags))
        registry.put_into_production(version.version, "to try", "person")
        return version

    return promoted


def url_of(settings: Settings) -> str:
    """Return the address of the database."""
    return bootstrap.database_url(settings)


def history(settings: Settings) -> list[Promotion]:
    """Return what served, newest first."""
    return PromotionHistory(url_of(settings)).recent(100)


def watch_of(service: Service) -> ProbationWatch:
    """Return what makes the looks."""
    return next(one for one in service.parts.services_once if isinstance(one, ProbationWatch))


@asynccontextmanager
async def lived(settings: Settings, mode: str, rate: Callable[[str], None] | None = None) -> AsyncIterator[Service]:
    """Give the service after everybody asked it for films and rated some that they like, at the first look."""
    async with running(url_of(settings), settings.home, probation=mode, **WATCHED) as service:
        await until_loaded(service)
        for user in range(1, N_USERS + 1):
            await service.predict(user, 5)

        async def all_are_compared() -> bool:
            return len(await asyncio.to_thread(compared, url_of(settings))) == N_USERS

        await eventually(all_are_compared)
        await asyncio.to_thread(rate or rate_what_is_liked, url_of(settings))
        watch_of(service)._now = lambda: datetime.now(UTC) + LOOKED_AFTER
        yield service


def rate_what_is_liked(database_url: str) -> None:
    """Let everybody rate films that they had not rated: those of their own taste high, one of the others low."""
    rng = np.random.default_rng(3)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT user_id, movie_id FROM cineclub.ratings").fetchall()
        rated = set(rows)
        for user in range(1, N_USERS + 1):
            unseen = [film for film in range(1, N_MOVIES + 1) if (user, film) not in rated]
            liked = [film for film in unseen if film % 2 == user % 2][:4]
            others = [film for film in unseen if film % 2 != user % 2]
            for film in (*liked, int(rng.choice(others))):
                connection.execute(
                    "INSERT INTO cineclub.ratings VALUES (%s, %s, %s, clock_timestamp())",
                    (user, film, 4.5 if film in liked else 2.0),
                )


def rate_what_only_the_former_listed(database_url: str) -> None:
    """Let eight people like a film each that the other list of their answer held, and the shown one did not."""
    with psycopg.connect(database_url) as connection:
        answers = connection.execute("SELECT user_id, served_movie_ids, other_movie_ids FROM cineclub.comparisons")
        for user, served, other in answers.fetchall()[:N_FEW]:
            film = next(one for one in other if one not in served)
            connection.execute(
                "INSERT INTO cineclub.ratings SELECT id, %s, 5, clock_timestamp() FROM cineclub.users"
                " WHERE external_id = %s",
                (film, user),
            )


async def test_eight_people_of_one_mind_are_enough(settings: Settings, put_in_production: Promote) -> None:
    """By the exact sign test: the former version serves again, and nobody is shown an interval."""
    good, bad = put_in_production("ease"), put_in_production("random")
    async with lived(settings, "rollback", rate_what_only_the_former_listed) as service:
        found = (await service.client.get("/monitoring/comparisons")).json()
        await watch_of(service).look()
    newest = history(settings)[0]
    assert (newest.version, newest.promoted_by) == (good.version, "probation")
    assert newest.reason == (
        f"probation: {N_FEW} people liked more films of the lists of version {good.version}, 0 of version "
        f"{bad.version} (exact sign test at 99 %)"
    )
    [look] = recent_looks(url_of(settings), 10)
    assert (look.verdict, look.n_people, look.difference, look.low, look.high) == ("other_better", N_FEW, 1, None, None)
    [pair] = found["pairs"]
    assert (pair["verdict"], pair["difference"], pair["low"], pair["high"]) == ("other_better", 1, None, None)
    assert (pair["n_for_other"], pair["n_for_served"]) == (N_FEW, 0)


async def test_a_crippled_version_is_rolled_back_by_itself(settings: Settings, put_in_production: Promote) -> None:
    """A good version serves again, once for all processes; history, doctor, metrics and route say why."""
    good, bad = put_in_production("ease"), put_in_production("random")
    async with lived(settings, "rollback") as service, lived_again(settings) as second:
        await asyncio.gather(watch_of(service).look(), watch_of(second).look())

        async def serves_the_good_one() -> bool:
            return (await service.predict(2))["model"]["version"] == good.version

        await eventually(serves_the_good_one)
        await asyncio.gather(watch_of(service).look(), watch_of(second).look())
        assert await metric(service, "cineclub_probation_alarms 1.0")
        assert await metric(service, "cineclub_probation_alarm 0.0")
        found = (await service.client.get("/monitoring/comparisons")).json()
    newest = history(settings)[0]
    assert [(one.version, one.promoted_by) for one in history(settings)] == [
        (good.version, "probation"),
        (bad.version, "person"),
        (good.version, "person"),
    ]
    assert newest.verdict == "ROLLBACK"
    assert f"probation: lists of version {good.version} against version {bad.version}: +" in newest.reason
    assert bootstrap.registry(settings).aliased() == good
    [look] = recent_looks(url_of(settings), 10)
    assert (look.nth, look.verdict, look.confidence) == (1, "other_better", pytest.approx(0.99))
    [pair] = [one for one in found["pairs"] if one["purpose"] == "probation"]
    assert (pair["verdict"], pair["n_answers"], found["probation"]) == ("other_better", N_USERS, None)
    assert pair["low"] > 0
    assert pair["n_other_only_liked"] > pair["n_served_only_liked"]
    finding = diagnosis._probation(settings)
    assert (finding.status, "serves no more" in finding.what) == ("WARN", True)
    shown = CliRunner().invoke(app, ["models", "--history"], env=environment(settings))
    assert "ROLLBACK by probation" in " ".join(shown.output.split())
    assert "worse than the version before" in shown.output
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    [setback] = bootstrap.setbacks(settings)
    assert (setback.version, setback.recipe.model) == (bad.version, "random")


def environment(settings: Settings) -> dict[str, str]:
    """Return what the command line needs to know."""
    return {"CINECLUB_HOME": str(settings.home), "CINECLUB_DATABASE_URL": url_of(settings), "COLUMNS": "80"}


@asynccontextmanager
async def lived_again(settings: Settings) -> AsyncIterator[Service]:
    """Give a second process's service over the same database, at the first look."""
    async with running(url_of(settings), settings.home, probation="rollback", **WATCHED) as service:
        watch_of(service)._now = lambda: datetime.now(UTC) + LOOKED_AFTER
        yield service


async def test_an_alert_changes_nothing(
    settings: Settings, put_in_production: Promote, caplog: pytest.LogCaptureFixture
) -> None:
    """It is an error in the log, a gauge, a warning of the doctor, and on record; looked at once only."""
    put_in_production("ease")
    bad = put_in_production("random")
    async with lived(settings, "alert") as service:
        await watch_of(service).look()
        await watch_of(service).look()
        assert await metric(service, "cineclub_probation_alarm 1.0")
        found = (await service.client.get("/monitoring/comparisons")).json()
        assert (await service.predict(2))["model"]["version"] == bad.version
    assert history(settings)[0].version == bad.version
    assert caplog.text.count("probation_alarm version=") == 1
    [look] = found["probation"]["looks"]
    assert (found["probation_mode"], look["nth"], look["verdict"]) == ("alert", 1, "other_better")
    finding = diagnosis._probation(settings)
    assert (finding.status, "which serves" in finding.what) == ("WARN", True)


async def test_equals_stay(settings: Settings, put_in_production: Promote) -> None:
    """The same recipe over itself is no alarm at any look, and the look is on record."""
    put_in_production("ease")
    again = put_in_production("ease")
    async with lived(settings, "rollback") as service:
        for hours in (1.6, 3.1, 6.1, 12.1, 24.1, 48):
            watch_of(service)._now = lambda hours=hours: datetime.now(UTC) + timedelta(hours=hours)
            await watch_of(service).look()
        assert await metric(service, "cineclub_probation_alarm 0.0")
    assert history(settings)[0].version == again.version
    looks = recent_looks(url_of(settings), 10)
    assert [one.nth for one in looks] == [5, 4, 3, 2, 1]
    assert {one.verdict for one in looks} == {"no_difference"}
    assert diagnosis._probation(settings).status == "OK"


async def test_a_rollback_that_fails_is_tried_again(
    settings: Settings, put_in_production: Promote, caplog: pytest.LogCaptureFixture
) -> None:
    """The alarm stands until what serves has changed, also by a process that starts later."""
    good = put_in_production("ease")
    put_in_production("random")
    [copy] = (settings.home / "models").glob(f"{good.version}-*")
    kept = {path.name: path.read_bytes() for path in copy.iterdir()}
    stored = settings.home / "artifacts"
    async with lived(settings, "rollback") as service:
        (copy / "manifest.json").write_text("{")
        stored.rename(settings.home / "elsewhere")
        await watch_of(service).look()
        assert await metric(service, "cineclub_probation_alarm 1.0")
        assert "probation_rollback" in caplog.text
        assert history(settings)[0].version != good.version
        (settings.home / "elsewhere").rename(stored)
        copy.mkdir(exist_ok=True)
        for name, content in kept.items():
            (copy / name).write_bytes(content)
        await watch_of(service).look()
    assert (history(settings)[0].version, history(settings)[0].promoted_by) == (good.version, "probation")


def test_probation_does_not_undo_what_was_decided_since(settings: Settings, put_in_production: Promote) -> None:
    """A promotion that does not decide any more what serves is left alone."""
    put_in_production("ease")
    put_in_production("random")
    newest = history(settings)[0]
    put_in_production("bias")
    with pytest.raises(Conflict, match="does not decide any more"):
        bootstrap.end_probation(settings, newest.promotion_id, "too late")
    assert len(history(settings)) == 3
