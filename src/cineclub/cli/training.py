"""``cineclub train``: queue a training, follow it, print its report."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cineclub.domain.errors import CineclubError, TrainingCancelled

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.adapters.postgres.jobs import PostgresTrainingJobs
    from cineclub.domain.training.records import Training
    from cineclub.processes.supervisor import Child
    from cineclub.runtime.child_processes import StopRequest

POLL_SECONDS = 0.2
MAX_WORKER_STARTS = 4
FINISHED = {"succeeded", "failed", "cancelled"}


def train(
    models: Annotated[str, typer.Option(help="names separated by commas; all unless given")] = "",
    reason: Annotated[str | None, typer.Option(help="recorded with the training")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Train and evaluate models, and promote a better one.

    The same as POST /training/. A worker that is alive runs it, else one is started for the duration.
    """
    from cineclub.bootstrap import storage
    from cineclub.cli.output import print_json, stdout
    from cineclub.processes import supervisor
    from cineclub.runtime import child_processes as children
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings, children.stop_requests() as stop:
        jobs = storage.training_jobs(settings)
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
    """Return the options of a training of the models in a list separated by commas; an empty list means all.

    Raises:
        InvalidInput: the catalogue has no such model.
    """
    from cineclub.models import catalogue

    names = names_between_commas(models)
    for name in names:
        catalogue.default_recipe(name)
    return {"models": names} if names else {}


def names_between_commas(text: str) -> list[str]:
    """Return the names in a list separated by commas, without empty ones."""
    return [name.strip() for name in text.split(",") if name.strip()]


def follow(jobs: "PostgresTrainingJobs", training_id: str, stop: "StopRequest", worker: "Child | None") -> "Training":
    """Wait until a training has ended, show its progress, and return it.

    Args:
        jobs: the queue of trainings.
        training_id: the id of the training.
        stop: a request to stop cancels the training if ``worker`` runs it, and leaves it to its worker otherwise.
        worker: the worker of this command alone, restarted if it dies; None if another worker runs the training.

    Raises:
        TrainingCancelled: a stop was requested.
        CineclubError: ``worker`` died too often.
    """
    from cineclub.cli.progress import ProgressLines, show_step

    with ProgressLines() as lines:
        while (training := jobs.get(training_id)).status not in FINISHED:
            if training.progress:
                show_step(lines, training.progress)
            if stop.is_made:
                _leave(jobs, training_id, has_own_worker=worker is not None)
            if worker:
                worker.restart_if_dead()
                if worker.n_starts > MAX_WORKER_STARTS:
                    message = f"the worker dies soon after each start, see {worker.log}; run `cineclub doctor`"
                    raise CineclubError(message)
            time.sleep(POLL_SECONDS)
    return training


def _leave(jobs: "PostgresTrainingJobs", training_id: str, *, has_own_worker: bool) -> None:
    """Stop following; a training of this command's own worker is cancelled.

    Raises:
        TrainingCancelled: always; the message names the state of the training.
    """
    if has_own_worker:
        jobs.cancel(training_id)
        message = f"training {training_id} was cancelled: production is unchanged"
    else:
        message = f"training {training_id} continues in its worker; GET /training/{training_id} shows its progress"
    raise TrainingCancelled(message)


def report_of(training: "Training") -> dict[str, Any]:
    """Return the report of a training that succeeded.

    Raises:
        TrainingCancelled: it was cancelled.
        CineclubError: it failed.
    """
    if training.status == "cancelled":
        message = f"training {training.training_id} was cancelled: production is unchanged"
        raise TrainingCancelled(message)
    if training.status == "failed":
        raise CineclubError(training.error or f"training {training.training_id} failed without a message")
    return dict(training.report or {})


def print_outcome(report: Mapping[str, Any], console: "Console") -> None:
    """Print both scoreboards and the verdict of a training."""
    from cineclub.cli.tables import scoreboard_note, scoreboard_table
    from cineclub.domain.recommend.recipe import Recipe

    for window, title in (("validation", "validation window (selection)"), ("test", "test window (gate)")):
        rows: Sequence[Mapping[str, Any]] = report[window]["models"]
        console.print(scoreboard_table(title, rows))
        console.print(scoreboard_note(rows), markup=False, highlight=False)
    decision = report["decision"]
    recipe = Recipe(decision["recipe"]["model"], decision["recipe"]["hyperparameters"])
    lines = [f"{decision['verdict']}: {decision['reason']}", f"version {report['version']}: {recipe}"]
    lines += _evidence_lines(report["challenger_verdict"])
    console.print("\n".join(lines), markup=False, highlight=False)


def _evidence_lines(verdict: Mapping[str, Any]) -> list[str]:
    """Return what the verdict on the challenger rests on, and what would make it certain, if it is not."""
    interval, numbers = verdict["interval"], verdict["numbers"]
    if not interval.get("n_days"):
        return []
    seen = f"{interval['n_users']:,} users, {interval['n_movies']:,} films, {interval['n_days']:,} days"
    wanted = numbers.get("users_for_certainty")
    if wanted is None:
        return [f"evidence: {seen}"]
    days = f"{numbers['days_for_certainty']:,.0f} days"
    return [f"evidence: {seen}; certain at this difference with about {wanted:,.0f} users over {days}"]
