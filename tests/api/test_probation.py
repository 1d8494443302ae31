"""Probation rolls back a version worse than its predecessor, once, with a reason."""

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

from cineclub.adapters.postgres.comparisons import recent_checks
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.bootstrap import storage
from cineclub.bootstrap.online_comparison import recent_rollbacks
from cineclub.cli import diagnosis
from cineclub.cli.main import app
from cineclub.domain.errors import Conflict
from cineclub.domain.promotion.records import Promotion
from cineclub.domain.promotion.versions import RegisteredVersion, VersionRecord
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.flows.probation import ProbationChecks
from cineclub.models import catalogue
from cineclub.settings import Settings
from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
pytestmark = pytest.mark.anyio

WATCHED: dict[str, Any] = {"shadow_share": 1.0, "probation_days": 1.0}
CHECKED_AFTER = timedelta(hours=1.6)  # after the first check, before the second

N_FEW = 8  # the number that the sign test needs at 99 %

Promote = Callable[[str], RegisteredVersion]


@pytest.fixture
def settings(bench_database: str, home: Path) -> Settings:
    """Settings of a home with a registry and the small catalogue."""
    fill(bench_database)
    return Settings(home=home, database_url=bench_database)


@pytest.fixture
def put_in_production(settings: Settings) -> Promote:
    """Fit a model on the small catalogue, register and promote it, by model name."""
    promotion = storage.promotion_flow(settings)
    promotion.versions.registry.open()

    def promoted(name: str) -> RegisteredVersion:
        log = small_log()
        fitted = catalogue.fit(
            catalogue.default_recipe(name), RatingMatrix.from_log(log), np.random.default_rng(0), lambda _: None
        )
        tags = {"verdict": "PROMOTE", "snapshot_n_ratings": str(len(log)), "snapshot_sha256": "ab" * 32}
        training_id = f"00000000-0000-0000-0000-{len(PostgresPromotions(url_of(settings)).recent(100)):012d}"
        version = promotion.versions.register(training_id, fitted, small_movies(), VersionRecord(tags=tags))
        promotion.promote(version.version, "to try")
        return version

    return promoted


def url_of(settings: Settings) -> str:
    """Return the address of the database."""
    return storage.database_url(settings)


def history(settings: Settings) -> list[Promotion]:
    """Return the promotions, newest first."""
    return PostgresPromotions(url_of(settings)).recent(100)


def watch_of(service: Service) -> ProbationChecks:
    """Return the probation task."""
    return next(task for task in service.parts.services_once if isinstance(task, ProbationChecks))


@asynccontextmanager
async def lived(settings: Settings, mode: str, rate: Callable[[str], None] | None = None) -> AsyncIterator[Service]:
    """Yield the service after all users requested and rated films, at the first check."""
    async with running(url_of(settings), settings.home, probation=mode, **WATCHED) as service:
        await until_loaded(service)
        for user in range(1, N_USERS + 1):
            await service.predict(user, 5)

        async def all_are_compared() -> bool:
            return len(await asyncio.to_thread(compared, url_of(settings))) == N_USERS

        await eventually(all_are_compared)
        await asyncio.to_thread(rate or rate_what_is_liked, url_of(settings))
        watch_of(service)._now = lambda: datetime.now(UTC) + CHECKED_AFTER
        yield service


def rate_what_is_liked(database_url: str) -> None:
    """Rate new films as every user: those of the user's taste high, one other low."""
    rng = np.random.default_rng(3)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT user_id, movie_id FROM cineclub.ratings").fetchall()
        rated = set(rows)
        for user in range(1, N_USERS + 1):
            unseen = [movie for movie in range(1, N_MOVIES + 1) if (user, movie) not in rated]
            liked = [movie for movie in unseen if movie % 2 == user % 2][:4]
            others = [movie for movie in unseen if movie % 2 != user % 2]
            for movie in (*liked, int(rng.choice(others))):
                connection.execute(
                    "INSERT INTO cineclub.ratings VALUES (%s, %s, %s, clock_timestamp())",
                    (user, movie, 4.5 if movie in liked else 2.0),
                )


def rate_what_only_the_former_listed(database_url: str) -> None:
    """Rate, as eight users, a film that only the other version's list held."""
    with psycopg.connect(database_url) as connection:
        comparisons = connection.execute("SELECT user_id, served_movie_ids, other_movie_ids FROM cineclub.comparisons")
        for user, served, other in comparisons.fetchall()[:N_FEW]:
            movie = next(listed_movie for listed_movie in other if listed_movie not in served)
            connection.execute(
                "INSERT INTO cineclub.ratings SELECT id, %s, 5, clock_timestamp() FROM cineclub.users"
                " WHERE external_id = %s",
                (movie, user),
            )


async def test_eight_people_of_one_mind_are_enough(settings: Settings, put_in_production: Promote) -> None:
    """By the exact sign test the former version serves again, and no interval is shown."""
    good, bad = put_in_production("ease"), put_in_production("random")
    async with lived(settings, "rollback", rate_what_only_the_former_listed) as service:
        comparisons = (await service.client.get("/monitoring/comparisons")).json()
        await watch_of(service).run_once()
    newest = history(settings)[0]
    assert (newest.version, newest.promoted_by) == (good.version, "probation")
    assert newest.reason == (
        f"probation: {N_FEW} people liked more films of the lists of version {good.version}, 0 of version "
        f"{bad.version} (exact sign test at 99 %)"
    )
    [check] = recent_checks(url_of(settings), 10)
    assert (check.verdict, check.n_people, check.difference, check.low, check.high) == (
        "other_better",
        N_FEW,
        1,
        None,
        None,
    )
    [pair] = comparisons["pairs"]
    assert (pair["verdict"], pair["difference"], pair["low"], pair["high"]) == ("other_better", 1, None, None)
    assert (pair["n_for_other"], pair["n_for_served"]) == (N_FEW, 0)


async def test_a_crippled_version_is_rolled_back_by_itself(settings: Settings, put_in_production: Promote) -> None:
    """The former version serves again, once for all processes; history, doctor, metrics and route give the reason."""
    good, bad = put_in_production("ease"), put_in_production("random")
    async with lived(settings, "rollback") as service, lived_again(settings) as second:
        await asyncio.gather(watch_of(service).run_once(), watch_of(second).run_once())

        async def serves_the_good_one() -> bool:
            return (await service.predict(2))["model"]["version"] == good.version

        await eventually(serves_the_good_one)
        await asyncio.gather(watch_of(service).run_once(), watch_of(second).run_once())
        assert await metric(service, "cineclub_probation_alarms 1.0")
        assert await metric(service, "cineclub_probation_alarm 0.0")
        comparisons = (await service.client.get("/monitoring/comparisons")).json()
    newest = history(settings)[0]
    assert [(promotion.version, promotion.promoted_by) for promotion in history(settings)] == [
        (good.version, "probation"),
        (bad.version, "person"),
        (good.version, "person"),
    ]
    assert newest.verdict == "ROLLBACK"
    assert f"probation: lists of version {good.version} against version {bad.version}: +" in newest.reason
    assert storage.registry(settings).aliased() == good
    [check] = recent_checks(url_of(settings), 10)
    assert (check.nth, check.verdict, check.confidence) == (1, "other_better", pytest.approx(0.99))
    [pair] = [
        pair_of_versions for pair_of_versions in comparisons["pairs"] if pair_of_versions["purpose"] == "probation"
    ]
    assert (pair["verdict"], pair["n_answers"], comparisons["probation"]) == ("other_better", N_USERS, None)
    assert pair["low"] > 0
    assert pair["n_other_only_liked"] > pair["n_served_only_liked"]
    finding = diagnosis._probation(settings)
    assert (finding.status, "no longer serves" in finding.what) == ("WARN", True)
    shown = CliRunner().invoke(app, ["models", "--history"], env=environment(settings))
    assert "ROLLBACK by probation" in " ".join(shown.output.split())
    assert "worse than the version before" in shown.output
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    [recent_rollback] = recent_rollbacks(settings)
    assert (recent_rollback.version, recent_rollback.recipe.model) == (bad.version, "random")


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the command line."""
    return {"CINECLUB_HOME": str(settings.home), "CINECLUB_DATABASE_URL": url_of(settings), "COLUMNS": "80"}


@asynccontextmanager
async def lived_again(settings: Settings) -> AsyncIterator[Service]:
    """Yield a second process's service over the same database, at the first check."""
    async with running(url_of(settings), settings.home, probation="rollback", **WATCHED) as service:
        watch_of(service)._now = lambda: datetime.now(UTC) + CHECKED_AFTER
        yield service


async def test_an_alert_changes_nothing(
    settings: Settings, put_in_production: Promote, caplog: pytest.LogCaptureFixture
) -> None:
    """An alert is logged as an error, shown in a gauge, the doctor and the record; it is checked once."""
    put_in_production("ease")
    bad = put_in_production("random")
    async with lived(settings, "alert") as service:
        await watch_of(service).run_once()
        await watch_of(service).run_once()
        assert await metric(service, "cineclub_probation_alarm 1.0")
        comparisons = (await service.client.get("/monitoring/comparisons")).json()
        assert (await service.predict(2))["model"]["version"] == bad.version
    assert history(settings)[0].version == bad.version
    assert caplog.text.count("probation_alarm version=") == 1
    [check] = comparisons["probation"]["looks"]
    assert (comparisons["probation_mode"], check["nth"], check["verdict"]) == ("alert", 1, "other_better")
    finding = diagnosis._probation(settings)
    assert (finding.status, "which serves" in finding.what) == ("WARN", True)


async def test_equals_stay(settings: Settings, put_in_production: Promote) -> None:
    """Two versions of one recipe raise no alarm at any check, and the checks are recorded."""
    put_in_production("ease")
    again = put_in_production("ease")
    async with lived(settings, "rollback") as service:
        for hours in (1.6, 3.1, 6.1, 12.1, 24.1, 48):
            watch_of(service)._now = lambda hours=hours: datetime.now(UTC) + timedelta(hours=hours)
            await watch_of(service).run_once()
        assert await metric(service, "cineclub_probation_alarm 0.0")
    assert history(settings)[0].version == again.version
    checks = recent_checks(url_of(settings), 10)
    assert [check.nth for check in checks] == [5, 4, 3, 2, 1]
    assert {check.verdict for check in checks} == {"no_difference"}
    assert diagnosis._probation(settings).status == "OK"


async def test_a_rollback_that_fails_is_tried_again(
    settings: Settings, put_in_production: Promote, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed rollback is tried again until production has changed, also by a process that starts later."""
    good = put_in_production("ease")
    put_in_production("random")
    [copy] = (settings.home / "models").glob(f"{good.version}-*")
    contents = {path.name: path.read_bytes() for path in copy.iterdir()}
    stored = settings.home / "artifacts"
    async with lived(settings, "rollback") as service:
        (copy / "manifest.json").write_text("{")
        stored.rename(settings.home / "elsewhere")
        await watch_of(service).run_once()
        assert await metric(service, "cineclub_probation_alarm 1.0")
        assert "probation_rollback" in caplog.text
        assert history(settings)[0].version != good.version
        (settings.home / "elsewhere").rename(stored)
        copy.mkdir(exist_ok=True)
        for name, content in contents.items():
            (copy / name).write_bytes(content)
        await watch_of(service).run_once()
    assert (history(settings)[0].version, history(settings)[0].promoted_by) == (good.version, "probation")


def test_probation_does_not_undo_what_was_decided_since(settings: Settings, put_in_production: Promote) -> None:
    """A promotion that has been superseded is left alone."""
    put_in_production("ease")
    put_in_production("random")
    newest = history(settings)[0]
    put_in_production("bias")
    with pytest.raises(Conflict, match="is not in production any more: nothing was rolled back"):
        storage.promotion_flow(settings).end_probation(newest.promotion_id, "too late")
    assert len(history(settings)) == 3
