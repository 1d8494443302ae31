"""``cineclub mlflow``: MLflow's web page over cineclub's own store."""

from typing import Annotated

import typer

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def mlflow(
    port: Annotated[int, typer.Option(min=1, max=65535, help="port of the page")] = 5000,
    host: Annotated[str, typer.Option(help="address of the page, which has no login")] = "127.0.0.1",
) -> None:
    """Show runs and versions in MLflow's page until Ctrl-C.

    It needs the whole package: .venv/bin/pip install "mlflow>=3.5,<4".
    """
    from cineclub import supervisor
    from cineclub.cli.output import stderr
    from cineclub.settings import Settings

    def announce(address: str) -> None:
        stderr().print(f"MLflow's page is on {address}, until Ctrl-C", markup=False, highlight=False)

    if host not in LOOPBACK:
        warning = (
            f"warning: the page has no login: whoever reaches {host}:{port} can delete versions and move the alias; "
            "for a name of yours set MLFLOW_SERVER_ALLOWED_HOSTS too"
        )
        stderr().print(warning, style="yellow", markup=False, highlight=False)
    supervisor.show_mlflow(Settings(), host, port, announce)
