"""Versions of the model in MLflow's registry, and the alias that names the one in production."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cineclub.adapters.mlflow.client import connect, is_missing, registry_errors
from cineclub.adapters.mlflow.packaging import ARRAYS, write_package
from cineclub.adapters.mlflow.runs import TrainingRuns
from cineclub.domain.errors import BrokenArtifact, StorageUnavailable
from cineclub.domain.ratings import Movie, SnapshotIdentity
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel
from cineclub.domain.rollback import ROLLBACK
from cineclub.ports import NewPromotion, Promotion, RegisteredVersion, VersionRecord

MODEL = "cineclub"
PRODUCTION = "production"
CHALLENGER = "challenger"
OUTSIDE = "outside"
SHORT_HASH = 12
COPIES_KEPT = 3
PROMOTIONS_LOOKED_AT = 100
LOCAL_COPY = re.compile(r"\d+-[0-9a-f]{12}")
STALE_SECONDS = 24 * 3600


class ArtifactFormat(Protocol):
    """How a model becomes files and comes back; ``cineclub.adapters.artifacts`` is one."""

    def write_artifact(
        self, folder: Path, fitted: FittedModel, movies: Sequence[Movie], snapshot_identity: SnapshotIdentity
    ) -> str:
        """Write a folder and return the SHA-256 of its manifest."""
        ...

    def read_artifact(self, folder: Path, expected_manifest_sha256: str) -> tuple[FittedModel, dict[int, Movie]]:
        """Return the checked model of a folder."""
        ...

    def adopt_artifact(self, source: Path, folder: Path, expected_manifest_sha256: str) -> None:
        """Move a checked folder to its place."""
        ...

    def verify_artifact(self, folder: Path, expected_manifest_sha256: str) -> None:
        """Compare a folder's answers with the fitted model's in a fresh process."""
        ...


class Promotions(Protocol):
    """The history of what served."""

    def newest(self) -> Promotion | None:
        """Return the promotion that decides what is served."""
        ...

    def recent(self, limit: int) -> list[Promotion]:
        """Return the promotions, newest first."""
        ...

    def record(self, promotion: NewPromotion, move_alias: Callable[[], None]) -> Promotion:
        """Add a promotion and move the alias with it, guarded by the lease."""
        ...


class MlflowRegistry:
    """Implements the port ``ModelRegistry``, and brings alias and promotions together again after a crash."""

    def __init__(self, tracking_uri: str, home: Path, artifacts: ArtifactFormat, promotions: Promotions) -> None:
        """Use a store or server; a server keeps artifacts by itself, else they lie in ``home``."""
        self._tracking_uri = tracking_uri
        self._client = connect(tracking_uri)
        self._models_folder = home / "models"
        self._home = home
        self._artifacts = artifacts
        self._promotions = promotions
        is_server = tracking_uri.startswith(("http://", "https://"))
        self._runs = TrainingRuns(self._client, None if is_server else home.resolve() / "artifacts")

    def open(self) -> None:
        """Make MLflow's tables, the experiment and the registered model where they are missing: seconds the first time.

        Raises:
            RegistryUnavailable: the store does not answer.
        """
        with registry_errors("the experiment cineclub"):
            self._runs.experiment_id()
            if not self._client.search_registered_models(f"name = '{MODEL}'"):
                self._client.create_registered_model(MODEL, description="The film recommender that cineclub serves.")

    def production(self) -> RegisteredVersion | None:
        """Return the version under the alias ``production``; None before the first promotion."""
        found = self._under_alias()
        return None if found is None else _registered(found)

    def load(self, version: int) -> FittedModel:
        """Return a version's model, checked against its manifest.

        Raises:
            NotFound: no such version.
            BrokenArtifact: its files are damaged.
        """
        registered = self._version(version)
        local = self._local_folder(registered)
        if local.is_dir():
            return self._artifacts.read_artifact(local, registered.manifest_sha256)[0]
        with self._downloaded(registered) as folder:  # the arrays stay mapped when the folder is gone
            return self._artifacts.read_artifact(folder, registered.manifest_sha256)[0]

    def tags(self, version: int) -> Mapping[str, str]:
        """Return what is recorded with a version.

        Raises:
            NotFound: no such version.
        """
        with registry_errors(f"version {version}"):
            return dict(self._client.get_model_version(MODEL, str(version)).tags)

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record one judged candidate as a child run of the training's run."""
        with registry_errors(f"the run of training {training_id}"):
            self._runs.record_candidate(training_id, recipe, metrics)

    def register(
        self, training_id: str, fitted: FittedModel, movies: Sequence[Movie], record: VersionRecord
    ) -> RegisteredVersion:
        """Write the artifact and register it as a new version; a repeated call of one training registers once."""
        with self._temporary_folder() as folder, registry_errors(f"the run of training {training_id}"):
            sha256 = self._artifacts.write_artifact(folder / ARRAYS, fitted, movies, _snapshot_of(record.tags))
            if (known := self._of_training(training_id, sha256, record.tags.get("role"))) is not None:
                return known
            write_package(folder, fitted, movies)
            return self._register(training_id, fitted.recipe, folder, sha256, record)

    def promote(self, training_id: str, version: RegisteredVersion, verdict: str, reason: str) -> None:
        """Check the artifact in a fresh process, then move the alias and record the move.

        Raises:
            BrokenArtifact: the artifact did not load or answered otherwise than the fitted model.
            LeaseLost: the training belongs to another worker by now.
            TrainingCancelled: a person stopped the training before the move.
        """
        self._promote(version, verdict, reason, "training", training_id)

    def roll_back(self, version: int, reason: str, promoted_by: str) -> None:
        """Put an earlier version into production because a person wants it.

        Raises:
            NotFound: no such version.
            BrokenArtifact: it cannot be served.
        """
        self._promote(self._version(version), ROLLBACK, reason, promoted_by, None)

    def put_into_production(self, version: int, reason: str, promoted_by: str) -> None:
        """Put any registered version into production because a person wants it, whatever the gate said of it.

        Raises:
            NotFound: no such version.
            BrokenArtifact: it cannot be served.
        """
        self._promote(self._version(version), "PROMOTE", reason, promoted_by, None)

    def reconcile(self) -> str | None:
        """Bring alias and promotions together where a crash or a person moved one alone; say what was done, if any.

        What the alias names is served if it can be; an alias on something that cannot goes back to what serves.

        Raises:
            RegistryUnavailable: the store does not answer.
            StorageUnavailable: PostgreSQL does not answer.
        """
        serving = self._promotions.newest()  # read before the alias, which moves first: so the alias is never the older
        found = self._under_alias()
        if found is None:
            return self._put_back(serving, "nothing") if serving else None
        number = int(found.version)
        try:
            registered = _registered(found)
            if serving and serving.version == number and serving.manifest_sha256 == registered.manifest_sha256:
                if not self._local_folder(registered).is_dir():
                    self._bring_home(registered)
                return None
            self._promote(registered, "OUTSIDE", "the alias was moved outside of a recorded promotion", OUTSIDE, None)
        except BrokenArtifact as error:
            if serving and serving.version == number:
                return f"version {number} serves from what is loaded, but its artifact is broken: {error}"
            return self._put_back(serving, f"version {number}, which cannot be served ({error})")
        return f"version {number} was found under the alias and is served now"

    def _put_back(self, serving: Promotion | None, instead_of: str) -> str:
        """Point the alias to what serves."""
        with registry_errors(f"version {serving.version if serving else ''}"):
            if serving is None:
                self._client.delete_registered_model_alias(MODEL, PRODUCTION)
                return f"the alias named {instead_of}: it was taken away, nothing is in production"
            self._move_alias(serving.version)
        return f"the alias named {instead_of}: it names version {serving.version} again, which serves"

    def _promote(
        self, version: RegisteredVersion, verdict: str, reason: str, promoted_by: str, training_id: str | None
    ) -> None:
        """Verify a version, put its local copy in place, and move alias and promotions together."""
        folder = self._bring_home(version)
        promotion = NewPromotion(
            version=version.version,
            verdict=verdict,
            reason=reason,
            promoted_by=promoted_by,
            training_id=training_id,
            recipe=version.recipe,
            manifest_sha256=version.manifest_sha256,
            artifact_folder=folder.name,
        )
        self._promotions.record(promotion, lambda: self._move_alias(version.version))
        with suppress(OSError, StorageUnavailable):  # the promotion stands; the next one tidies up
            self._forget_old_copies()

    def _forget_old_copies(self) -> None:
        """Delete the local copies of all but the last promotions, and what a killed worker left unfinished.

        A process that still answers from a deleted copy keeps its mapped arrays.
        """
        kept = {promotion.artifact_folder for promotion in self._promotions.recent(COPIES_KEPT)}
        copies = [path for path in self._models_folder.iterdir() if LOCAL_COPY.fullmatch(path.name)]
        old = [path for path in copies if path.name not in kept]
        unfinished = [*self._models_folder.glob(".*-*"), *(self._home / "unfinished").glob("*")]
        stale = [path for path in unfinished if time.time() - path.stat().st_mtime > STALE_SECONDS]
        for path in old + stale:
            shutil.rmtree(path, ignore_errors=True)

    def _bring_home(self, version: RegisteredVersion) -> Path:
        """Return the local copy of a version, verified in a fresh process; a damaged one is downloaded again."""
        folder = self._local_folder(version)
        if folder.is_dir():
            with suppress(BrokenArtifact):
                self._artifacts.verify_artifact(folder, version.manifest_sha256)
                return folder
        with self._downloaded(version) as downloaded:
            self._artifacts.verify_artifact(downloaded, version.manifest_sha256)
            self._artifacts.adopt_artifact(downloaded, folder, version.manifest_sha256)
        return folder

    def _move_alias(self, version: int) -> None:
        """Let the alias ``production`` name a version."""
        with registry_errors(f"version {version}"):
            self._client.set_registered_model_alias(MODEL, PRODUCTION, str(version))

    def _register(
        self, training_id: str, recipe: Recipe, artifact: Path, sha256: str, record: VersionRecord
    ) -> RegisteredVersion:
        """Upload a written artifact with its documents, and register it."""
        run = self._runs.of_training(training_id)
        path = f"model-{sha256[:SHORT_HASH]}"
        self._client.log_artifacts(run.info.run_id, str(artifact), path)
        for name, text in record.documents.items():
            self._client.log_text(run.info.run_id, text, name)
        self._runs.record(run.info.run_id, recipe, record.metrics, record.tags)
        tags = {**record.tags, "training_id": training_id, "recipe": recipe.to_json(), "manifest_sha256": sha256}
        source = f"{run.info.artifact_uri}/{path}"
        made = self._client.create_model_version(MODEL, source, run.info.run_id, tags, description=str(recipe))
        if record.tags.get("verdict") == "HOLD":
            self._client.set_registered_model_alias(MODEL, CHALLENGER, made.version)
        return _registered(made)

    def _of_training(self, training_id: str, sha256: str, role: str | None) -> RegisteredVersion | None:
        """Return what an earlier attempt of a training registered, unless that was another model and never served.

        A held challenger and the refit of production have different roles and stand beside each other.
        """
        of_training = f"name = '{MODEL}' and tags.training_id = '{training_id}'"
        of_role = f"{of_training} and tags.role = '{role}'" if role else of_training
        served = {promotion.version for promotion in self._promotions.recent(PROMOTIONS_LOOKED_AT)}
        with registry_errors(f"the versions of training {training_id}"):
            found = self._client.search_model_versions(of_role)
            for registered in map(_registered, found):
                if registered.manifest_sha256 == sha256 or registered.version in served:
                    return registered
                self._client.delete_model_version(MODEL, str(registered.version))
        return None

    def _under_alias(self) -> ModelVersion | None:
        """Return what the alias ``production`` names."""
        with registry_errors(f"the alias {PRODUCTION}"):
            try:
                return self._client.get_model_version_by_alias(MODEL, PRODUCTION)
            except MlflowException as error:
                if is_missing(error) or "alias" in str(error):
                    return None
                raise

    def _version(self, version: int) -> RegisteredVersion:
        """Return what is registered under a number."""
        with registry_errors(f"version {version}"):
            return _registered(self._client.get_model_version(MODEL, str(version)))

    def _local_folder(self, version: RegisteredVersion) -> Path:
        """Return where the local copy of a version lies once it was promoted."""
        return self._models_folder / f"{version.version}-{version.manifest_sha256[:SHORT_HASH]}"

    @contextmanager
    def _downloaded(self, version: RegisteredVersion) -> Iterator[Path]:
        """Give a version's files, as the registry has them, in a folder that goes away afterwards."""
        with self._temporary_folder() as folder:
            yield self._download(version, folder)

    def _download(self, version: RegisteredVersion, folder: Path) -> Path:
        """Bring a version's files into a folder and return where they lie."""
        with registry_errors(f"version {version.version}"):
            uri = self._client.get_model_version_download_uri(MODEL, str(version.version))
            try:
                found = download_artifacts(
                    artifact_uri=f"{uri.rstrip('/')}/{ARRAYS}",  # never the code beside it
                    dst_path=str(folder),
                    tracking_uri=self._tracking_uri,
                    registry_uri=self._tracking_uri,
                )
            except (MlflowException, FileNotFoundError) as error:
                if isinstance(error, MlflowException) and not is_missing(error):
                    raise
                message = f"the files of version {version.version} are gone from {uri}: train again or roll back"
                raise BrokenArtifact(message) from error
        return Path(found)

    @contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        """Give a folder on the disk of the local copies, so that a finished one only has to be renamed."""
        parent = self._home / "unfinished"
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            yield Path(folder)


def _registered(version: ModelVersion) -> RegisteredVersion:
    """Return the version if cineclub registered it."""
    try:
        return RegisteredVersion(
            version=int(version.version),
            recipe=Recipe.from_json(version.tags["recipe"]),
            created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
            manifest_sha256=version.tags["manifest_sha256"],
            snapshot=_snapshot_of(version.tags),
        )
    except (KeyError, ValueError) as error:
        message = f"version {version.version} was not registered by cineclub: point the alias to one that was"
        raise BrokenArtifact(message) from error


def _snapshot_of(tags: Mapping[str, str]) -> SnapshotIdentity:
    """Return the snapshot that a record's tags name."""
    newest = tags.get("snapshot_newest_rated_at")
    return SnapshotIdentity(
        n_ratings=int(tags.get("snapshot_n_ratings", "0")),
        newest_rated_at=datetime.fromisoformat(newest) if newest else None,
        content_sha256=tags.get("snapshot_sha256", ""),
    )
