"""MLflow runs: one for each training, with a child run for each candidate."""

from collections.abc import Mapping
from pathlib import Path
from time import time

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cineclub.adapters.mlflow.client import is_missing, made_by_anybody
from cineclub.domain.errors import Conflict, RegistryRefused
from cineclub.domain.recommend.recipe import Recipe

TRAINING_TAG = "cineclub.training_id"
RECIPE_TAG = "cineclub.recipe"
PARENT_TAG = "mlflow.parentRunId"
MAX_CHILDREN = 1000
LONGEST_LOCATION = 200 - len("/artifacts") - len("/") - 32


def artifact_location(folder: Path) -> str:
    """Return the address of the folder of artifacts as MLflow's store records it.

    Raises:
        Conflict: it is too long for a column of the store, which holds 200 characters with the path of one run.
    """
    location = folder.as_uri()
    if len(location) > LONGEST_LOCATION:
        message = (
            f"{folder} is too long for MLflow's store ({len(location)} characters as an address, at most "
            f"{LONGEST_LOCATION}; other characters than ASCII count several times): choose a shorter CINECLUB_HOME"
        )
        raise Conflict(message)
    return location


def artifact_root_of(tracking_uri: str, home: Path) -> Path | None:
    """Return the folder of artifacts in ``home``; None for a server, which stores them itself."""
    return None if tracking_uri.startswith(("http://", "https://")) else home.resolve() / "artifacts"


class TrainingRuns:
    """The runs of trainings; a repeated attempt of a training uses the run of the first."""

    def __init__(self, client: MlflowClient, artifact_root: Path | None, experiment: str) -> None:
        """Put artifacts under ``artifact_root``, or where the MLflow server stores them if that is None."""
        self._client = client
        self._experiment = experiment
        self._artifact_root = artifact_root
        self._experiment_id: str | None = None
        self._parents: dict[str, Run] = {}
        self._children: dict[tuple[str, str], str] = {}

    def experiment_id(self) -> str:
        """Return the id of the experiment of all trainings, created on first use."""
        if self._experiment_id is None:
            if self._client.get_experiment_by_name(self._experiment) is None:
                location = artifact_location(self._artifact_root) if self._artifact_root else None
                with made_by_anybody():
                    self._client.create_experiment(self._experiment, artifact_location=location)
            experiment = self._client.get_experiment_by_name(self._experiment)
            if experiment is None:
                message = f"the experiment {self._experiment} was deleted: restore it in MLflow, or delete it for good"
                raise RegistryRefused(message)
            self._experiment_id = str(experiment.experiment_id)
        return self._experiment_id

    def of_training(self, training_id: str) -> Run:
        """Return the run of a training, created on first use."""
        if training_id not in self._parents:
            condition = f"tags.`{TRAINING_TAG}` = '{training_id}'"
            runs = list(self._client.search_runs([self.experiment_id()], condition, max_results=MAX_CHILDREN))
            parents = [run for run in runs if PARENT_TAG not in run.data.tags]
            self._parents[training_id] = parents[0] if parents else self._new(training_id, {})
            for run in runs:
                if PARENT_TAG in run.data.tags:
                    self._children[training_id, run.data.tags.get(RECIPE_TAG, "")] = run.info.run_id
        return self._parents[training_id]

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record an evaluated candidate under its training's run; recording it again replaces its metrics."""
        parent = self.of_training(training_id)
        text = recipe.to_json()
        if (training_id, text) not in self._children:
            tags = {PARENT_TAG: parent.info.run_id, RECIPE_TAG: text, "mlflow.runName": str(recipe)}
            self._children[training_id, text] = self._new(training_id, tags).info.run_id
        self.record(self._children[training_id, text], recipe, metrics, {})

    def record(self, run_id: str, recipe: Recipe, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write a recipe as parameters, and metrics and tags, into a run and end it."""
        now = int(time() * 1000)
        parameters = {"model": recipe.model} | {name: str(value) for name, value in recipe.hyperparameters.items()}
        known = self._client.get_run(run_id).data.params
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
            params=[Param(name, value) for name, value in parameters.items() if name not in known],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self._client.set_terminated(run_id)

    def metrics_of(self, run_id: str | None) -> dict[str, float]:
        """Return the metrics of a run; none where the run was deleted."""
        if not run_id:
            return {}
        try:
            return dict(self._client.get_run(run_id).data.metrics)
        except MlflowException as error:
            if is_missing(error):
                return {}
            raise

    def _new(self, training_id: str, tags: Mapping[str, str]) -> Run:
        """Start a run of a training."""
        named = {"mlflow.runName": f"training {training_id}"} | dict(tags) | {TRAINING_TAG: training_id}
        return self._client.create_run(self.experiment_id(), tags=named)
