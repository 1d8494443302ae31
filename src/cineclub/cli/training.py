"""``cineclub train``: queue a training, follow it, tell what came of it."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cineclub.domain.errors import CineclubError, TrainingCancelled

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.children import StopRequest
    from cineclub.ports import Training, TrainingJobs
    from cineclub.supervisor import Child

LOOK_SECONDS = 0.2
MAX_WORKER_STARTS = 4
FINISHED = {"succeeded", "failed", "cancelled"}


def train(
    models: Annotated[str, typer.Option(help="names with commas between; all unless given")] = "",
    reason: Annotated[str | None, typer.Option(help="kept with the training")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Train, judge, and promote what is better.

    The same as POST /training/. A worker that is alive does the work, else one is started for the duration.
    """
    from cineclub import bootstrap, children, supervisor
    from cineclub.cli.output import print_json, stdout
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings, children.stop_requests() as stop:
        jobs = bootstrap.training_jobs(settings)
        has_worker = jobs.is_worker_alive()
        training = jobs.start(options_of(models), reason)
        if has_worker:
            finished = follow(jobs, training.training_id, stop, worker=None)
        else:
            with supervisor.worker_for_the_duration(settings) as worker:
                finished = follow(jobs, training.training_id, stop, worker)
    report = report_of(finished)
    if as_json:
        print_json(report)
    else:
        print_outcome(report, stdout())


def options_of(models: str) -> dict[str, Any]:
    """Return the options of a training of the models named between commas; none means all.

    Raises:
        InvalidInput: a model that the catalogue does not have.
    """
    from cineclub.models import catalogue

    names = names_between_commas(models)
    for name in names:
        catalogue.default_recipe(name)
    return {"models": names} if names else {}


def names_between_commas(text: str) -> list[str]:
    """Return the names between the commas, without empty ones."""
    return [name.strip() for name in text.split(",") if name.strip()]


def follow(jobs: "TrainingJobs", training_id: str, stop: "StopRequest", worker: "Child | None") -> "Training":
    """Return the training once it has ended, with its progress drawn meanwhile.

    Args:
        jobs: where the training is.
        training_id: which one.
        stop: a request to stop cancels the training where ``worker`` runs it, and leaves it to others otherwise.
        worker: the worker that runs for us alone, started again if it dies; None where another one does the work.

    Raises:
        TrainingCancelled: a person stopped following or cancelled the training.
    """
    from cineclub.cli.progress import ProgressLines, show_step

    with ProgressLines() as lines:
        while (training := jobs.get(training_id)).status not in FINISHED:
            if training.progress:
                show_step(lines, training.progress)
            if stop.is_made:
                _leave(jobs, training_id, is_ours=worker is not None)
            if worker:
                _keep_alive(worker)
            time.sleep(LOOK_SECONDS)
    return training


def _keep_alive(worker: "Child") -> None:
    """Start the worker again if it died, a few times.

    Raises:
        CineclubError: it dies again and again.
    """
    worker.revive()
    if worker.n_starts > MAX_WORKER_STARTS:
        message = f"the worker ends as soon as it starts, see {worker.log}; `cineclub doctor` says what is missing"
        raise CineclubError(message)


def _leave(jobs: "TrainingJobs", training_id: str, *, is_ours: bool) -> None:
    """Stop following: a training that only we would finish is cancelled.

    Raises:
        TrainingCancelled: always, with what becomes of the training.
    """
    if is_ours:
        jobs.cancel(training_id)
        message = f"training {training_id} was cancelled: production stays as it was"
    else:
        message = f"training {training_id} goes on in its worker; GET /training/{training_id} tells how it does"
    raise TrainingCancelled(message)


def report_of(training: "Training") -> dict[str, Any]:
    """Return the report of a training that succeeded.

    Raises:
        CineclubError: it did not.
    """
    if training.status == "cancelled":
        message = f"training {training.training_id} was cancelled: production stays as it was"
        raise TrainingCancelled(message)
    if training.status == "failed":
        raise CineclubError(training.error or f"training {training.training_id} failed without telling why")
    return dict(training.report or {})


def print_outcome(report: Mapping[str, Any], console: "Console") -> None:
    """Print both scoreboards and the verdict of a training."""
    from cineclub.cli.tables import scoreboard_table

    for window, title in (("validation", "validation window (chooses)"), ("test", "test window (judges)")):
        rows: Sequence[Mapping[str, Any]] = report[window]["models"]
        console.print(scoreboard_table(title, rows))
    decision = report["decision"]
    console.print(
        f"{decision['verdict']}: {decision['reason']}\nversion {report['version']}: {_recipe_text(decision['recipe'])}",
        markup=False,
        highlight=False,
    )


def _recipe_text(recipe: Mapping[str, Any]) -> str:
    """Return a recipe's JSON document as people read it."""
    from cineclub.domain.recipe import Recipe

    return str(Recipe(recipe["model"], recipe["hyperparameters"]))
