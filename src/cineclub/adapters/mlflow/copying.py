"""Copies of versions in another registered model: runs with their candidates, artifacts, tags and aliases."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from cineclub.adapters.mlflow.client import connect, is_missing, registry_errors
from cineclub.adapters.mlflow.descriptions import registered_version
from cineclub.adapters.mlflow.registry import PRODUCTION
from cineclub.adapters.mlflow.runs import PARENT_TAG, RECIPE_TAG, TRAINING_TAG, TrainingRuns, artifact_root_of
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.promotion.ownership import RESERVED_TAG
from cineclub.domain.promotion.versions import VersionKey
from cineclub.domain.recommend.recipe import Recipe
from cineclub.runtime.unfinished import unfinished_folder

NO_SOURCE = "cineclub:/removed"
FORMER_RUN_TAG = "cineclub.former_run_id"
MAX_CHILDREN = 1000


class VersionCopier:
    """Copies versions from one registered model to another; the former is only read.

    Its methods raise ``RegistryUnavailable`` where one of the two does not answer.
    """

    def __init__(self, source: tuple[str, str], target: tuple[str, str], home: Path) -> None:
        """Take address and name of both registered models; a target that is no server has its artifacts in ``home``."""
        self._source_uri, self._source_name = source
        self._source = connect(self._source_uri)
        target_uri, self._target_name = target
        self._target = connect(target_uri)
        self._runs = TrainingRuns(self._target, artifact_root_of(target_uri, home), self._target_name)
        self._unfinished = home / "unfinished"
        self._copied_runs: set[str] = set()

    def source_versions(self) -> dict[int, VersionKey]:
        """Return the identity of each version of the source that cineclub registered, by number."""
        versions: dict[int, VersionKey] = {}
        with registry_errors(f"the registered model {self._source_name}"):
            for version in self._versions():
                with suppress(BrokenArtifact):  # not registered by cineclub
                    versions[int(version.version)] = registered_version(version).key
        return versions

    def source_aliases(self) -> dict[str, int]:
        """Return the versions under the aliases of the source, the alias ``production`` aside."""
        with registry_errors(f"the registered model {self._source_name}"):
            aliases = self._source.get_registered_model(self._source_name).aliases
        return {name: int(version) for name, version in aliases.items() if name != PRODUCTION}

    def copy(self, number: int) -> int:
        """Copy a version with its run and its artifacts, and return the number of the copy.

        Raises:
            BrokenArtifact: its files are gone.
        """
        with registry_errors(f"version {number}"):
            version = self._source.get_model_version(self._source_name, str(number))
            run_id, artifact_uri = self._copied_run(version)
            path = self._copied_files(version, run_id)
            created = self._target.create_model_version(
                self._target_name,
                f"{artifact_uri}/{path}",
                run_id,
                dict(version.tags),
                description=version.description,
            )
        return int(created.version)

    def reserve(self) -> int:
        """Take the next number of the target for a version that is not copied, and return it."""
        tags = {RESERVED_TAG: "true"}
        with registry_errors("the number of a removed version"):
            return int(self._target.create_model_version(self._target_name, NO_SOURCE, None, tags).version)

    def set_alias(self, name: str, number: int) -> None:
        """Let an alias of the target name a version."""
        with registry_errors(f"version {number}"):
            self._target.set_registered_model_alias(self._target_name, name, str(number))

    def _versions(self) -> list[ModelVersion]:
        """Return all versions of the source."""
        versions: list[ModelVersion] = []
        token = None
        while True:
            page = self._source.search_model_versions(f"name = '{self._source_name}'", page_token=token)
            versions += page
            token = page.token
            if not token:
                return versions

    def _copied_run(self, version: ModelVersion) -> tuple[str, str]:
        """Copy the facts of a version's run and of its candidates once; return id and artifacts of the copy."""
        training_id = version.tags.get("training_id", "")
        copy = self._runs.of_training(training_id)
        if version.run_id and version.run_id not in self._copied_runs:
            with suppress_missing():
                self._copy_facts(version.run_id, copy.info.run_id)
                self._copy_candidates(version.run_id, training_id)
            self._copied_runs.add(version.run_id)
        return str(copy.info.run_id), str(copy.info.artifact_uri)

    def _copy_facts(self, run_id: str, copy_id: str) -> None:
        """Copy metrics, parameters and tags of a run, and its end."""
        run = self._source.get_run(run_id)
        known = self._target.get_run(copy_id).data.params
        at = run.info.end_time or run.info.start_time
        tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
        tags |= {FORMER_RUN_TAG: run_id}
        self._target.log_batch(
            copy_id,
            metrics=[Metric(name, value, at, 0) for name, value in run.data.metrics.items()],
            params=[parameter for parameter in _parameters(run.data.params) if parameter.key not in known],
            tags=[RunTag(name, value) for name, value in tags.items() if name != TRAINING_TAG],
        )
        self._target.set_terminated(copy_id, end_time=at)

    def _copy_candidates(self, run_id: str, training_id: str) -> None:
        """Copy the child runs of a training's run."""
        experiment = self._source.get_run(run_id).info.experiment_id
        children = self._source.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{run_id}'", max_results=MAX_CHILDREN)
        for child in children:
            recipe = Recipe.from_json(child.data.tags[RECIPE_TAG])
            self._runs.record_candidate(training_id, recipe, child.data.metrics)

    def _copied_files(self, version: ModelVersion, run_id: str) -> str:
        """Copy the folder of a version and the documents of its run, and return the path of the folder.

        Raises:
            BrokenArtifact: the files are gone.
        """
        uri = self._source.get_model_version_download_uri(self._source_name, version.version).rstrip("/")
        path = uri.rsplit("/", 1)[1]
        with unfinished_folder(self._unfinished) as folder:
            try:
                files = download_artifacts(
                    artifact_uri=uri, dst_path=str(folder), tracking_uri=self._source_uri, registry_uri=self._source_uri
                )
            except (MlflowException, FileNotFoundError) as error:
                if isinstance(error, MlflowException) and not is_missing(error):
                    raise
                message = f"the files of version {version.version} are gone"
                raise BrokenArtifact(message, f"from {uri}") from error
            self._target.log_artifacts(run_id, files, path)
            documents = self._documents(version.run_id) if version.run_id else set()
            for document in Path(files).glob("*.*"):
                if document.name in documents:
                    self._target.log_artifact(run_id, str(document))
        return path

    def _documents(self, run_id: str) -> set[str]:
        """Return the names of the files beside the folders of versions in a run; none where the run was deleted."""
        documents: set[str] = set()
        with suppress_missing():
            documents |= {file.path for file in self._source.list_artifacts(run_id) if not file.is_dir}
        return documents


@contextmanager
def suppress_missing() -> Iterator[None]:
    """Ignore that an object of MLflow does not exist."""
    try:
        yield
    except MlflowException as error:
        if not is_missing(error):
            raise


def _parameters(parameters: Mapping[str, str]) -> list[Param]:
    """Return parameters in MLflow's terms."""
    return [Param(name, value) for name, value in parameters.items()]
