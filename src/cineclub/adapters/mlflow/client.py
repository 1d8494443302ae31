"""The connection to MLflow: its address, its quiet, and its errors as ours."""

import contextlib
import logging
import os
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

# MLflow reads these when it is imported or used; without a limit it asks a server that is away for minutes
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from cineclub.domain.errors import NotFound, RegistryUnavailable

SCHEMA = "mlflow"
MODEL = "cineclub"
MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
"""A registered version that is gone has the first code, an alias that never was has it too; servers send the second."""


def store_uri(database_url: str) -> str:
    """Return MLflow's address of its store inside a PostgreSQL of ours: the same database, a schema of its own."""
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query))
    query["options"] = " ".join(filter(None, (query.get("options"), f"-csearch_path={SCHEMA}")))
    return urlunsplit(parts._replace(scheme="postgresql+psycopg", query=urlencode(query, safe="/", quote_via=quote)))


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of a store or server; a server is asked nothing yet, a store must answer.

    Raises:
        RegistryUnavailable: the store does not answer, or cannot hold MLflow's tables.
    """
    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with registry_errors("its tables"):
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def is_missing(error: MlflowException) -> bool:
    """Say whether MLflow answered that there is no such thing."""
    return error.error_code in MISSING


@contextlib.contextmanager
def registry_errors(what: str = "what was asked for") -> Iterator[None]:
    """Raise MLflow's and its database's errors as ours.

    Raises:
        NotFound: ``what`` is not there.
        RegistryUnavailable: anything else went wrong in the store.
    """
    try:
        yield
    except MlflowException as error:
        if is_missing(error):
            message = f"the registry does not have {what}: list the versions in MLflow"
            raise NotFound(message) from error
        message = f"the MLflow store refused ({_first_line(error)}): run `cineclub doctor`, then try again"
        raise RegistryUnavailable(message) from error
    except (SQLAlchemyError, OSError) as error:
        message = f"the MLflow store does not answer ({_first_line(error)}): run `cineclub doctor`, then try again"
        raise RegistryUnavailable(message) from error


def _first_line(error: Exception) -> str:
    """Return the head of an error's text."""
    return str(error).strip().partition("\n")[0]
