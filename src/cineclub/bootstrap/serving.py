"""Settings -> the parts of the API, and the commands that use them without HTTP."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

from cineclub.adapters.postgres.api_keys import KeyRing
from cineclub.adapters.postgres.crowd import PostgresCrowd
from cineclub.adapters.postgres.histories import PostgresHistories
from cineclub.adapters.postgres.movie_writes import PostgresMovieWriter, ReadOnlyMovies
from cineclub.adapters.postgres.movies import PostgresMovies
from cineclub.adapters.postgres.outcomes import PostgresOutcomes
from cineclub.adapters.postgres.predictions import PostgresPredictionLog
from cineclub.adapters.postgres.production import PostgresProduction
from cineclub.adapters.postgres.rating_notices import RatingNotices
from cineclub.adapters.postgres.rating_writes import PostgresRatingWriter, ReadOnlyRatings
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.postgres.training_facts import read_training_facts
from cineclub.adapters.processes.promotion_decider import PromotionDecider
from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.adapters.prometheus.processes import Processes, SeveralProcesses, count_alone
from cineclub.bootstrap.connections import serving_pool
from cineclub.bootstrap.drift import drift_parts
from cineclub.bootstrap.online_comparison import comparing
from cineclub.bootstrap.parts import ApiParts, HostPolicy
from cineclub.bootstrap.storage import (
    database_url,
    external_schema,
    model_store,
    people,
    promotions,
    training_jobs,
)
from cineclub.domain.access import AccessControl
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.flows.browsing import BrowsingFlow, CatalogueQueries
from cineclub.flows.cached_histories import CachedHistories, HistoryRefresher
from cineclub.flows.catalogue_keeper import CatalogueKeeper, CatalogueReads
from cineclub.flows.crowd import CrowdKeeper, CrowdQueries
from cineclub.flows.erasing import erase_user
from cineclub.flows.live_model import LiveModelHolder, LiveModelMetrics
from cineclub.flows.monitoring import MonitoringFlow, Retention, outcome_task
from cineclub.flows.prediction import PredictionFlow
from cineclub.models import catalogue
from cineclub.ports import ResponseObserver
from cineclub.runtime.allocator import give_back_free_memory
from cineclub.runtime.machine import now
from cineclub.runtime.periodic_tasks import Intervals, PeriodicTask
from cineclub.settings import LOOPBACK, Settings

log = logging.getLogger(__name__)

POOL_SECONDS, TRAININGS_SECONDS = 1.0, 2.0
"""Intervals at which the metrics of connections and of trainings are refreshed."""


def shared_api_parts(settings: Settings, worker_number: Callable[[], int]) -> tuple[ApiParts, Processes]:
    """Return the parts of the API for the processes that are forked from this one, and the metrics that they share.

    The metrics are in one folder per address, emptied. Where it cannot be written, as on a full disk, each process
    counts for itself: that they serve matters more.
    """
    folder = settings.home / "metrics" / f"{settings.host}-{settings.port}"
    processes: Processes
    try:
        processes = SeveralProcesses(folder, worker_number)
        return api_parts(settings, processes), processes
    except OSError as error:
        log.warning("metrics_not_shared folder=%s cause=%s", folder, error)
        processes = count_alone(folder)
        return api_parts(settings, processes), processes


def api_parts(settings: Settings, processes: Processes | None = None) -> ApiParts:
    """Return the parts of the API; nothing is opened before its services start.

    Args:
        settings: the settings.
        processes: the processes whose metrics one page shows; None is this one alone.
    """
    metrics, pool = PrometheusMetrics(processes), serving_pool(settings)
    keys, jobs, schema = KeyRing(pool), training_jobs(settings), external_schema(settings)
    movies = PostgresMovies(pool, schema)
    cache, histories, refresher = _histories(settings, pool, movies, schema)
    log = PostgresPredictionLog(pool, settings.prediction_log_size, metrics.rows_dropped, metrics.rows_waiting)
    live = _live_model_holder(settings, pool, metrics)
    monitoring, tasks, tasks_once = _monitoring(settings, pool, metrics)
    drift, drift_checks = drift_parts(settings, pool, metrics)
    crowd = _crowd(pool, movies, schema, metrics)
    keeper = _catalogue_keeper(movies, live, cache)
    promoter = PromotionDecider(database_url(settings), settings.home)
    compared = comparing(settings, pool, metrics, promoter, keeper.last)
    predictor = _predictor(settings, histories, cache, live, (log, *compared.shadows), metrics, crowd)
    notices = _notices(settings, pool, cache, predictor, crowd, keeper)
    return ApiParts(
        jobs=jobs,
        predictor=predictor,
        browser=_browser(keeper, movies, histories, live, crowd),
        ratings=ReadOnlyRatings() if schema else PostgresRatingWriter(pool, cache),
        movies=ReadOnlyMovies() if schema else PostgresMovieWriter(pool),
        catalogue=keeper,
        histories=histories,
        live=live,
        crowd=crowd,
        metrics=metrics,
        is_database_reachable=pool.is_reachable,
        services=(pool, keys, keeper, notices, refresher, log, live, crowd, *compared.shadows, *tasks),
        services_once=(*tasks_once, drift_checks, *compared.probations),
        model_names=tuple(catalogue.CATALOGUE),
        promoter=promoter,
        monitoring=monitoring,
        drift=drift,
        comparisons=compared.report,
        promotions=promotions(settings),
        erase_user=lambda user_id: erase_user(user_id, people(settings).erase, jobs.start, jobs.get),
        access_control=_access_control(settings, keys),
        host_policy=_host_policy(settings),
    )


def _histories(
    settings: Settings, pool: ServingPool, movies: PostgresMovies, schema: str | None
) -> tuple[HistoryCache, CachedHistories, HistoryRefresher]:
    """Return the cache of histories, the histories that it has, and what reads them again."""
    # the owner's views send notices of erased users, and none of changed ratings
    cache = HistoryCache(keeps_current=settings.history_cache, has_notices=schema is None)
    reader = PostgresHistories(pool, movies, schema)
    return cache, CachedHistories(reader, cache), HistoryRefresher(reader, cache)


def _predictor(
    settings: Settings,
    histories: CachedHistories,
    cache: HistoryCache,
    live: LiveModelHolder,
    observers: Sequence[ResponseObserver],
    metrics: PrometheusMetrics,
    crowd: CrowdKeeper,
) -> PredictionFlow:
    """Return the prediction flow."""
    count, step_back = metrics.count_response, settings.step_back
    return PredictionFlow(histories, cache, live.current, observers, count, now, crowd.current, step_back)


def _crowd(pool: ServingPool, movies: PostgresMovies, schema: str | None, metrics: PrometheusMetrics) -> CrowdKeeper:
    """Return the keeper of the crowd's counts."""
    source = PostgresCrowd(pool, movies, schema)
    queries = CrowdQueries(source.stored, source.older, source.recent, source.changes)
    return CrowdKeeper(queries, now, metrics.crowd_counted)


def _notices(
    settings: Settings,
    pool: ServingPool,
    cache: HistoryCache,
    predictor: PredictionFlow,
    crowd: CrowdKeeper,
    keeper: CatalogueKeeper,
) -> RatingNotices:
    """Return the listener to changes, which tells the cache, the flow, the crowd's counts and the catalogue."""

    def forget(user_id: str) -> None:
        predictor.forget(user_id)
        crowd.renew_soon()

    return RatingNotices(database_url(settings), pool, cache, forget, crowd.renew_soon, keeper.note_changes)


def _catalogue_keeper(movies: PostgresMovies, live: LiveModelHolder, cache: HistoryCache) -> CatalogueKeeper:
    """Return the keeper of the catalogue, which tells the model that serves."""
    reads = CatalogueReads(movies.everything, movies.texts_of, lambda: movies.popularity(None))
    return CatalogueKeeper(reads, live.take_catalogue, lambda: cache.is_trusted, now)


def _browser(
    keeper: CatalogueKeeper,
    movies: PostgresMovies,
    histories: CachedHistories,
    live: LiveModelHolder,
    crowd: CrowdKeeper,
) -> BrowsingFlow:
    """Return the flow that finds movies."""
    queries = CatalogueQueries(keeper.get, keeper.last, movies.texts_of, movies.popularity, histories.ratings_of)
    return BrowsingFlow(queries, live.current, crowd.current)


def _access_control(settings: Settings, keys: KeyRing) -> AccessControl:
    """Return what checks keys."""
    return AccessControl(keys.find, settings.requests_per_minute, monotonic, needs_keys=settings.needs_keys)


def _live_model_holder(settings: Settings, pool: ServingPool, metrics: PrometheusMetrics) -> LiveModelHolder:
    """Return the holder of the promoted model."""
    return LiveModelHolder(
        PostgresProduction(pool, external_schema(settings)).read,
        model_store(settings),
        LiveModelMetrics(metrics.model_served, metrics.model_refused, metrics.refusals_known),
        settings.model_poll_seconds,
        give_back_free_memory,
    )


def _monitoring(
    settings: Settings, pool: ServingPool, metrics: PrometheusMetrics
) -> tuple[MonitoringFlow, tuple[PeriodicTask, ...], tuple[PeriodicTask, ...]]:
    """Return the monitoring flow, and the tasks that refresh metrics: those of each process, and of one alone."""
    store = PostgresOutcomes(pool, external_schema(settings))
    monitoring = MonitoringFlow(store.count, store.delete_before, settings.outcome_window_days, now)
    retention = Retention(settings.outcome_refresh_seconds, settings.prediction_log_days)

    async def refresh_trainings() -> None:
        metrics.trainings_known(await read_training_facts(pool))

    async def refresh_pool() -> None:
        metrics.pool_used(pool.usage())

    trainings = PeriodicTask("trainings", refresh_trainings, Intervals(TRAININGS_SECONDS))
    connections = PeriodicTask("connections", refresh_pool, Intervals(POOL_SECONDS))
    return monitoring, (connections,), (trainings, outcome_task(monitoring, metrics.outcomes_known, retention))


def _host_policy(settings: Settings) -> HostPolicy:
    """Return the allowed host names: with keys any, unless names are set.

    Without keys any name would let a page of another site reach the service by DNS rebinding.
    """
    named = tuple(name.strip() for name in settings.allowed_hosts.split(",") if name.strip())
    own = (*LOOPBACK, "[::1]", settings.host)
    is_any = settings.needs_keys and not named
    return HostPolicy(("*",) if is_any else (*own, *named), settings.max_body_bytes)


@asynccontextmanager
async def running_api_parts(settings: Settings) -> AsyncIterator[ApiParts]:
    """Give the parts of the API with their services running, without the API."""
    parts = api_parts(settings)
    async with AsyncExitStack() as stack:
        for service in (*parts.services, *parts.services_once):
            await service.start()
            stack.push_async_callback(service.stop)
        yield parts


async def recommend_all(
    settings: Settings, output: Path, wanted: RecommendationRequest, progress: Callable[[int], None]
) -> int:
    """Write the recommendations of every user into a new file, and return the number of users.

    Raises:
        InvalidInput: the file is there already, or its name ends in neither .parquet nor .csv.
        NotEnoughData: there is no model and no rating at all.
    """
    from cineclub.adapters.files.recommendations import new_recommendations_file
    from cineclub.flows import recommending_all

    with new_recommendations_file(output) as write:
        async with running_api_parts(settings) as parts:
            await parts.crowd.first_read()
            return await recommending_all.recommend_all(
                parts.histories.users(), parts.predictor.predict_many, wanted, write, progress
            )
