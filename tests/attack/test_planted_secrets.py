"""Secrets in every setting and variable, well-formed or malformed: no output, log, answer or file shows them."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from api_processes import free_ports, wait_until_alive
from planted import (
    MALFORMED,
    MARKER,
    PASSWORD_OF_DATABASE,
    PASSWORD_OF_MLFLOW,
    WEBHOOK,
    Installation,
    Search,
    command_lines,
    database_address,
    open_files,
    secret_settings,
)
from psycopg import sql
from small_service import fill

from cineclub.adapters.mlflow.client import connect
from cineclub.adapters.postgres.embedded import embedded_postgres, place_of
from cineclub.adapters.postgres.migrate import migrate
from cineclub.settings import Settings

if TYPE_CHECKING:
    from conftest import Repetitions

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900)]

COMMANDS = (
    ("settings",),
    ("doctor",),
    ("models",),
    ("models", "show", "1"),
    ("models", "compare", "1", "2"),
    ("models", "--history"),
    ("recommend", "1"),
    ("recommend", "--all", "--output", "all.csv"),
    ("drift",),
    ("drift", "history"),
    ("keys", "list"),
    ("import", "missing.csv"),
    ("export", "exported"),
    ("evaluate", "database", "--models", "means"),
    ("train", "--models", "ease"),
    ("promote", "1", "--reason", "a test"),
    ("rollback",),
    ("reproduce", "1"),
    ("erase", "60", "--yes"),
    ("backup", "backup.tar"),
    ("restore", "missing.tar"),
    ("mlflow", "--port", "0"),
    ("version",),
)
MODULES = (
    ("-m", "cineclub.processes.api"),
    ("-m", "cineclub.processes.worker", "--until-idle"),
    ("-m", "cineclub.processes.promotion_decider"),
)
ENTRIES = (("doctor",), ("settings",), ("serve",), ("worker",), ("train",), ("backup", "b.tar"), *MODULES)


@pytest.fixture
def search() -> Search:
    """The search of this test."""
    return Search()


@pytest.fixture
def socket_folder(home: Path) -> Iterator[str]:
    """The socket of a PostgreSQL with ratings and a role whose password is planted."""
    server_home = home / "server"
    server_home.mkdir(mode=0o711)
    with embedded_postgres(server_home) as url:
        migrate(url)
        fill(url)
        with psycopg.connect(url) as connection:
            statement = sql.SQL("CREATE ROLE owner SUPERUSER LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Literal(PASSWORD_OF_DATABASE)))
        yield str(place_of(server_home).socket_folder)


@pytest.fixture
def installation(home: Path, search: Search, socket_folder: str) -> Installation:
    """An installation on that database, with MLflow's store in it and a webhook that is away."""
    [port] = free_ports(1)
    address = database_address(PASSWORD_OF_DATABASE, f"/cineclub?host={socket_folder}")
    state = home / "state"
    state.mkdir()
    variables = {
        "CINECLUB_DATABASE_URL": address,
        "MLFLOW_TRACKING_URI": address.replace("postgresql", "postgresql+psycopg") + "&options=-csearch_path%3Dmlflow",
        "CINECLUB_ALERT_WEBHOOK": WEBHOOK,
        "CINECLUB_PORT": str(port),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "CINECLUB_MAX_ATTEMPTS": "1",
        "CINECLUB_MLFLOW_WAIT_SECONDS": "1",
    }
    return Installation(state, variables, search)


def mlflow_server(port: int = 9) -> str:
    """Return the address of an MLflow server that is away, with a password."""
    return f"http://ann:{PASSWORD_OF_MLFLOW.replace('&', '%26')}@127.0.0.1:{port}"


def request_everything(installation: Installation, key: str, state: str) -> int:
    """Send requests to every operation with and without a key, and return the number of searched responses."""
    url, n_responses = f"http://127.0.0.1:{installation.variables['CINECLUB_PORT']}", 0
    wait_until_alive(url)
    document = httpx.get(f"{url}/openapi.json", timeout=30).json()
    routes = [(method, path) for path, operations in document["paths"].items() for method in operations]
    ends = [route for route in routes if route[0] == "delete" or "cancel" in route[1]]
    for method, path in (
        sorted(set(routes) - set(ends)) + ends + [("get", "/"), ("get", "/docs"), ("get", "/training/")]
    ):
        address = re.sub("{[a-z_]+}", "1", path)
        body = (
            None if method in {"get", "delete"} else {"user_id": 1, "movie_id": 1001, "rating": 4, "reason": "a test"}
        )
        for authorization in (f"Bearer {key}", f"Bearer {MARKER}-guessed", ""):
            response = httpx.request(
                method, f"{url}{address}", json=body, headers={"Authorization": authorization}, timeout=150
            )
            installation.search.note(f"{state}: {method} {address}", f"{response.headers} {response.text}")
            n_responses += 1
    return n_responses


def train(installation: Installation, key: str) -> str:
    """Train over HTTP to the end, and return the status of the training."""
    url = f"http://127.0.0.1:{installation.variables['CINECLUB_PORT']}"
    headers = {"Authorization": f"Bearer {key}"}
    started = httpx.post(f"{url}/training/", json={"models": ["ease"]}, headers=headers, timeout=30)
    installation.search.note("POST /training/", started.text)
    training_id = started.json().get("training_id") or started.json()["error"]["training_id"]  # one may be under way
    for _ in range(600):
        response = httpx.get(f"{url}/training/{training_id}", headers=headers, timeout=30)
        installation.search.note("GET /training/ID", response.text)
        if response.json()["status"] in {"succeeded", "failed", "cancelled"}:
            return str(response.json()["status"])
        time.sleep(0.2)
    pytest.fail("the training did not end")


def search_registry(installation: Installation) -> int:
    """Search tags, parameters and texts of runs and versions in MLflow's store, and return how many there are."""
    client = connect(installation.variables["MLFLOW_TRACKING_URI"])
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    stored = [*runs, *client.search_model_versions(), *client.search_registered_models()]
    for thing in stored:
        installation.search.note("MLflow's store", f"{thing} {dict(thing)}")
    return len(stored)


def search_database(installation: Installation) -> int:
    """Search every row of our tables and of MLflow's, and return the number of tables."""
    with psycopg.connect(installation.variables["CINECLUB_DATABASE_URL"]) as connection:
        query = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('cineclub', 'mlflow')"
        tables = connection.execute(query).fetchall()
        for schema, table in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table)))
            installation.search.note(f"table {schema}.{table}", "\n".join(row[0] for row in rows))
    return len(tables)


def report(search: Search, what: str) -> None:
    """Print the counts, and fail if a secret was seen."""
    counts = f"{len(search.found_in)} found in {search.n_texts:,} texts, {search.n_bytes:,} bytes"
    sys.stdout.write(f"\nplanted secrets, {what}: {counts}\n")
    assert search.found_in == []


def test_no_output_of_a_running_service_shows_a_secret(installation: Installation, search: Search) -> None:
    """Commands, logs, answers, files, tables and command lines, while all works and without MLflow."""
    key = installation.run("keys", "create", "a test", "--scopes", "admin", shows_key=True).stdout.strip()
    search.markers.add(key)
    n_responses, home = 0, installation.home
    with command_lines(search) as n_lines:
        with installation.service("serve", "serve", CINECLUB_REQUIRE_KEYS="true"):
            wait_until_alive(f"http://127.0.0.1:{installation.variables['CINECLUB_PORT']}")
            assert train(installation, key) == "succeeded"
            n_responses += request_everything(installation, key, "all works")
        for command in COMMANDS:
            installation.run(*command)
        with installation.service("serve-without-mlflow", "serve", MLFLOW_TRACKING_URI=mlflow_server()):
            wait_until_alive(f"http://127.0.0.1:{installation.variables['CINECLUB_PORT']}")
            assert train(installation, key) == "failed"
            n_responses += request_everything(installation, key, "MLflow away")
            installation.run("doctor", MLFLOW_TRACKING_URI=mlflow_server())
            installation.run("promote", "1", "--reason", "a test", MLFLOW_TRACKING_URI=mlflow_server())
    n_tables, n_stored = search_database(installation), search_registry(installation)
    n_files = search.note_files(home)
    report(
        search,
        f"running: {len(COMMANDS)} commands, {n_responses} answers, {n_files} files, {n_tables} tables, "
        f"{n_stored} runs and versions, {n_lines[0]:,} command lines",
    )
    assert (home / "all.csv").is_file()
    assert open_files(home) == []


def test_no_output_shows_a_secret_while_the_database_is_away(
    home: Path, search: Search, socket_folder: str, repetitions: "Repetitions"
) -> None:
    """A port where nobody listens, a host that does not exist, and a password that PostgreSQL refuses."""
    [closed, port] = free_ports(2)
    state = home / "state"
    state.mkdir()
    refused = database_address(f"{MARKER}-wrong/p@ss", f"/cineclub?host={socket_folder}")
    nowhere = database_address(PASSWORD_OF_DATABASE, f"127.0.0.1:{closed}/films")
    unknown = database_address(PASSWORD_OF_DATABASE, "db.invalid/films")
    variables = {"CINECLUB_ALERT_WEBHOOK": WEBHOOK, "MLFLOW_TRACKING_URI": mlflow_server(), "CINECLUB_PORT": str(port)}
    installation = Installation(state, variables, search)
    n_runs, commands = 0, (*COMMANDS, *MODULES[1:])[:: 4 if repetitions.short else 1]
    for address in (refused, nowhere, unknown):
        for command in commands:
            installation.run(*command, CINECLUB_DATABASE_URL=address)
            n_runs += 1
    n_files = search.note_files(state)
    report(search, f"database away: {n_runs} runs, {n_files} files")
    assert open_files(state) == []


def test_no_output_shows_a_piece_of_a_malformed_address(home: Path, search: Search, repetitions: "Repetitions") -> None:
    """Every secret setting, malformed in every way, is refused by every entry without a piece of it."""
    installation = Installation(home, {}, search)
    n_runs, entries = 0, ENTRIES[:: 4 if repetitions.short else 1]
    for name in secret_settings():
        scheme = "postgresql" if "database" in name else "http"
        other = {"CINECLUB_DATABASE_URL": "postgresql:///films"} if name == "direct_database_url" else {}
        for address in MALFORMED:
            for entry in entries:
                more = {**other, Settings.variable_of(name): address.format(scheme=scheme)}
                assert installation.run(*entry, **more).returncode == 1, (name, address, entry)
                n_runs += 1
    report(search, f"malformed: {n_runs} runs, {search.note_files(home)} files")


def test_an_address_in_the_wrong_setting_is_not_repeated(
    home: Path, search: Search, repetitions: "Repetitions"
) -> None:
    """Whoever mixes up the variables does not find the password in the message."""
    installation = Installation(home, {}, search)
    address = f"postgresql://ann:{MARKER}-p%40ss@db.example/films"
    names = list(Settings.model_fields)[:: 4 if repetitions.short else 1]
    for name in names:
        more = {Settings.variable_of(name): address}
        installation.run("settings", **more)
        if name != "home":
            installation.run("doctor", **more)
    report(search, f"wrong setting: {len(names)} settings")
