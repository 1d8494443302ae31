"""A state folder and a database that 293aa4c left are opened where they are, and every version answers as it did.

The database is put back with PostgreSQL's own programs and the folder with tar, not with `cineclub restore`, so that
nothing of cineclub touches them before the service starts. Everything is asked by HTTP with a key that 293aa4c made.
Texts for people (messages of errors, summaries of new drift checks, prose of the OpenAPI document) are not compared.
"""

import gzip
import json
import subprocess
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from differences import Difference, assert_only_changed_on_purpose, differences
from frozen_service import DATA, Place, Service, open_folder, postgres_program, serving
from openapi_structure import without_prose
from public_names import columns_with_types, metrics_among, settings_with_defaults

BACKUP_FACTS, DUMP = "backup.json", "database.dump"
BY_CLOCK = {"recommendation_id", "since", "counted_at", "checked_at", "check_id", "n_open"}
PROSE = {"message", "summary"}
FEWEST_RESPONSES = 1000


@pytest.fixture(scope="module")
def place(server_url: str) -> Iterator[Place]:
    """The state as 293aa4c left it, in a folder and a database of its own."""
    with open_folder() as folder:
        home, script = folder / "home", folder / "database.sql"
        with tarfile.open(DATA / "state.tar.xz") as archive:
            archive.extractall(home, filter="data")
        facts = json.loads((home / BACKUP_FACTS).read_text("utf-8"))
        _write_script(home / DUMP, script, facts["homes"], home)
        for left in (BACKUP_FACTS, DUMP):
            (home / left).unlink()
        yield Place(home, _filled_database(server_url, script), {"CINECLUB_REQUIRE_KEYS": "true"})


def _write_script(dump: Path, script: Path, old_homes: Sequence[str], home: Path) -> None:
    """Write a dump as SQL in which MLflow's tables name the new home."""
    command = [postgres_program("pg_restore"), "--no-owner", f"--file={script}", str(dump)]
    subprocess.run(command, check=True)
    text = script.read_text("utf-8")
    for old_home in old_homes:
        text = text.replace(f"{old_home}/artifacts", f"{home}/artifacts")
    script.write_text(text, "utf-8")


def _filled_database(server_url: str, script: Path) -> str:
    """Return the address of a new database that a script has filled."""
    name = f"frozen_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    before, _, after = server_url.partition("/cineclub?")
    address = f"{before}/{name}?{after}"
    command = [postgres_program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={script}", address]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return address


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """The keys that 293aa4c made, by what they may do."""
    return dict(json.loads((DATA / "secrets.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def service(place: Place, secrets: dict[str, str]) -> Iterator[Service]:
    """The service over that state; it asks for keys, and gets the one of an administrator."""
    with serving(place) as running:
        running.client.headers["Authorization"] = f"Bearer {secrets['admin']}"
        yield running


def frozen_responses() -> list[dict[str, Any]]:
    """Every request with the version that served it and what came back."""
    with gzip.open(DATA / "answers.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.timeout(600)  # eight promotions, each in processes of its own, beside whatever else the machine does
def test_every_response_of_every_version_is_what_it_was(service: Service) -> None:
    """Predictions, batches, similar and popular films, searches, refusals, histories and checks: the same again."""
    lines, serving_now = frozen_responses(), service.call("GET", "/models/production")[1]["version"]
    assert len(lines) >= FEWEST_RESPONSES
    differing: list[Difference] = []
    for nth, line in enumerate(lines):
        if line["version"] not in {None, serving_now}:
            serving_now = line["version"]
            service.serve_version(serving_now, "to be asked")
        status, body = service.call(line["method"], line["path"], line["body"])
        at = f"{line['method']} {line['path']} #{nth}"
        differing += differences(f"{at}.status", line["status"], status)
        differing += differences(at, line["answer"], body, BY_CLOCK | PROSE)
    assert_only_changed_on_purpose("answers", differing)


def test_routes_and_schemas_are_what_they_were(service: Service) -> None:
    """The OpenAPI document has the same paths, operations, parameters, schemas, types, defaults and status codes."""
    frozen = json.loads((DATA / "openapi.json").read_text("utf-8"))
    present = service.call("GET", "/openapi.json")[1]
    frozen["info"]["version"] = present["info"]["version"]
    assert_only_changed_on_purpose("openapi", [*differences("openapi", *map(without_prose, (frozen, present)))])


def test_settings_metrics_and_columns_are_what_they_were(service: Service, place: Place) -> None:
    """Every setting with its default, each frozen metric with its type, every column of the upgraded database."""
    frozen = json.loads((DATA / "names.json").read_text("utf-8"))
    assert place.database_url is not None
    present = {
        "settings": settings_with_defaults(),
        "metrics": metrics_among(frozen["metrics"], service),
        "columns": columns_with_types(place.database_url),
    }
    assert_only_changed_on_purpose("names", [*differences("names", frozen, present)])


def test_old_keys_open_what_they_opened(service: Service, secrets: dict[str, str]) -> None:
    """A reader reads and decides nothing; a revoked key and none at all open nothing."""
    requests = (("GET", "/models/", None), ("POST", "/models/1/promote", {"reason": "a reader must not"}))

    def statuses(key: str) -> list[int]:
        headers = {"Authorization": f"Bearer {key}"}
        return [
            service.client.request(method, path, json=body, headers=headers).status_code
            for method, path, body in requests
        ]

    assert statuses(secrets["reader"]) == [200, 403]
    assert statuses(secrets["revoked"]) == [401, 401]
    assert statuses("cc_nothing") == [401, 401]
