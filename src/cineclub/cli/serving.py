"""``cineclub serve``, ``worker`` and ``recommend``: run the service, or recommend without HTTP."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cineclub.cli.text import echo

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.recommend.recommendations import PredictionResponse, Recommendation
    from cineclub.domain.recommend.request import RecommendationRequest
    from cineclub.settings import Settings

LIST_KEY = "listed"
"""The list of recommendations in the JSON of ``cineclub recommend``: a public name."""


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

    With CINECLUB_DATABASE_URL, that PostgreSQL is used and none is started.
    """
    from cineclub.processes import supervisor
    from cineclub.settings import Settings

    settings = Settings()
    chosen = settings if workers is None else settings.model_copy(update={"workers": workers})
    supervisor.serve(chosen, on_live=_announce, with_worker=with_worker)


def _announce(address: str) -> None:
    """Print the address of the API, and the next commands if it is not ready."""
    from cineclub.cli.output import stderr
    from cineclub.processes.supervisor import is_ready

    hint = "" if is_ready(address) else "\nno ratings and no model yet: cineclub import PATH, then cineclub train"
    stderr().print(f"serving on {address}, open it in a browser{hint}", markup=False, highlight=False)


def worker() -> None:
    """Run queued trainings until Ctrl-C.

    `cineclub serve` has a worker of its own.
    """
    from cineclub.processes import supervisor
    from cineclub.settings import Settings

    supervisor.work(Settings())


def recommend(
    user_id: Annotated[
        str | None, typer.Argument(help="an id of your system; an unknown id is a new user", show_default=False)
    ] = None,
    top_n: Annotated[int, typer.Option(min=1, max=100, help="number of films")] = 10,
    *,
    fresh: Annotated[
        float, typer.Option(min=0, max=1, help="share of what people like these days in the scores")
    ] = 0.0,
    everybody: Annotated[bool, typer.Option("--all", help="all users, into a file")] = False,
    output: Annotated[Path | None, typer.Option(help="new file for --all: .parquet or .csv")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the recommendations as JSON")] = False,
) -> None:
    """Recommend films to one user, as POST /predict/ does.

    With --all: to all users, into a file with a row for each film.
    """
    from cineclub.domain.recommend.request import RecommendationRequest

    if everybody != (user_id is None) or everybody != (output is not None):
        message = "name one user, or give --all and --output FILE"
        raise typer.BadParameter(message)
    if output is not None:
        _recommend_all(output, RecommendationRequest(top_n, fresh=fresh))
    elif user_id is not None:
        _recommend_to_user(RecommendationRequest(top_n, user_id, fresh=fresh), as_json=as_json)


def _recommend_to_user(request: "RecommendationRequest", *, as_json: bool) -> None:
    """Print the recommendations of one user."""
    from cineclub.bootstrap import storage
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        response = asyncio.run(_predict(settings, request))
    if as_json:
        document = to_document(response)
        print_json({LIST_KEY if name == "recommendation_list" else name: value for name, value in document.items()})
    else:
        _print_recommendations(response, stdout())


def _recommend_all(output: Path, request: "RecommendationRequest") -> None:
    """Write the recommendations of all users into a new file, and show the progress."""
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.serving import recommend_all
    from cineclub.cli.progress import ProgressLines
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings, ProgressLines() as lines:
        n_known = max(1, storage.rating_store(settings).facts().n_users)
        n_users = asyncio.run(
            recommend_all(
                settings,
                output,
                request,
                lambda n_done: lines.show("recommend", min(1.0, n_done / n_known), f"{n_done:,} users"),
            )
        )
    echo(f"{output}: {n_users:,} users, {request.top_n} films each at most")


async def _predict(settings: "Settings", request: "RecommendationRequest") -> "PredictionResponse":
    """Return the recommendations of one user, from the parts of the API."""
    from cineclub.bootstrap.serving import running_api_parts

    async with running_api_parts(settings) as parts:
        await parts.crowd.first_read()
        return await parts.predictor.predict(request)


def _print_recommendations(response: "PredictionResponse", console: "Console") -> None:
    """Print recommendations as a table, each with the rated movie that contributed most or a similar one."""
    from cineclub.cli.tables import number, table

    model = f"{response.model_name} version {response.model_version}" if response.model_name else "no model yet"
    title = f"user {response.user_id}: strategy {response.strategy}, {model}"
    heads = ["#", "title", "year", "genres", "score", "stars", "because you rated"]
    rows = [
        [
            str(recommendation.rank),
            recommendation.movie.title,
            str(recommendation.movie.year or ""),
            ", ".join(recommendation.movie.genres),
            number(recommendation.score, 2),
            number(recommendation.predicted_stars, 1),
            _because(recommendation),
        ]
        for recommendation in response.recommendations
    ]
    console.print(table(title, heads, rows, wide="title"))


def _because(recommendation: "Recommendation") -> str:
    """Return the strongest reason in words, or what speaks for a movie that the model has not learned; else nothing."""
    if (similar_to := recommendation.similar_to) is not None:
        shared = ", ".join(f"{kind} {name}" for kind, name in similar_to.attributes)
        return f"like {similar_to.movie.title}: {shared}"
    if recommendation.reasons:
        return recommendation.reasons[0].movie.title
    return "" if recommendation.crowd_weight is None else "(popular now)"
