"""``cineclub serve``, ``worker`` and ``recommend``: run the service, or ask it one question without HTTP."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.recommendations import PredictionResponse, Recommendation
    from cineclub.settings import Settings


def serve(
    *,
    with_worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="run trainings here, or leave them to a cineclub worker")
    ] = True,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="API processes that share the model [default: 1]", show_default=False),
    ] = None,
) -> None:
    """Run PostgreSQL, the worker and the API until Ctrl-C.

    With CINECLUB_DATABASE_URL set, that PostgreSQL is used and none is started.
    """
    from cineclub import supervisor
    from cineclub.settings import Settings

    settings = Settings()
    chosen = settings if workers is None else settings.model_copy(update={"workers": workers})
    supervisor.serve(chosen, on_live=_announce, with_worker=with_worker)


def _announce(address: str) -> None:
    """Say where the API answers, and what it still lacks."""
    from cineclub.cli.output import stderr
    from cineclub.supervisor import is_ready

    lack = "" if is_ready(address) else "\nno ratings and no model yet: cineclub import PATH, then cineclub train"
    stderr().print(f"serving on {address}, open it in a browser{lack}", markup=False, highlight=False)


def worker() -> None:
    """Run trainings as they are queued, until Ctrl-C.

    `cineclub serve` has a worker of its own.
    """
    from cineclub import bootstrap, children, supervisor
    from cineclub.settings import Settings

    with children.stop_requests() as stop, bootstrap.database(Settings()) as settings:
        child = supervisor.Child("worker", supervisor.child_environment(settings))
        child.start()
        try:
            children.keep_running([child], stop)
        finally:
            child.stop()


def recommend(
    user_id: Annotated[
        str | None, typer.Argument(help="as your ratings name the user; an unknown one is new", show_default=False)
    ] = None,
    top_n: Annotated[int, typer.Option(min=1, max=100, help="how many films")] = 10,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="every user, into a file")] = False,
    output: Annotated[Path | None, typer.Option(help="the new file of --all: .parquet or .csv")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the answer as JSON")] = False,
) -> None:
    """Recommend films to one user, as POST /predict/ does.

    With --all: to everybody, into a file with a row for each film.
    """
    if everybody != (user_id is None) or everybody != (output is not None):
        message = "name one user, or give --all and --output FILE"
        raise typer.BadParameter(message)
    if output is not None:
        _recommend_all(output, top_n)
    elif user_id is not None:
        _recommend_one(user_id, top_n, as_json=as_json)


def _recommend_one(user_id: str, top_n: int, *, as_json: bool) -> None:
    """Print the films of one user."""
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


def _recommend_all(output: Path, top_n: int) -> None:
    """Write the films of every user into a new file, with progress."""
    from cineclub import bootstrap
    from cineclub.cli.progress import ProgressLines
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings, ProgressLines() as lines:
        n_known = max(1, bootstrap.rating_store(settings).facts().n_users)
        told = lambda n_users: lines.show("recommend", min(1.0, n_users / n_known), f"{n_users:,} users")  # noqa: E731
        n_users = asyncio.run(bootstrap.recommend_all(settings, output, top_n, told))
    typer.echo(f"{output}: {n_users:,} users, {top_n} films each at most")


async def _predict(settings: "Settings", user_id: str, top_n: int) -> "PredictionResponse":
    """Return one answer from the parts that the API is made of."""
    from cineclub import bootstrap
    from cineclub.domain.questions import Question

    async with bootstrap.running_api_parts(settings) as parts:
        return await parts.predictor.predict(Question(top_n, user_id))


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
