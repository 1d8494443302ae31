"""The wired parts of the API, made by ``cineclub.bootstrap.serving`` for ``cineclub.api.app.create_app``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
    from cineclub.adapters.postgres.movie_writes import PostgresMovieWriter, ReadOnlyMovies
    from cineclub.adapters.postgres.promotions import PostgresPromotions
    from cineclub.adapters.postgres.rating_writes import PostgresRatingWriter, ReadOnlyRatings
    from cineclub.adapters.processes.promotion_decider import PromotionDecider
    from cineclub.adapters.prometheus.metrics import PrometheusMetrics
    from cineclub.domain.access import AccessControl
    from cineclub.flows.browsing import BrowsingFlow
    from cineclub.flows.cached_histories import CachedHistories
    from cineclub.flows.catalogue_keeper import CatalogueKeeper
    from cineclub.flows.crowd import CrowdKeeper
    from cineclub.flows.drift import DriftFlow
    from cineclub.flows.erasing import ErasingReport
    from cineclub.flows.live_model import LiveModelHolder
    from cineclub.flows.monitoring import MonitoringFlow
    from cineclub.flows.prediction import PredictionFlow
    from cineclub.flows.probation import ComparisonReport


class Service(Protocol):
    """A part that runs beside the requests: a connection pool, a periodic task, the writer of the prediction log."""

    async def start(self) -> None:
        """Start; returns soon, also while PostgreSQL does not answer."""
        ...

    async def stop(self) -> None:
        """Stop and release everything; returns within seconds."""
        ...


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """Host names that requests may use (``*`` for any), and the maximal size of their bodies."""

    allowed_hosts: tuple[str, ...]
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class ApiParts:
    """Everything the routes call.

    Attributes:
        jobs: the queue of trainings; its methods block and are called in threads.
        predictor: the prediction flow.
        browser: the flow that finds movies.
        ratings: the writer of single ratings.
        movies: the writer of movies.
        catalogue: the keeper of the catalogue.
        histories: the histories; the readiness probe takes the popular list from them while no model is loaded.
        live: the model in memory and its promotion.
        crowd: the crowd's counts.
        metrics: the counts of requests, and the page that Prometheus reads.
        is_database_reachable: called by the readiness probe.
        services: started in this order with the app, stopped in the reverse order.
        services_once: started after those, in one alone of several processes that share the requests.
        model_names: the models that a training can evaluate.
        promoter: promotes and rolls back for a person.
        monitoring: the outcomes of recommendations.
        drift: the drift checks of ratings and recommendations.
        comparisons: the online comparisons of versions.
        promotions: the promotions, versions and refusals; its methods block and are called in threads.
        erase_user: erases a user by external id; blocks and is called in threads. Raises NotFound for an unknown
            user, ReadOnlySource where ratings come from the owner's views.
        access_control: checks keys.
        host_policy: the allowed host names and the maximal size of bodies.
    """

    jobs: "PostgresTrainingJobs"
    predictor: "PredictionFlow"
    browser: "BrowsingFlow"
    ratings: "PostgresRatingWriter | ReadOnlyRatings"
    movies: "PostgresMovieWriter | ReadOnlyMovies"
    catalogue: "CatalogueKeeper"
    histories: "CachedHistories"
    live: "LiveModelHolder"
    crowd: "CrowdKeeper"
    metrics: "PrometheusMetrics"
    is_database_reachable: Callable[[], Awaitable[bool]]
    services: tuple[Service, ...]
    services_once: tuple[Service, ...]
    model_names: tuple[str, ...]
    promoter: "PromotionDecider"
    monitoring: "MonitoringFlow"
    drift: "DriftFlow"
    comparisons: "ComparisonReport"
    promotions: "PostgresPromotions"
    erase_user: "Callable[[str], ErasingReport]"
    access_control: "AccessControl"
    host_policy: HostPolicy
