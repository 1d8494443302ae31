"""``cineclub serve``, ``worker`` and ``recommend``: run the service, or ask it one question without HTTP."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.flows.prediction import PredictionResponse, Recommendation
    from cineclub.settings import Settings


def serve(
    *,
    with_worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="run trainings here, or leave them to a cineclub worker")
    ] = True,
) -> None:
    """Run PostgreSQL, the worker and the API until Ctrl-C.

    With CINECLUB_DATABASE_URL set, that PostgreSQL is used and none is started.
    """
    from cineclub import supervisor
    from cineclub.settings import Settings

    supervisor.serve(Settings(), on_live=_announce, with_worker=with_worker)


def _announce(address: str) -> None:
    """Say where the API answers, and what it still lacks."""
    from cineclub.cli.output import stderr
    from cineclub.supervisor import is_ready

    lack = "" if is_ready(address) else "\nno ratings and no model yet: cineclub import PATH, then cineclub train"
    stderr().print(f"serving on {address}, try {address}/docs{lack}", markup=False, highlight=False)


def worker() -> None:
    """Run trainings as they are queued, until Ctrl-C.

    `cineclub serve` has a worker of its own.
    """
    from cineclub import bootstrap, supervisor
    from cineclub.settings import Settings

    with supervisor.stop_requests() as stop, bootstrap.database(Settings()) as settings:
        child = supervisor.Child("worker", supervisor.child_environment(settings))
        child.start()
        try:
            supervisor.keep_running([child], stop)
        finally:
            child.stop()


def recommend(
    user_id: Annotated[str, typer.Argument(help="as your ratings name the user; an unknown one is new")],
    top_n: Annotated[int, typer.Option(min=1, max=100, help="how many films")] = 10,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the answer as JSON")] = False,
) -> None:
    """Recommend films to one user, as POST /predict/ does."""
    from cineclub import bootstrap
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        response = asyncio.run(_predict(settings, user_id, top_n))
    if as_json:
        print_json(to_document(response))
    else:
        _print_answer(response, stdout())


async def _predict(settings: "Settings", user_id: str, top_n: int) -> "PredictionResponse":
    """Return one answer from the parts that the API is made of."""
    from cineclub import bootstrap
    from cineclub.domain.questions import Question

    parts = bootstrap.api_parts(settings)
    for service in parts.services:
        await service.start()
    try:
        return await parts.predictor.predict(Question(top_n, user_id))
    finally:
        for service in reversed(parts.services):
            await service.stop()


def _print_answer(response: "PredictionResponse", console: "Console") -> None:
    """Print the films of an answer as a table, with how it was made above it."""
    from cineclub.cli.tables import number, table

    model = f"{response.model_name} version {response.model_version}" if response.model_name else "no model yet"
    title = f"user {response.user_id}: strategy {response.strategy}, {model}"
    heads = ["#", "title", "year", "genres", "score", "stars", "because you rated"]
    rows = [
        [
            str(one.rank),
            one.movie.title,
            str(one.movie.year or ""),
            ", ".join(one.movie.genres),
            number(one.score, 2),
            number(one.predicted_stars, 1),
            _because(one),
        ]
        for one in response.recommendations
    ]
    console.print(table(title, heads, rows, wide="title"))


def _because(recommendation: "Recommendation") -> str:
    """Return the film whose rating spoke loudest for this one."""
    return recommendation.reasons[0].movie.title if recommendation.reasons else ""
