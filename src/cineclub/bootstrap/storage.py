"""Settings -> the database, the registry and what is kept in them, each adapter imported by those who need it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from cineclub.domain.errors import Conflict, StorageUnavailable
from cineclub.settings import Settings

if TYPE_CHECKING:
    from cineclub.adapters.mlflow.registry import MlflowRegistry
    from cineclub.adapters.postgres.api_keys import PostgresApiKeys
    from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue, WorkerPresence
    from cineclub.adapters.postgres.migrate import ServerFacts
    from cineclub.adapters.postgres.promotions import PromotionHistory
    from cineclub.adapters.postgres.ratings import PostgresRatingStore
    from cineclub.adapters.postgres.snapshots import PostgresPeople
    from cineclub.adapters.postgres.triggers import TrainingTriggers
    from cineclub.adapters.snapshots import SnapshotArchive
    from cineclub.domain.imported_ratings import ColumnMapping
    from cineclub.domain.ratings import RatingLog, RatingScale
    from cineclub.domain.recommender import FittedModel
    from cineclub.flows.importing import ImportReport
    from cineclub.ports import ImportProgress, Promotion, RatingSource


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """Give the settings with the address of a database that answers and has every migration.

    Where no CINECLUB_DATABASE_URL is set, the embedded server is started for as long as the block runs, or joined where
    another process of ours runs it. Call it from the main thread.

    Raises:
        StorageUnavailable: it does not answer, or does not start.
    """
    from cineclub.adapters.postgres.migrate import migrate

    with _address(settings) as address:
        migrate(address)
        yield settings.model_copy(update={"database_url": SecretStr(address)})


@contextmanager
def _address(settings: Settings) -> Iterator[str]:
    """Give the address of the named database, or of the embedded one."""
    from cineclub.adapters.postgres.embedded import embedded_postgres

    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with embedded_postgres(settings.home) as address:
        yield address


def database_url(settings: Settings) -> str:
    """Return the address of the database that ``database`` has made sure of.

    Raises:
        StorageUnavailable: none is set, and the caller started none.
    """
    if settings.database_url is None:
        message = "CINECLUB_DATABASE_URL is not set: run `cineclub serve`, which starts PostgreSQL, or set it"
        raise StorageUnavailable(message)
    return settings.database_url.get_secret_value()


def is_database_reachable(settings: Settings) -> bool:
    """Say whether the database answers."""
    from cineclub.adapters.postgres.sessions import session

    try:
        with session(database_url(settings)):
            return True
    except StorageUnavailable:
        return False


def is_embedded_server_running(settings: Settings) -> bool:
    """Say whether the process of the embedded PostgreSQL is there; a busy one is not gone."""
    from cineclub.adapters.postgres.embedded import is_server_running

    return is_server_running(settings.home)


def stop_embedded_server(settings: Settings) -> None:
    """Stop the embedded PostgreSQL under whoever uses it; `cineclub serve` starts it again.

    Raises:
        StorageUnavailable: it does not run.
    """
    from cineclub.adapters.postgres.embedded import interrupt_server

    interrupt_server(settings.home)


def server_facts(settings: Settings) -> "ServerFacts":
    """Return which PostgreSQL answers, and the number of the newest migration there."""
    from cineclub.adapters.postgres.migrate import server_facts as facts

    return facts(database_url(settings))


def rating_store(settings: Settings) -> "PostgresRatingStore":
    """Return where all ratings and films are read."""
    from cineclub.adapters.postgres.ratings import PostgresRatingStore

    return PostgresRatingStore(database_url(settings), settings.source, settings.external_schema)


def rating_source(path: Path, mapping: "ColumnMapping | None", scale: "RatingScale | None") -> "RatingSource":
    """Return the ratings of a file or folder.

    Raises:
        InvalidInput: there is nothing there, or nothing that is known.
    """
    from cineclub.adapters.files import open_source

    return open_source(path, mapping, scale)


def demo_source() -> "RatingSource":
    """Return the demo ratings.

    Raises:
        InvalidInput: they are not installed.
    """
    from cineclub.adapters.files import demo_source as source

    return source()


def ratings_of_file(path: Path, mapping: "ColumnMapping | None", scale: "RatingScale | None") -> "RatingLog":
    """Return the valid ratings of a file or folder as models take them, without a database.

    Raises:
        InvalidInput: nothing that is known, no scale, or no valid rating.
    """
    from cineclub.adapters.files import read_rating_log

    return read_rating_log(path, mapping, scale)


def import_ratings(
    settings: Settings, source: "RatingSource", rejects_path: Path, *, strict: bool, progress: "ImportProgress"
) -> "ImportReport":
    """Write a source's ratings and films into the database.

    Raises:
        InvalidInput: what the source holds cannot be used, or a bad row and ``strict``.
        ReadOnlySource: ratings come from the owner's views.
    """
    from cineclub.adapters.files import write_rejects
    from cineclub.adapters.postgres.importing import PostgresRatingImport
    from cineclub.flows import importing

    target = PostgresRatingImport(database_url(settings), is_writable=external_schema(settings) is None)
    return importing.import_ratings(source, target, write_rejects, rejects_path, strict=strict, progress=progress)


def export_ratings(settings: Settings, folder: Path, progress: "ImportProgress") -> int:
    """Write ratings and films into a folder, and return the number of ratings.

    Raises:
        InvalidInput: the folder holds an export already.
        NotEnoughData: nothing was imported yet.
    """
    from cineclub.adapters.postgres.exporting import export_ratings as export

    return export(database_url(settings), folder, progress)


def backup(settings: Settings, target: Path) -> int:
    """Write data, registry and artifacts into one file, and return its size in bytes.

    Raises:
        InvalidInput: the file is there already.
    """
    from cineclub.adapters.postgres.backup import backup as write

    return write(database_url(settings), settings.home, target)


def restore(settings: Settings, source: Path, *, replace: bool) -> None:
    """Bring everything back from a backup.

    Raises:
        Conflict: a worker is alive, whose work would be lost.
        InvalidInput: it is no backup, or there are ratings and ``replace`` is not set.
    """
    from cineclub.adapters.postgres.backup import restore as read

    if training_jobs(settings).is_worker_alive():
        message = "cineclub is running on this database: stop `cineclub serve` and every worker, then restore"
        raise Conflict(message)
    read(source, database_url(settings), settings.home, replace=replace)


def training_jobs(settings: Settings) -> "PostgresTrainingJobs":
    """Return the queue of trainings."""
    from cineclub.adapters.postgres.jobs import PostgresTrainingJobs

    return PostgresTrainingJobs(database_url(settings))


def worker_name() -> str:
    """Return a name for this process that no other worker has or had."""
    from cineclub.adapters.postgres.training_rows import worker_name as name

    return name()


def training_queue(settings: Settings, holder: str) -> "TrainingQueue":
    """Return the queue as the worker ``holder`` claims from it."""
    from cineclub.adapters.postgres.jobs import TrainingQueue

    return TrainingQueue(
        database_url(settings), holder, settings.heartbeat_timeout_seconds, max_attempts=settings.max_attempts
    )


def training_triggers(settings: Settings) -> "TrainingTriggers":
    """Return what starts trainings that nobody asks for."""
    from cineclub.adapters.postgres.triggers import TrainingTriggers

    return TrainingTriggers(
        database_url(settings),
        settings.training_schedule,
        settings.retrain_after_ratings,
        lambda: rating_store(settings).count(),
    )


def worker_presence(settings: Settings) -> "WorkerPresence":
    """Return what tells others that a worker is there."""
    from cineclub.adapters.postgres.jobs import WorkerPresence

    return WorkerPresence(database_url(settings))


def promotions(settings: Settings, holder: str | None = None) -> "PromotionHistory":
    """Return the history of what served; ``holder`` is the worker whose trainings may add to it."""
    from cineclub.adapters.postgres.promotions import PromotionHistory

    return PromotionHistory(database_url(settings), holder)


def registry(settings: Settings, holder: str | None = None) -> "MlflowRegistry":
    """Return MLflow's registry; importing it takes seconds."""
    from cineclub.adapters import artifacts
    from cineclub.adapters.mlflow.client import store_uri
    from cineclub.adapters.mlflow.registry import MlflowRegistry

    uri = settings.mlflow_tracking_uri or store_uri(database_url(settings))
    history, keeps_challenger = promotions(settings, holder), settings.shadow == "challenger"
    return MlflowRegistry(uri, settings.home, artifacts, history, keeps_challenger=keeps_challenger)


def refuse_without_mlflow_page(settings: Settings) -> None:
    """Do nothing where MLflow's page can be shown over our store.

    Raises:
        Conflict: the page's package is not installed, or the store is a server, which has a page.
    """
    from cineclub.adapters.processes.mlflow_page import refuse_without_package

    if (settings.mlflow_tracking_uri or "").startswith(("http://", "https://")):
        message = "MLFLOW_TRACKING_URI names a server, which has a page of its own: open its address in a browser"
        raise Conflict(message)
    refuse_without_package()


def mlflow_page(settings: Settings, host: str, port: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command that shows MLflow's page over our store, and its environment, which has the secrets."""
    from cineclub.adapters.mlflow.client import store_uri
    from cineclub.adapters.processes.mlflow_page import page_command, page_environment

    store = settings.mlflow_tracking_uri or store_uri(database_url(settings))
    return page_command(host, port), page_environment(os.environ, store, settings.home)


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
    """Return the hash of the snapshot that the served version learned from; None before the first promotion.

    Raises:
        BrokenArtifact: this machine has no copy of that version.
    """
    from cineclub.adapters.artifacts import read_snapshot_identity
    from cineclub.flows.live_model import folder_of

    promotion = promotions(settings).newest()
    if promotion is None:
        return None
    folder = folder_of(promotion, settings.home / "models")
    return read_snapshot_identity(folder, promotion.manifest_sha256).content_sha256


def people(settings: Settings) -> "PostgresPeople":
    """Return those who rate, to erase one of them."""
    from cineclub.adapters.postgres.snapshots import PostgresPeople

    return PostgresPeople(database_url(settings), is_writable=external_schema(settings) is None)


def promote_by_person(settings: Settings, version: int | None, reason: str) -> "Promotion":
    """Let a version serve, or what served before if that is None, and return what serves now.

    Raises:
        NotFound: no such version.
        Conflict: it serves already, cannot be served, or nothing served before.
    """
    from cineclub.flows import promoting

    history, versions = promotions(settings), registry(settings)
    if version is None:
        return promoting.roll_back(versions, history, reason)
    return promoting.promote(versions, history, version, reason)


def rejection_of(settings: Settings, promotion: "Promotion") -> str:
    """Return why the gate rejected the version that a promotion lets serve; empty where it did not."""
    return promotions(settings).versions.rejection(promotion.version, promotion.manifest_sha256)


def api_keys(settings: Settings) -> "PostgresApiKeys":
    """Return the keys as people handle them."""
    from cineclub.adapters.postgres.api_keys import PostgresApiKeys

    return PostgresApiKeys(database_url(settings))


def external_schema(settings: Settings) -> str | None:
    """Return the schema of the owner's views; None where ratings are in our own tables."""
    return settings.external_schema if settings.source == "external" else None


def load_served_model(settings: Settings, promotion: "Promotion") -> "FittedModel":
    """Return the model of a promotion from this machine's copy, checked as the API checks it.

    Raises:
        BrokenArtifact: there is no copy, or it is damaged.
    """
    from cineclub.adapters.artifacts import read_artifact
    from cineclub.flows.live_model import folder_of

    return read_artifact(folder_of(promotion, settings.home / "models"), promotion.manifest_sha256)[0]
