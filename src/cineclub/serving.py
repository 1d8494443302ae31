"""What the API serves with: the wired parts, made by the bootstrap and handed to ``cineclub.api.app.create_app``."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from cineclub.domain.access import Scope
from cineclub.flows.browsing import BrowsingFlow
from cineclub.flows.drift import DriftFlow
from cineclub.flows.erasing import ErasingReport
from cineclub.flows.live_model import LiveModelHolder
from cineclub.flows.monitoring import MonitoringFlow
from cineclub.flows.prediction import PredictionFlow
from cineclub.flows.probation import ComparisonReport
from cineclub.ports import (
    AnswerObserver,
    HistoryReader,
    KnownVersion,
    Promotion,
    RatingWriter,
    Refusal,
    RequestMetrics,
    TrainingJobs,
)


class Service(Protocol):
    """Something that runs beside the requests: a pool, the poll for new models, the log's writer."""

    async def start(self) -> None:
        """Begin; returns soon, also when PostgreSQL is away."""
        ...

    async def stop(self) -> None:
        """End and let go of everything; returns within seconds."""
        ...


class Promoter(Protocol):
    """Carries out a person's decision about what serves."""

    async def promote(self, version: int, reason: str) -> None:
        """Let a version serve."""
        ...

    async def roll_back(self, reason: str) -> None:
        """Let the version serve again that served before."""
        ...


class VersionHistory(Protocol):
    """What was registered, and what was refused; methods block."""

    def get(self, version: int) -> KnownVersion:
        """Return what is known of a version.

        Raises:
            NotFound: no such version.
        """
        ...

    def recent(self, limit: int, before: int | None = None) -> list[KnownVersion]:
        """Return the versions, newest first, those with numbers below ``before`` if it is given."""
        ...

    def refusals(self, limit: int, before: int | None = None) -> list[Refusal]:
        """Return what was refused, newest first, before the one with the id ``before`` if it is given."""
        ...


class PromotionHistory(Protocol):
    """What served, and since when; methods block."""

    @property
    def versions(self) -> VersionHistory:
        """What was registered, and what was refused."""
        ...

    def recent(self, limit: int, before: int | None = None) -> list[Promotion]:
        """Return the promotions, newest first, those recorded before the one with this id if it is given."""
        ...


class Doorkeeper(Protocol):
    """Lets in who has the key."""

    def admit(self, authorization: str | None, needed: Scope) -> None:
        """Return if a request with this Authorization header may go on.

        Raises:
            KeyNeeded: there is no key, or one that opens nothing (any more).
            AccessDenied: the key does not open this.
            TooManyRequests: the key has made too many requests.
            StorageUnavailable: no key is known yet.
        """
        ...


class Erasing(Protocol):
    """Takes a person out of everything; blocks."""

    def __call__(self, user_id: str) -> ErasingReport:
        """Erase a user and return what was taken out.

        Raises:
            NotFound: there is no such user.
            ReadOnlySource: ratings come from the owner's views.
        """
        ...


@dataclass(frozen=True, slots=True)
class Doors:
    """How the service is reached: by which names (``*`` for any), and with bodies of what size."""

    allowed_hosts: tuple[str, ...]
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class Comparing:
    """What compares versions on real requests.

    Attributes:
        observer: who is told of answers.
        report: what says how versions compare.
        services: what runs beside the requests of each process.
        services_once: what runs in the first process alone.
    """

    observer: AnswerObserver
    report: ComparisonReport
    services: tuple[Service, ...] = ()
    services_once: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiParts:
    """Everything the routes call.

    Attributes:
        jobs: the queue of trainings; its methods block and are called in threads.
        predictor: the prediction flow.
        browser: questions about films.
        ratings: where single ratings are written.
        histories: asked for the popular list by the readiness probe while no model is loaded.
        live: the model in memory and what was promoted.
        metrics: counts of requests, and the page that Prometheus reads.
        is_database_reachable: asked by the readiness probe.
        services: started in this order with the app, stopped in the reverse order.
        services_once: started after those, in the first alone of several processes that share the requests.
        model_names: the models that a training may be asked for.
        promoter: carries out a person's decision about what serves.
        monitoring: what became of the answers.
        drift: whether ratings and answers differ from what was normal.
        comparisons: what became of answers that another version was asked for too.
        promotions: what served, was registered and refused; its methods block and are called in threads.
        erase_user: takes a person out of everything; blocks and is called in threads.
        doorkeeper: checks keys.
        doors: by which names the service is reached, and how large bodies may be.
    """

    jobs: TrainingJobs
    predictor: PredictionFlow
    browser: BrowsingFlow
    ratings: RatingWriter
    histories: HistoryReader
    live: LiveModelHolder
    metrics: RequestMetrics
    is_database_reachable: Callable[[], Awaitable[bool]]
    services: tuple[Service, ...]
    services_once: tuple[Service, ...]
    model_names: tuple[str, ...]
    promoter: Promoter
    monitoring: MonitoringFlow
    drift: DriftFlow
    comparisons: ComparisonReport
    promotions: PromotionHistory
    erase_user: Erasing
    doorkeeper: Doorkeeper
    doors: Doors
