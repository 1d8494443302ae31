"""``cineclub mlflow``: MLflow's web page over cineclub's own store, and the move to another registered model."""

from typing import Annotated

import typer

from cineclub.cli.text import echo

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def mlflow(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="port of the page")] = 5000,
    host: Annotated[str, typer.Option(help="address of the page, which has no login")] = "127.0.0.1",
) -> None:
    """Show runs and versions in MLflow's page until Ctrl-C.

    It needs the full package of MLflow: .venv/bin/pip install "mlflow>=3.5,<4".
    """
    if context.invoked_subcommand is not None:
        return
    from cineclub.cli.output import stderr
    from cineclub.processes import supervisor
    from cineclub.settings import Settings

    def announce(address: str) -> None:
        stderr().print(f"MLflow's page is on {address}, until Ctrl-C", markup=False, highlight=False)

    if host not in LOOPBACK:
        warning = (
            f"warning: the page has no login: anybody at {host}:{port} can delete versions and move the alias; "
            "for a host name of your own, also set MLFLOW_SERVER_ALLOWED_HOSTS"
        )
        stderr().print(warning, style="yellow", markup=False, highlight=False)
    supervisor.show_mlflow(Settings(), host, port, announce)


def move(
    source: Annotated[
        str | None,
        typer.Option("--from", help="address of the former registry; unset: the recorded one"),
    ] = None,
    source_name: Annotated[
        str | None, typer.Option("--from-name", help="name of the former registered model; unset: the recorded one")
    ] = None,
    *,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="the former registry is lost: register the versions of this machine again")
    ] = False,
) -> None:
    """Move all versions, with their numbers, to the registry that the settings name now.

    MLFLOW_TRACKING_URI and CINECLUB_MODEL_NAME name it. Runs, artifacts, tags and aliases are copied and checked; the
    former registry does not change. Stop every worker first. After an interruption, run the command again.
    """
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.moving import move_versions
    from cineclub.cli.output import stderr
    from cineclub.settings import Settings

    def report(number: int, last: int) -> None:
        stderr().print(f"version {number} of {last}", highlight=False)

    with storage.database(Settings()) as settings:
        outcome = move_versions(settings, source, source_name, report, rebuild=rebuild)
        place = storage.registry_place(settings)
    echo(f"{len(outcome.moved)} versions are in {place}, with their numbers")
    if outcome.lost:
        lost = ", ".join(map(str, outcome.lost))
        echo(f"their files are nowhere, so they cannot be promoted any more: versions {lost}", err=True)
