"""The connection to MLflow: its address, its log levels, and its errors as those of the domain."""

import contextlib
import errno
import logging
import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

# MLflow reads these when it is imported or used
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from cineclub.domain.errors import NotFound, RegistryRefused, RegistryUnavailable

SCHEMA = "mlflow"
MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
"""MLflow's codes for deleted versions and missing aliases: the first of stores, the second of servers."""

PLAIN_SERVER = re.compile(r"[^,%:\[\]]*(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
"""A host with its port that SQLAlchemy and libpq read alike."""

SERVER = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]*))?")
EXISTS = "RESOURCE_ALREADY_EXISTS"
REFUSED = {
    "INVALID_PARAMETER_VALUE",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "BAD_REQUEST",
    EXISTS,
    "ENDPOINT_NOT_FOUND",
    "FEATURE_DISABLED",
}
"""MLflow's codes for requests that are refused again however often they are repeated."""

UNANSWERED = "API request to"
"""The beginning of MLflow's messages about requests without a response."""

FULL_OR_FORBIDDEN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the disk with the artifacts, for which waiting does not help either."""


def store_uri(database_url: str, schema: str = SCHEMA) -> str:
    """Return the address of MLflow's store in our PostgreSQL: the same database, a schema of its own.

    SQLAlchemy reads several hosts, an encoded host, a port without number and an encoded name from parameters alone.
    """
    parts = urlsplit(database_url)
    login, at, servers = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query.replace("+", "%2B")))
    path = parts.path
    if not PLAIN_SERVER.fullmatch(servers) or "," in query.get("host", ""):
        query, servers = _server_parameters(servers) | query, ""
    if "%" in path:
        query, path = {"dbname": unquote(path.removeprefix("/"))} | query, "/"
    if "," in query.get("host", "") and "," not in query.get("port", ","):  # one port for all hosts
        query["port"] = ",".join([query["port"]] * len(query["host"].split(",")))
    query["options"] = " ".join(filter(None, (query.get("options"), f"-csearch_path={schema}")))
    return f"postgresql+psycopg://{login}{at}{servers}{path}?{urlencode(query, safe='/', quote_via=quote)}"


def _server_parameters(servers: str) -> dict[str, str]:
    """Return hosts and ports of an address as parameters: lists with commas, of equal length."""
    read = [SERVER.fullmatch(server) for server in servers.split(",")]
    hosts = ",".join(unquote(match["host"].strip("[]")) for match in read if match)
    ports = ",".join(match["port"] or "" for match in read if match)
    return {name: value for name, value in (("host", hosts), ("port", ports)) if value.strip(",")}


def shown_address(uri: str) -> str:
    """Return an address without user, password, query and fragment."""
    try:
        parts = urlsplit(uri)
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    if not parts.scheme:
        return parts.path
    return f"{parts.scheme}://{host}{port}{parts.path}"


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of a store, which must answer, or of a server, which is not contacted yet.

    Raises:
        RegistryUnavailable: the store does not answer, or cannot hold MLflow's tables.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # or it repeats requests that create something
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with registry_errors("its tables"):
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def is_missing(error: MlflowException) -> bool:
    """Return whether an error of MLflow means that the object does not exist."""
    return error.error_code in MISSING


@contextlib.contextmanager
def made_by_anybody() -> Iterator[None]:
    """Create what another process may create at the same time; its object is as good."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != EXISTS:
            raise


@contextlib.contextmanager
def registry_errors(name: str = "the object") -> Iterator[None]:
    """Raise errors of MLflow and its database as errors of the domain.

    Raises:
        NotFound: ``name`` does not exist.
        RegistryRefused: the store answers, and would refuse the same request again.
        RegistryUnavailable: any other error of the store.
    """
    try:
        yield
    except MlflowException as error:
        if is_missing(error):
            message = f"the registry does not have {name}: list the versions in MLflow"
            raise NotFound(message) from error
        kind = RegistryRefused if error.error_code in REFUSED else RegistryUnavailable
        outcome = "does not answer" if str(error).startswith(UNANSWERED) else "refused"
        message = f"the MLflow store {outcome}: run `cineclub doctor`, then try again"
        raise kind(message, _first_line(error)) from error
    except (SQLAlchemyError, OSError) as error:
        if getattr(error, "errno", None) in FULL_OR_FORBIDDEN:
            message = "the files of MLflow cannot be written: make room or give write permission"
            raise RegistryRefused(message, _first_line(error)) from error
        message = "the MLflow store does not answer: run `cineclub doctor`, then try again"
        raise RegistryUnavailable(message, _first_line(error)) from error


def _first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return str(error).strip().partition("\n")[0]
