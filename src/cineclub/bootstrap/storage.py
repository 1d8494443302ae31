"""Settings -> the database, the registry and the adapters that use them, each imported where it is needed.

A function raises what the adapter behind it raises, above all ``StorageUnavailable`` while PostgreSQL does not answer.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from cineclub.domain.errors import Conflict, StorageUnavailable
from cineclub.runtime.machine import now
from cineclub.runtime.process_start import close_to_others
from cineclub.runtime.redaction import hide
from cineclub.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from cineclub.adapters.mlflow.registry import MlflowRegistry
    from cineclub.adapters.model_store import LocalModelStore
    from cineclub.adapters.postgres.api_keys import PostgresApiKeys
    from cineclub.adapters.postgres.embedded import EmbeddedServer
    from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue, WorkerPresence
    from cineclub.adapters.postgres.migrate import ServerFacts
    from cineclub.adapters.postgres.people import PostgresPeople
    from cineclub.adapters.postgres.promotions import PostgresPromotions
    from cineclub.adapters.postgres.ratings import PostgresRatingStore
    from cineclub.adapters.postgres.triggers import TrainingTriggers
    from cineclub.adapters.snapshots import SnapshotArchive
    from cineclub.domain.promotion.ownership import RegistryPlace
    from cineclub.flows.promotion.flow import PromotionFlow
    from cineclub.flows.promotion.registration import RegistrationFlow

PERSONS_WAIT_SECONDS = 30.0
"""The longest wait for MLflow in a promotion or a rollback by a person."""


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """Give the settings with the address of a database that answers and has every migration.

    Where no CINECLUB_DATABASE_URL is set, the embedded server is started for as long as the block runs, or joined where
    another process of ours runs it. Call it from the main thread. What killed processes left in the home is cleared.

    Raises:
        StorageUnavailable: it does not answer, or does not start.
        Conflict: it is a pooler that keeps no sessions, and CINECLUB_DIRECT_DATABASE_URL does not lead around it.
    """
    with _address(settings) as address:
        yield migrated(settings, address)


def migrated(settings: Settings, address: str) -> Settings:
    """Apply the missing migrations to a database that answers, and return the settings with its address."""
    from cineclub.adapters.postgres.migrate import migrate

    close_to_others(settings.home)
    hide(address)
    connected = settings.model_copy(update={"database_url": SecretStr(address)})
    if settings.database_url is not None:
        _refuse_pooler(connected, address)
    migrate(database_url(connected))
    _clear_leftovers(settings.home, database_url(connected))
    return connected


def _clear_leftovers(home: Path, address: str) -> None:
    """Complete or undo a restore that was killed, and delete the unfinished files and folders of killed processes."""
    from cineclub.adapters.model_store import clear_unfinished
    from cineclub.adapters.postgres.restore import settle_killed_restore

    settle_killed_restore(home, address)
    clear_unfinished(home)


def _refuse_pooler(settings: Settings, address: str) -> None:
    """Refuse a pooler in place of PostgreSQL itself, and one that leads elsewhere; one that is away may come later."""
    from cineclub.adapters.postgres.pooler import refuse_other_database, refuse_transaction_pooler

    is_pooled = settings.direct_database_url is not None
    direct_address = database_url(settings)
    refuse_transaction_pooler(direct_address, Settings.variable_of(f"{'direct_' * is_pooled}database_url"))
    if is_pooled:
        with suppress(StorageUnavailable):
            refuse_other_database(address, direct_address)


@contextmanager
def _address(settings: Settings) -> Iterator[str]:
    """Give the address of the named database, or of the embedded one."""
    from cineclub.adapters.postgres.embedded import embedded_postgres

    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with embedded_postgres(settings.home) as address:
        yield address


def addresses(settings: Settings) -> dict[str, str]:
    """Return the variables that lead another process to the same database."""
    given = {"database_url": settings.database_url, "direct_database_url": settings.direct_database_url}
    return {Settings.variable_of(name): value.get_secret_value() for name, value in given.items() if value}


def database_url(settings: Settings) -> str:
    """Return the address of PostgreSQL itself, where a connection is a session, as ``database`` has checked.

    Raises:
        StorageUnavailable: none is set, and the caller started none.
    """
    if settings.database_url is None:
        message = "CINECLUB_DATABASE_URL is not set: run `cineclub serve`, which starts PostgreSQL, or set it"
        raise StorageUnavailable(message)
    return (settings.direct_database_url or settings.database_url).get_secret_value()


def is_database_reachable(settings: Settings) -> bool:
    """Return whether the database answers."""
    from cineclub.adapters.postgres.sessions import session

    try:
        with session(database_url(settings)):
            return True
    except StorageUnavailable:
        return False


def embedded_server(settings: Settings) -> "EmbeddedServer":
    """Return the embedded PostgreSQL of CINECLUB_HOME, which is not started yet."""
    from cineclub.adapters.postgres.embedded import EmbeddedServer

    return EmbeddedServer(settings.home)


def stop_embedded_server(settings: Settings) -> None:
    """Stop the embedded PostgreSQL while it is in use; `cineclub serve` restarts it."""
    from cineclub.adapters.postgres.embedded import interrupt_server

    interrupt_server(settings.home)


def server_facts(settings: Settings) -> "ServerFacts":
    """Return the version of PostgreSQL, and the number of its newest migration."""
    from cineclub.adapters.postgres.migrate import server_facts as facts

    return facts(database_url(settings))


def rating_store(settings: Settings) -> "PostgresRatingStore":
    """Return the store of all ratings and movies."""
    from cineclub.adapters.postgres.ratings import PostgresRatingStore

    return PostgresRatingStore(database_url(settings), settings.source, settings.external_schema)


def training_jobs(settings: Settings) -> "PostgresTrainingJobs":
    """Return the queue of trainings."""
    from cineclub.adapters.postgres.jobs import PostgresTrainingJobs

    return PostgresTrainingJobs(database_url(settings))


def worker_name() -> str:
    """Return a unique name of this process as a worker."""
    from cineclub.adapters.postgres.training_rows import worker_name as name

    return name()


def training_queue(settings: Settings, holder: str) -> "TrainingQueue":
    """Return the queue from which the worker ``holder`` claims trainings."""
    from cineclub.adapters.postgres.jobs import TrainingQueue

    return TrainingQueue(
        database_url(settings), holder, settings.heartbeat_timeout_seconds, max_attempts=settings.max_attempts
    )


def training_triggers(settings: Settings) -> "TrainingTriggers":
    """Return the triggers of automatic trainings."""
    from cineclub.adapters.postgres.triggers import TrainingTriggers

    return TrainingTriggers(
        database_url(settings),
        settings.training_schedule,
        settings.retrain_after_ratings,
        lambda: rating_store(settings).count(),
    )


def worker_presence(settings: Settings) -> "WorkerPresence":
    """Return the sign that a worker is alive."""
    from cineclub.adapters.postgres.jobs import WorkerPresence

    return WorkerPresence(database_url(settings))


def promotions(settings: Settings, holder: str | None = None) -> "PostgresPromotions":
    """Return the promotion history; ``holder`` is the worker whose trainings may add to it."""
    from cineclub.adapters.postgres.promotions import PostgresPromotions

    return PostgresPromotions(database_url(settings), holder)


def registry(settings: Settings) -> "MlflowRegistry":
    """Return MLflow's registry; importing it takes seconds."""
    from cineclub.adapters.mlflow.registry import MlflowRegistry

    return MlflowRegistry(registry_address(settings), settings.home, settings.model_name)


def registry_address(settings: Settings) -> str:
    """Return the address of the registry, password included: the named one, or the store in PostgreSQL."""
    from cineclub.adapters.mlflow.client import store_uri

    return _tracking_uri(settings) or store_uri(database_url(settings))


def registry_place(settings: Settings) -> "RegistryPlace":
    """Return the registered model of the settings as it is shown and recorded."""
    from cineclub.adapters.mlflow.client import shown_address
    from cineclub.domain.promotion.ownership import OWN_STORE, RegistryPlace

    address = _tracking_uri(settings)
    return RegistryPlace(shown_address(address) if address else OWN_STORE, settings.model_name)


def _tracking_uri(settings: Settings) -> str:
    """Return the address of the named MLflow store, password included; empty where none is set."""
    return settings.mlflow_tracking_uri.get_secret_value() if settings.mlflow_tracking_uri else ""


def model_store(settings: Settings) -> "LocalModelStore":
    """Return the local copies of versions."""
    from cineclub.adapters.model_store import LocalModelStore

    return LocalModelStore(settings.home)


def model_versions(settings: Settings, holder: str | None = None) -> "RegistrationFlow":
    """Return the registered versions; ``holder`` is the worker whose trainings may add to them."""
    from cineclub.flows.promotion.registration import RegistrationFlow

    records = promotions(settings, holder)
    return RegistrationFlow(registry(settings), model_store(settings), records, registry_place(settings))


def promotion_flow(settings: Settings, holder: str | None = None) -> "PromotionFlow":
    """Return the flow that decides which version serves; ``holder`` is the worker whose trainings may promote."""
    from cineclub.flows.promotion.flow import PromotionFlow

    return PromotionFlow(model_versions(settings, holder), keeps_challenger=settings.shadow == "challenger")


def persons_promotion_flow(settings: Settings) -> "PromotionFlow":
    """Return the flow for the decision of a person, who waits for a registry that restarts, but not for minutes."""
    from cineclub.runtime.patience import Patience

    patience = Patience(min(settings.mlflow_wait_seconds, PERSONS_WAIT_SECONDS))
    return patience(lambda: promotion_flow(settings)).waiting(patience)


def refuse_without_mlflow_page(settings: Settings) -> None:
    """Check that MLflow's page can be shown over cineclub's store.

    Raises:
        Conflict: the page's package is not installed, or the store is a server, which has a page.
    """
    from cineclub.adapters.processes.mlflow_page import refuse_without_package

    if _tracking_uri(settings).startswith(("http://", "https://")):
        message = "MLFLOW_TRACKING_URI names a server, which has a page of its own: open its address in a browser"
        raise Conflict(message)
    refuse_without_package()


def mlflow_page(settings: Settings, host: str, port: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command of MLflow's page over cineclub's store, and its environment, which has the secrets."""
    from cineclub.adapters.processes.mlflow_page import page_command, page_environment

    return page_command(host, port), page_environment(os.environ, registry_address(settings), settings.home)


def snapshots(settings: Settings) -> "SnapshotArchive":
    """Return the snapshots of ratings on this machine."""
    from cineclub.adapters.postgres.snapshots import PostgresSnapshotRecords
    from cineclub.adapters.snapshots import SnapshotArchive

    return SnapshotArchive(
        settings.home / "snapshots",
        PostgresSnapshotRecords(database_url(settings)),
        settings.snapshots_kept,
        lambda: _snapshot_in_production(settings),
    )


def _snapshot_in_production(settings: Settings) -> str | None:
    """Return the hash of the snapshot that the served version learned from; None before the first promotion."""
    promotion = promotions(settings).newest()
    return None if promotion is None else model_store(settings).snapshot_of(promotion).content_sha256


def people(settings: Settings) -> "PostgresPeople":
    """Return the users, to erase one of them."""
    from cineclub.adapters.postgres.people import PostgresPeople

    return PostgresPeople(database_url(settings), external_schema(settings))


def erased_after_learning(settings: Settings) -> "datetime | None":
    """Return when a user was erased from whom the version in production may have learned; None if there is none."""
    from cineclub.adapters.postgres.erasures import erased_after_learning as read

    return read(database_url(settings))


def api_keys(settings: Settings) -> "PostgresApiKeys":
    """Return the table of API keys."""
    from cineclub.adapters.postgres.api_keys import PostgresApiKeys

    return PostgresApiKeys(database_url(settings))


def refuse_unguarded_service(settings: Settings) -> None:
    """Refuse settings under which other machines would reach a service without keys.

    Raises:
        Conflict: other machines reach it, and keys are not required or there is none.
    """
    if settings.is_loopback:
        return
    if not settings.needs_keys:
        message = f"CINECLUB_REQUIRE_KEYS is off while CINECLUB_HOST is {settings.host}: anybody could train and delete"
        raise Conflict(message)
    if not any(key.is_valid(now()) for key in api_keys(settings).everything()):
        message = (
            f"CINECLUB_HOST is {settings.host}, which others reach, and there is no key: "
            "cineclub keys create NAME --scopes read,write makes one; then start again"
        )
        raise Conflict(message)


def external_schema(settings: Settings) -> str | None:
    """Return the schema of the owner's views; None where ratings are in cineclub's own tables."""
    return settings.external_schema if settings.source == "external" else None
