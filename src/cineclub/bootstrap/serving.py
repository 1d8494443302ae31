"""Settings -> the parts of the API, and what uses them without HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from cineclub.bootstrap.comparing import comparing
from cineclub.bootstrap.drift import drift_parts
from cineclub.bootstrap.storage import api_keys, database_url, external_schema, people, promotions, training_jobs
from cineclub.domain.access import Doorkeeper
from cineclub.domain.errors import Conflict
from cineclub.settings import Settings

if TYPE_CHECKING:
    from cineclub.adapters.postgres.api_keys import KeyRing
    from cineclub.adapters.postgres.films import PostgresFilms
    from cineclub.adapters.postgres.predictions import PostgresPredictionLog
    from cineclub.adapters.postgres.rating_notices import RatingNotices
    from cineclub.adapters.postgres.serving_pool import ServingPool
    from cineclub.adapters.prometheus.metrics import PrometheusMetrics
    from cineclub.adapters.prometheus.processes import SeveralProcesses
    from cineclub.background import Watch
    from cineclub.flows.current_histories import CurrentHistories
    from cineclub.flows.live_model import LiveModelHolder
    from cineclub.flows.monitoring import MonitoringFlow, OutcomeWatch
    from cineclub.flows.prediction import PredictionFlow
    from cineclub.ports import RatingWriter
    from cineclub.serving import ApiParts, Doors, Erasing

POOL_LOOK_SECONDS, TRAININGS_LOOK_SECONDS = 1.0, 2.0
"""How often /metrics learns of connections and of trainings."""


def shared_metrics(settings: Settings, worker_number: Callable[[], int]) -> "SeveralProcesses":
    """Return where the metrics of several API processes meet: a folder of this address's own, emptied."""
    from cineclub.adapters.prometheus.processes import SeveralProcesses

    return SeveralProcesses(settings.home / "metrics" / f"{settings.host}-{settings.port}", worker_number)


def api_parts(settings: Settings, processes: "SeveralProcesses | None" = None) -> "ApiParts":
    """Return everything that the API's routes call; nothing is opened before its services start.

    Args:
        settings: what is served.
        processes: where metrics meet if several processes are forked from this one.
    """
    from cineclub.adapters.postgres.serving_pool import ServingPool
    from cineclub.adapters.processes.promoting import PromotingProcess
    from cineclub.adapters.prometheus.metrics import PrometheusMetrics
    from cineclub.flows.browsing import BrowsingFlow
    from cineclub.flows.prediction import PredictionFlow
    from cineclub.models import catalogue
    from cineclub.serving import ApiParts

    metrics = PrometheusMetrics(processes)
    pool = ServingPool(database_url(settings))
    films, histories = _films_and_histories(settings, pool)
    keys, doorkeeper = _guard(settings, pool)
    log = _prediction_log(settings, pool, metrics)
    live = _live_model_holder(settings, pool, metrics)
    monitoring, watch, watches_once = _monitoring(settings, pool, metrics)
    drift, drift_watch = drift_parts(settings, pool, metrics)
    compared = comparing(settings, pool, metrics, promoter := PromotingProcess(database_url(settings), settings.home))
    predictor = PredictionFlow(histories, live, log, metrics, lambda: datetime.now(tz=UTC), compared.observer)
    return ApiParts(
        jobs=training_jobs(settings),
        predictor=predictor,
        browser=BrowsingFlow(films, histories, live),
        ratings=_rating_writer(settings, pool, histories),
        histories=histories,
        live=live,
        metrics=metrics,
        is_database_reachable=pool.is_reachable,
        services=(pool, keys, *_notices(settings, pool, histories, predictor), log, live, *compared.services, watch),
        services_once=(*watches_once, drift_watch, *compared.services_once),
        model_names=tuple(catalogue.CATALOGUE),
        promoter=promoter,
        monitoring=monitoring,
        drift=drift,
        comparisons=compared.report,
        promotions=promotions(settings),
        erase_user=_erasing(settings),
        doorkeeper=doorkeeper,
        doors=_doors(settings),
    )


def _films_and_histories(settings: Settings, pool: "ServingPool") -> "tuple[PostgresFilms, CurrentHistories]":
    """Return where films and histories are read; histories stay in memory once notices say that they may."""
    from cineclub.adapters.postgres.films import PostgresFilms
    from cineclub.adapters.postgres.histories import PostgresHistories
    from cineclub.flows.current_histories import CurrentHistories

    films = PostgresFilms(pool, external_schema(settings))
    reader = PostgresHistories(pool, films, external_schema(settings))
    return films, CurrentHistories(reader, is_keeping=settings.history_cache)


def _rating_writer(settings: Settings, pool: "ServingPool", histories: "CurrentHistories") -> "RatingWriter":
    """Return what writes ratings and tells the memory of histories at once; the owner's views are not written to."""
    from cineclub.adapters.postgres.rating_writes import PostgresRatingWriter, ReadOnlyRatings

    return ReadOnlyRatings() if external_schema(settings) else PostgresRatingWriter(pool, histories.forget)


def _notices(
    settings: Settings, pool: "ServingPool", histories: "CurrentHistories", predictor: "PredictionFlow"
) -> "tuple[RatingNotices, ...]":
    """Return what tells of changed ratings and erased users; the owner's views tell of nothing."""
    from cineclub.adapters.postgres.rating_notices import RatingNotices

    if external_schema(settings) is not None:
        return ()
    return (RatingNotices(database_url(settings), pool, histories, predictor.forget),)


def _live_model_holder(settings: Settings, pool: "ServingPool", metrics: "PrometheusMetrics") -> "LiveModelHolder":
    """Return what keeps the promoted model in memory."""
    from cineclub.adapters.artifacts import read_artifact
    from cineclub.adapters.postgres.production import PostgresProduction
    from cineclub.adapters.processes.memory import give_back_free_memory
    from cineclub.flows.live_model import LiveModelHolder

    return LiveModelHolder(
        PostgresProduction(pool, external_schema(settings)),
        read_artifact,
        settings.home / "models",
        metrics,
        settings.model_poll_seconds,
        give_back_free_memory,
    )


def keep_memory_together() -> None:
    """Let a process that serves for long, and loads model after model, not grow; to be called as it begins."""
    from cineclub.adapters.processes.memory import keep_one_arena

    keep_one_arena()


def _prediction_log(settings: Settings, pool: "ServingPool", metrics: "PrometheusMetrics") -> "PostgresPredictionLog":
    """Return where answers are logged, with its counts in the metrics."""
    from cineclub.adapters.postgres.predictions import PostgresPredictionLog

    return PostgresPredictionLog(pool, settings.prediction_log_size, metrics.rows_dropped, metrics.rows_waiting)


def _monitoring(
    settings: Settings, pool: "ServingPool", metrics: "PrometheusMetrics"
) -> "tuple[MonitoringFlow, Watch, tuple[Watch, OutcomeWatch]]":
    """Return what says what became of answers, and what keeps metrics fresh: in each process, and in one alone."""
    from cineclub.adapters.postgres.outcomes import PostgresOutcomes
    from cineclub.adapters.postgres.watching import PostgresTrainingFacts
    from cineclub.flows.monitoring import MonitoringFlow, OutcomeWatch, WatchTimes
    from cineclub.flows.watching import watch_of_pool, watch_of_trainings

    store = PostgresOutcomes(pool, external_schema(settings))
    monitoring = MonitoringFlow(store, settings.outcome_window_days, lambda: datetime.now(tz=UTC))
    times = WatchTimes(settings.outcome_refresh_seconds, settings.prediction_log_days)
    trainings = watch_of_trainings(PostgresTrainingFacts(pool), metrics, TRAININGS_LOOK_SECONDS)
    pool_watch = watch_of_pool(pool, metrics, POOL_LOOK_SECONDS)
    return monitoring, pool_watch, (trainings, OutcomeWatch(monitoring, metrics, times))


def _guard(settings: Settings, pool: "ServingPool") -> tuple["KeyRing", Doorkeeper]:
    """Return the keys in memory, and who checks them."""
    from cineclub.adapters.postgres.api_keys import KeyRing

    keys = KeyRing(pool)
    return keys, Doorkeeper(keys, settings.requests_per_minute, monotonic, needs_keys=settings.needs_keys)


def _erasing(settings: Settings) -> "Erasing":
    """Return what erases a user while serving; the worker rewrites the snapshots."""
    from cineclub.flows.erasing import erase_user

    return lambda user_id: erase_user(user_id, people(settings), training_jobs(settings))


def _doors(settings: Settings) -> "Doors":
    """Return under which names the service is reached: with keys under any, unless names are set.

    Without keys a page elsewhere could reach it through a name of its own that leads here (DNS rebinding).
    """
    from cineclub.serving import Doors
    from cineclub.settings import LOOPBACK

    named = tuple(name.strip() for name in settings.allowed_hosts.split(",") if name.strip())
    own = (*LOOPBACK, "[::1]", settings.host)
    is_any = settings.needs_keys and not named
    return Doors(("*",) if is_any else (*own, *named), settings.max_body_bytes)


def refuse_unguarded_service(settings: Settings) -> None:
    """Do nothing where the service may start as it is set.

    Raises:
        Conflict: others could reach it and there is no key, or it is open to them.
    """
    if settings.is_loopback:
        return
    if not settings.needs_keys:
        message = f"CINECLUB_REQUIRE_KEYS is off while CINECLUB_HOST is {settings.host}: anybody could train and delete"
        raise Conflict(message)
    now = datetime.now(tz=UTC)
    if not any(key.is_valid(now) for key in api_keys(settings).everything()):
        message = (
            f"CINECLUB_HOST is {settings.host}, which others reach, and there is no key: "
            "cineclub keys create NAME --scopes read,write makes one; then start again"
        )
        raise Conflict(message)


@asynccontextmanager
async def running_api_parts(settings: Settings) -> AsyncIterator["ApiParts"]:
    """Give the parts of the API while what runs beside them runs, without the API."""
    parts = api_parts(settings)
    async with AsyncExitStack() as stack:
        for service in (*parts.services, *parts.services_once):
            await service.start()
            stack.push_async_callback(service.stop)
        yield parts


async def recommend_all(settings: Settings, output: Path, top_n: int, progress: Callable[[int], None]) -> int:
    """Write the films of every user into a new file, and return the number of users.

    Raises:
        InvalidInput: the file is there already, or its name ends in neither .parquet nor .csv.
        NotEnoughData: there is no model and no rating at all.
    """
    from cineclub.adapters.files.recommendations import new_recommendations_file
    from cineclub.flows import recommending_all

    with new_recommendations_file(output) as write:
        async with running_api_parts(settings) as parts:
            return await recommending_all.recommend_all(
                parts.histories.users(), parts.predictor, top_n, write, progress
            )
