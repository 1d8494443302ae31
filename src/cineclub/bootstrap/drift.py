"""Settings -> what compares ratings and answers with what was normal, and what follows from drift."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cineclub.bootstrap.storage import database_url, external_schema
from cineclub.settings import Settings

if TYPE_CHECKING:
    from cineclub.adapters.postgres.serving_pool import ServingPool
    from cineclub.adapters.prometheus.metrics import PrometheusMetrics
    from cineclub.flows.drift import DriftFlow, DriftQuestion
    from cineclub.flows.drift_watch import DriftResponse, DriftWatch
    from cineclub.ports import DriftCheck, PastCheck

PAUSES_SECONDS = (1.0, 5.0)
"""Between the tries to tell of an alert."""


def drift_parts(
    settings: Settings, pool: "ServingPool", metrics: "PrometheusMetrics"
) -> "tuple[DriftFlow, DriftWatch]":
    """Return what checks drift on demand, and what does so by itself."""
    from cineclub.adapters.postgres.drift_checks import PostgresDriftChecks
    from cineclub.flows.drift_watch import DriftWatch

    flow = _flow(settings, pool)
    watch = DriftWatch(
        lambda: flow.check(flow.usual, "watch"),
        PostgresDriftChecks(pool),
        _response(settings, pool, metrics),
        metrics,
        timedelta(hours=settings.drift_check_hours),
        _now,
    )
    return flow, watch


async def check_drift(settings: Settings, question: "DriftQuestion") -> "DriftCheck":
    """Return a check asked for on the command line, after what follows from it; of the past nothing follows.

    Raises:
        InvalidInput: the window ends in the future.
        StorageUnavailable: PostgreSQL does not answer, or not in time.
    """
    async with _pool(settings) as pool:
        check = await _flow(settings, pool).check(question, "cli")
        return check if question.until is not None else await _response(settings, pool).follow(check)


async def pin_drift_baseline(settings: Settings, model_version: int | None) -> None:
    """Pin the baseline of a version, or without one take one from the ratings as they are.

    Raises:
        NotFound: the version has no baseline.
        NotEnoughData: there are no ratings yet.
    """
    async with _pool(settings) as pool:
        await _flow(settings, pool).pin(model_version)


async def unpin_drift_baseline(settings: Settings) -> None:
    """Let no baseline be pinned."""
    async with _pool(settings) as pool:
        await _flow(settings, pool).unpin()


async def drift_history(settings: Settings, limit: int) -> "list[PastCheck]":
    """Return the checks, newest first."""
    async with _pool(settings) as pool:
        return await _flow(settings, pool).history(limit)


def last_drift_check(settings: Settings) -> "PastCheck | None":
    """Return the newest check that asked what the settings ask; blocks."""
    from cineclub.adapters.postgres.drift_checks import last_check

    return last_check(database_url(settings))


def _flow(settings: Settings, pool: "ServingPool") -> "DriftFlow":
    """Return what checks drift."""
    from cineclub.adapters.postgres.drift import PostgresDriftStatistics
    from cineclub.adapters.postgres.drift_baselines import PostgresDriftBaselines
    from cineclub.adapters.postgres.drift_checks import PostgresDriftChecks
    from cineclub.flows.drift import DriftFlow, DriftQuestion

    return DriftFlow(
        PostgresDriftStatistics(pool, external_schema(settings)),
        PostgresDriftBaselines(pool),
        PostgresDriftChecks(pool),
        DriftQuestion(settings.drift_window_days, settings.drift_threshold_pct),
        _now,
    )


def _response(settings: Settings, pool: "ServingPool", metrics: "PrometheusMetrics | None" = None) -> "DriftResponse":
    """Return what does what is to follow from an alert."""
    from cineclub.adapters.postgres.drift_checks import PostgresDriftChecks
    from cineclub.adapters.webhook import Webhook
    from cineclub.flows.drift_watch import ActionRules, DriftResponse

    rules = ActionRules(settings.drift_action, timedelta(hours=settings.drift_cooldown_hours))
    secret = settings.alert_webhook
    on_lost = metrics.alert_lost if metrics else lambda: None
    receiver = Webhook(secret.get_secret_value(), on_lost, PAUSES_SECONDS) if secret else None
    return DriftResponse(PostgresDriftChecks(pool), receiver, rules)


@asynccontextmanager
async def _pool(settings: Settings) -> "AsyncIterator[ServingPool]":
    """Give connections for a command."""
    from cineclub.adapters.postgres.serving_pool import ServingPool

    pool = ServingPool(database_url(settings))
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


def _now() -> datetime:
    """Return the time."""
    return datetime.now(tz=UTC)
