"""MLflow's web page as a process of its own: its command line and environment."""

import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from cineclub.domain.errors import Conflict

PACKAGE = "mlflow"
OURS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_READ_REPLICA_BACKEND_STORE_URI")
"""Variables that would send the page to another store."""


def refuse_without_package() -> None:
    """Raise Conflict if the package with the page is not installed; cineclub requires its client alone."""
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError as error:
        message = (
            "MLflow's page needs the whole package mlflow, of which cineclub installs the client alone: "
            f'{sys.executable} -m pip install "mlflow>=3.5,<4"'
        )
        raise Conflict(message) from error


def page_command(host: str, port: int) -> tuple[str, ...]:
    """Return the command line; the store is not in it, because command lines are visible to all users."""
    return (
        sys.executable,
        *("-m", "mlflow", "server", "--host", host, "--port", str(port)),
        *("--workers", "1", "--no-serve-artifacts"),
    )


def page_environment(environment: Mapping[str, str], store: str, home: Path) -> dict[str, str]:
    """Return the page's environment: the given one with the store of versions, runs and aliases.

    The page reads artifacts from the state folder, by the addresses of their experiment. It starts no jobs and sends no
    telemetry.
    """
    passed_on = {name: value for name, value in environment.items() if name not in OURS}
    return passed_on | {
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_REGISTRY_STORE_URI": store,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (home.resolve() / "artifacts").as_uri(),
        "MLFLOW_SERVE_ARTIFACTS": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
