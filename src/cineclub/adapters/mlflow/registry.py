"""Versions of the model in MLflow's registry, and the alias that names the one in production."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cineclub.adapters.mlflow.client import connect, is_missing, made_by_anybody, registry_errors
from cineclub.adapters.mlflow.descriptions import known_version, registered_version
from cineclub.adapters.mlflow.packaging import ARRAYS, write_package
from cineclub.adapters.mlflow.runs import TrainingRuns, artifact_root_of
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.promotion.ownership import DEFAULT_MODEL_NAME
from cineclub.domain.promotion.versions import (
    CHALLENGER,
    SHORT_HASH,
    KnownVersion,
    RegisteredVersion,
    VersionKey,
    VersionRecord,
)
from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.runtime.unfinished import unfinished_folder

PRODUCTION = "production"
NO_ALIAS = re.compile(rf"^(?:[A-Z_]+: )?Registered model alias {PRODUCTION} not found", re.IGNORECASE)
"""MLflow's message for a missing alias, for which it has no code; an error of its database may name the alias too."""


class MlflowRegistry:
    """Registers versions, downloads them, and moves the alias; implements the port ``ModelRegistry``.

    Every method raises ``RegistryUnavailable`` where the store does not answer.
    """

    def __init__(self, tracking_uri: str, home: Path, model_name: str = DEFAULT_MODEL_NAME) -> None:
        """Use a registered model of a store or server; a server stores artifacts itself, else they are in ``home``.

        The experiment of the trainings has the name of the registered model.
        """
        self._tracking_uri = tracking_uri
        self._model = model_name
        self._unfinished = home / "unfinished"
        self._client = connect(tracking_uri)
        self._runs = TrainingRuns(self._client, artifact_root_of(tracking_uri, home), model_name)

    def open(self, tags: Mapping[str, str] | None = None) -> None:
        """Create MLflow's tables, the experiment and the registered model if missing; the first time takes seconds.

        Only a registered model that is created here gets the tags.
        """
        with registry_errors(f"the experiment {self._model}"):
            self._runs.experiment_id()
            if not self._client.search_registered_models(f"name = '{self._model}'"):
                description = "The film recommender that cineclub serves."
                with made_by_anybody():
                    self._client.create_registered_model(self._model, dict(tags or {}), description)

    def model_tags(self) -> dict[str, str] | None:
        """Return the tags of the registered model; None where there is none."""
        with registry_errors(f"the registered model {self._model}"):
            try:
                return dict(self._client.get_registered_model(self._model).tags)
            except MlflowException as error:
                if is_missing(error):
                    return None
                raise

    def tag_model(self, tags: Mapping[str, str]) -> None:
        """Put tags on the registered model, in their order."""
        with registry_errors(f"the registered model {self._model}"):
            for name, value in tags.items():
                self._client.set_registered_model_tag(self._model, name, value)

    def trainings(self) -> dict[VersionKey, str]:
        """Return the training of each version registered by cineclub; empty where the version has none."""
        trainings: dict[VersionKey, str] = {}
        for version in self._search(""):
            with suppress(BrokenArtifact):  # not registered by cineclub
                trainings[registered_version(version).key] = version.tags.get("training_id", "")
        return trainings

    def register(
        self,
        training_id: str,
        fitted: FittedModel,
        movies: Sequence[Movie],
        record: VersionRecord,
        artifact: tuple[Path, str],
    ) -> KnownVersion:
        """Upload an artifact with the documents of the record, and register it as a new version.

        Args:
            training_id: the training whose run gets the version.
            fitted: the model of the artifact.
            movies: the movies of its vocabulary.
            record: metrics, tags and documents of the version.
            artifact: the folder of arrays, and the SHA-256 of its manifest.
        """
        arrays, sha256 = artifact
        path = f"model-{sha256[:SHORT_HASH]}"
        tags = {**record.tags, "role": record.role, "training_id": training_id, "recipe": fitted.recipe.to_json()}
        tags["manifest_sha256"] = sha256
        with registry_errors(f"the run of training {training_id}"), unfinished_folder(self._unfinished) as package:
            run = self._runs.of_training(training_id)
            write_package(package, fitted, movies)
            self._client.log_artifacts(run.info.run_id, str(arrays), f"{path}/{ARRAYS}")
            self._client.log_artifacts(run.info.run_id, str(package), path)
            for name, text in record.documents.items():
                self._client.log_text(run.info.run_id, text, name)
                self._client.log_text(run.info.run_id, text, f"{path}/{name}")
            self._runs.record(run.info.run_id, fitted.recipe, record.metrics, record.tags)
            source, description = f"{run.info.artifact_uri}/{path}", str(fitted.recipe)
            created = self._client.create_model_version(
                self._model, source, run.info.run_id, tags, description=description
            )
            if record.role == CHALLENGER:
                self._client.set_registered_model_alias(self._model, CHALLENGER, created.version)
        return known_version(created, record.metrics)

    def delete(self, version: int) -> None:
        """Delete a version that never served."""
        with registry_errors(f"version {version}"):
            self._client.delete_model_version(self._model, str(version))

    def versions(self, training_id: str = "", excluding: Container[int] = ()) -> Iterator[KnownVersion]:
        """Yield the versions registered by cineclub: all, or those of one training."""
        for version in self._search(training_id):
            if int(version.version) not in excluding:
                with suppress(BrokenArtifact), registry_errors("the versions"):  # not registered by cineclub
                    yield known_version(version, self._runs.metrics_of(version.run_id))

    def version(self, version: int) -> RegisteredVersion:
        """Return a version as its tags in MLflow describe it.

        Raises:
            NotFound: there is no such version.
            BrokenArtifact: cineclub did not register it.
        """
        return registered_version(self._get(version))

    def tags(self, version: int) -> Mapping[str, str]:
        """Return the tags of a version.

        Raises:
            NotFound: there is no such version.
        """
        return dict(self._get(version).tags)

    def download(self, version: RegisteredVersion, folder: Path) -> Path:
        """Download the arrays of a version into a folder and return their folder.

        Raises:
            BrokenArtifact: the files do not exist any more.
        """
        with registry_errors(f"version {version.version}"):
            uri = self._client.get_model_version_download_uri(self._model, str(version.version))
            try:
                arrays = download_artifacts(
                    artifact_uri=f"{uri.rstrip('/')}/{ARRAYS}",  # never the code beside it
                    dst_path=str(folder),
                    tracking_uri=self._tracking_uri,
                    registry_uri=self._tracking_uri,
                )
            except (MlflowException, FileNotFoundError) as error:
                if isinstance(error, MlflowException) and not is_missing(error):
                    raise
                message = f"the files of version {version.version} are gone: train again or roll back"
                raise BrokenArtifact(message, f"from {uri}") from error
        return Path(arrays)

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record an evaluated candidate as a child run of the training's run."""
        with registry_errors(f"the run of training {training_id}"):
            self._runs.record_candidate(training_id, recipe, metrics)

    def alias(self) -> int | None:
        """Return the number of the version under the alias ``production``; None where there is no alias."""
        version = self._aliased()
        return None if version is None else int(version.version)

    def aliased(self) -> RegisteredVersion | None:
        """Return the version under the alias ``production``; None where there is no alias.

        Raises:
            BrokenArtifact: cineclub did not register it.
        """
        version = self._aliased()
        return None if version is None else registered_version(version)

    def move_alias(self, version: int | None) -> None:
        """Make the alias ``production`` name a version; None removes it."""
        with registry_errors(f"the alias {PRODUCTION}" if version is None else f"version {version}"):
            if version is None:
                self._client.delete_registered_model_alias(self._model, PRODUCTION)
            else:
                self._client.set_registered_model_alias(self._model, PRODUCTION, str(version))

    def _search(self, training_id: str) -> Iterator[ModelVersion]:
        """Yield the versions in MLflow's terms: all, or those of one training."""
        conditions = [f"name = '{self._model}'", *([f"tags.training_id = '{training_id}'"] if training_id else [])]
        with registry_errors("the versions"):
            token = None
            while True:
                page = self._client.search_model_versions(" and ".join(conditions), page_token=token)
                yield from page
                token = page.token
                if not token:
                    return

    def _get(self, version: int) -> ModelVersion:
        """Return a version in MLflow's terms."""
        with registry_errors(f"version {version}"):
            return self._client.get_model_version(self._model, str(version))

    def _aliased(self) -> ModelVersion | None:
        """Return the version under the alias in MLflow's terms; None where there is no alias."""
        with registry_errors(f"the alias {PRODUCTION}"):
            try:
                return self._client.get_model_version_by_alias(self._model, PRODUCTION)
            except MlflowException as error:
                if is_missing(error) or NO_ALIAS.search(str(error)):
                    return None
                raise
