"""Settings -> the flow of drift checks, scheduled checks, and the actions of alerts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from cineclub.adapters.postgres.drift import PostgresDriftStatistics
from cineclub.adapters.postgres.drift_store import PostgresDriftStore, last_check
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.adapters.webhook import Webhook
from cineclub.bootstrap.connections import serving_pool
from cineclub.bootstrap.storage import database_url, external_schema
from cineclub.domain.drift.records import DriftCheck, PastCheck
from cineclub.flows.drift import DriftFlow, DriftQueries, DriftRequest
from cineclub.flows.drift_alerts import AlertActions, AlertRules, ScheduledDriftChecks
from cineclub.runtime.machine import now
from cineclub.settings import Settings

RETRY_SECONDS = (1.0, 5.0)
"""Intervals between the attempts to send a notice."""


def drift_parts(
    settings: Settings, pool: ServingPool, metrics: PrometheusMetrics
) -> tuple[DriftFlow, ScheduledDriftChecks]:
    """Return the flow of drift checks, and the scheduled checks."""
    flow, interval = _flow(settings, pool), timedelta(hours=settings.drift_check_hours)
    scheduled = ScheduledDriftChecks(
        lambda: flow.check(flow.usual, "watch"),
        PostgresDriftStore(pool),
        _actions(settings, pool, metrics),
        lambda: metrics.drift_scheduled(interval, now()),
        metrics.drift_checked,
        interval,
        now,
    )
    return flow, scheduled


async def check_drift(settings: Settings, request: DriftRequest) -> DriftCheck:
    """Return a check for the command line, after its actions; a check of the past has none.

    Raises:
        InvalidInput: the window ends in the future.
        StorageUnavailable: PostgreSQL does not answer, or not in time.
    """
    async with _pool(settings) as pool:
        check = await _flow(settings, pool).check(request, "cli")
        return check if request.until is not None else await _actions(settings, pool).follow(check)


async def pin_drift_baseline(settings: Settings, model_version: int | None) -> None:
    """Pin the baseline of a version, or without one take one from the ratings as they are.

    Raises:
        NotFound: the version has no baseline.
        NotEnoughData: there are no ratings yet.
    """
    async with _pool(settings) as pool:
        await _flow(settings, pool).pin(model_version)


async def unpin_drift_baseline(settings: Settings) -> None:
    """Unpin the pinned baseline, if there is one."""
    async with _pool(settings) as pool:
        await _flow(settings, pool).unpin()


async def drift_history(settings: Settings, limit: int) -> list[PastCheck]:
    """Return the checks, newest first."""
    async with _pool(settings) as pool:
        return await _flow(settings, pool).history(limit)


def last_drift_check(settings: Settings) -> PastCheck | None:
    """Return the newest check with the parameters of the settings; blocks."""
    return last_check(database_url(settings))


def _flow(settings: Settings, pool: ServingPool) -> DriftFlow:
    """Return the flow of drift checks."""
    source = PostgresDriftStatistics(pool, external_schema(settings))
    return DriftFlow(
        DriftQueries(source.of_ratings, source.of_responses, source.sizes, source.extent, source.whole_log),
        PostgresDriftStore(pool),
        DriftRequest(settings.drift_window_days, settings.drift_threshold_pct),
        timedelta(hours=settings.drift_check_hours),
        now,
    )


def _actions(settings: Settings, pool: ServingPool, metrics: PrometheusMetrics | None = None) -> AlertActions:
    """Return the actions of alerts."""
    rules = AlertRules(settings.drift_action, timedelta(hours=settings.drift_cooldown_hours))
    secret = settings.alert_webhook
    on_lost = metrics.alert_lost if metrics else lambda: None
    send = Webhook(secret.get_secret_value(), on_lost, RETRY_SECONDS).send if secret else None
    return AlertActions(PostgresDriftStore(pool), send, rules)


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[ServingPool]:
    """Give connections for a command."""
    pool = serving_pool(settings)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()
