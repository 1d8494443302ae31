"""Settings -> the move of all versions to the registered model of the settings."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.copying import VersionCopier
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.model_store import LocalModelStore, read_artifact
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.bootstrap import storage
from cineclub.domain.errors import Conflict, InvalidInput, NotFound, RegistryUnavailable
from cineclub.domain.promotion.ownership import DEFAULT_MODEL_NAME, RegistryPlace
from cineclub.domain.promotion.versions import RegisteredVersion, VersionRecord
from cineclub.flows.promotion.moving import MoveParts, MoveReport, VersionMove
from cineclub.runtime.addresses import problem_of_web_address
from cineclub.runtime.redaction import hide
from cineclub.runtime.unfinished import unfinished_folder
from cineclub.settings import Settings


def move_versions(
    settings: Settings,
    source: str | None,
    source_name: str | None,
    report: Callable[[int, int], None],
    *,
    rebuild: bool,
) -> MoveReport:
    """Move every version to the registered model of the settings.

    Args:
        settings: the settings, which name the new registered model.
        source: the address of the former registry; None: as PostgreSQL recorded it.
        source_name: the name of the former registered model; None likewise.
        report: called with each number and the last.
        rebuild: do without the former registry, and register the versions of this machine again.

    Raises:
        Conflict: a worker is alive, or the move is not possible.
        InvalidInput: the former registry is not known, or ``source`` is no address.
        RegistryUnavailable: one of the two does not answer.
    """
    source = _checked(source)
    if storage.training_jobs(settings).is_worker_alive():
        message = (
            "a worker is alive, which may register a version meanwhile: stop `cineclub serve` and every worker first"
        )
        raise Conflict(message)
    promotions, place = storage.promotions(settings), storage.registry_place(settings)
    target, store = storage.registry(settings), storage.model_store(settings)
    address = storage.registry_address(settings)
    former = (address, settings.model_name) if rebuild else _source(settings, source, source_name, promotions)
    if former == (address, settings.model_name) and not rebuild:
        message = (
            f"{place} is where the versions come from: set MLFLOW_TRACKING_URI or CINECLUB_MODEL_NAME to the new one"
        )
        raise Conflict(message)
    is_recorded = source is None and not rebuild and former[0] != store_uri(storage.database_url(settings))
    explained = partial(_explained, is_recorded=is_recorded)
    with explained():
        copier = VersionCopier(former, (address, settings.model_name), settings.home)
    parts = MoveParts(
        source_versions=dict if rebuild else explained()(copier.source_versions),
        source_aliases=dict if rebuild else copier.source_aliases,
        copy=copier.copy,
        rebuild=lambda version: _rebuilt(version, target, store, promotions),
        reserve=copier.reserve,
        set_alias=copier.set_alias,
        verify=lambda version: _verify(version, target, settings.home),
        has_source=not rebuild,
    )
    return VersionMove(parts, target, place, promotions).run(report)


def _checked(source: str | None) -> str | None:
    """Return an address, whose password nothing shows from now on; None for an empty one.

    Raises:
        InvalidInput: it is malformed; the message does not repeat it.
    """
    if source is None or not source.strip():
        return None
    hide(source)
    if problem := problem_of_web_address(source):
        message = f"the address after --from {problem}"
        raise InvalidInput(message)
    return source


@contextlib.contextmanager
def _explained(*, is_recorded: bool) -> Iterator[None]:
    """Say what the recorded address of the former registry lacks, where it is used and does not lead there.

    Raises:
        RegistryUnavailable: the former registry does not answer, or has no such registered model.
    """
    try:
        yield
    except (RegistryUnavailable, NotFound) as error:
        if not is_recorded:
            raise
        message = (
            "the former registry does not answer at its recorded address, which has no user, password and parameters: "
            "name it with --from ADDRESS (and --from-name), or use --rebuild if it is lost"
        )
        raise RegistryUnavailable(message, error.in_full()) from error


def _source(
    settings: Settings, source: str | None, source_name: str | None, promotions: PostgresPromotions
) -> tuple[str, str]:
    """Return address and name of the former registered model."""
    recorded = promotions.installation().place or RegistryPlace()
    name = source_name or recorded.model_name or DEFAULT_MODEL_NAME
    if source is not None:
        return source, name
    if not recorded.is_own_store:
        return recorded.address, name
    own = store_uri(storage.database_url(settings))
    if settings.mlflow_tracking_uri is None and name == settings.model_name:
        message = "name the former registry: cineclub mlflow move --from ADDRESS (or --rebuild if it is lost)"
        raise InvalidInput(message)
    return own, name


def _rebuilt(
    version: RegisteredVersion, target: MlflowRegistry, store: LocalModelStore, promotions: PostgresPromotions
) -> int:
    """Register a version again from its local copy, and return its number; BrokenArtifact without a sound copy."""
    known, folder = promotions.version(version.version), store.folder_of(version)
    fitted, movies = store.read(*version.key)
    record = VersionRecord(known.metrics, known.tags)
    training_id = known.training_id or f"rebuilt-{version.version}"
    artifact = (folder, version.manifest_sha256)
    return target.register(training_id, fitted, list(movies.values()), record, artifact).registered.version


def _verify(version: RegisteredVersion, registry: MlflowRegistry, home: Path) -> None:
    """Download a version and check each file against its hash."""
    with unfinished_folder(home / "unfinished") as folder:
        read_artifact(registry.download(version, folder), version.manifest_sha256)
