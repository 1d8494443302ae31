"""What led to a version: one run a training, with a child run for each candidate."""

from collections.abc import Mapping
from pathlib import Path
from time import time

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cineclub.adapters.mlflow.client import is_missing
from cineclub.domain.recipe import Recipe

EXPERIMENT = "cineclub"
TRAINING_TAG = "cineclub.training_id"
RECIPE_TAG = "cineclub.recipe"
PARENT_TAG = "mlflow.parentRunId"
MAX_CHILDREN = 1000


class TrainingRuns:
    """The runs of trainings; a training that is run again finds its own."""

    def __init__(self, client: MlflowClient, artifact_root: Path | None) -> None:
        """Put artifacts under ``artifact_root``, or where the MLflow server wants them if that is None."""
        self._client = client
        self._artifact_root = artifact_root
        self._experiment_id: str | None = None
        self._parents: dict[str, Run] = {}
        self._children: dict[tuple[str, str], str] = {}

    def experiment_id(self) -> str:
        """Return the experiment of all trainings, made when it is first needed."""
        if self._experiment_id is None:
            experiment = self._client.get_experiment_by_name(EXPERIMENT)
            if experiment is not None:
                self._experiment_id = str(experiment.experiment_id)
            else:
                location = self._artifact_root.as_uri() if self._artifact_root else None
                self._experiment_id = self._client.create_experiment(EXPERIMENT, artifact_location=location)
        return self._experiment_id

    def of_training(self, training_id: str) -> Run:
        """Return the run of a training, made when it is first needed."""
        if training_id not in self._parents:
            runs = self._tagged(training_id)
            parents = [run for run in runs if PARENT_TAG not in run.data.tags]
            self._parents[training_id] = parents[0] if parents else self._new(training_id, {})
            for run in runs:
                if PARENT_TAG in run.data.tags:
                    self._children[training_id, run.data.tags.get(RECIPE_TAG, "")] = run.info.run_id
        return self._parents[training_id]

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record one judged candidate under its training's run; the same candidate again replaces its numbers."""
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
        """Return the metrics of a run; none where there is no such run any more."""
        if not run_id:
            return {}
        try:
            return dict(self._client.get_run(run_id).data.metrics)
        except MlflowException as error:
            if is_missing(error):
                return {}
            raise

    def _tagged(self, training_id: str) -> list[Run]:
        """Return every run of a training."""
        return list(
            self._client.search_runs(
                [self.experiment_id()], f"tags.`{TRAINING_TAG}` = '{training_id}'", max_results=MAX_CHILDREN
            )
        )

    def _new(self, training_id: str, tags: Mapping[str, str]) -> Run:
        """Start a run of a training."""
        named = {"mlflow.runName": f"training {training_id}"} | dict(tags) | {TRAINING_TAG: training_id}
        return self._client.create_run(self.experiment_id(), tags=named)
