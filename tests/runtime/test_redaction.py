"""Secrets in texts: hidden in every written form, in log records and tracebacks, and ordinary words are left alone."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from psycopg.conninfo import make_conninfo

from cineclub.domain.errors import RegistryUnavailable, StorageUnavailable
from cineclub.processes import worker
from cineclub.runtime import redaction
from cineclub.runtime.patience import Patience
from cineclub.runtime.redaction import MASK, KnownSecrets, RedactedStream, hide, hide_environment, redacted, sentence_of

PASSWORD = "Op3n/S'e@s äme&#\\"  # noqa: S105 - planted
ENCODED = quote(PASSWORD, safe="")


@pytest.fixture(autouse=True)
def no_known_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no secrets at first."""
    monkeypatch.setattr(redaction, "_KNOWN", KnownSecrets())


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The text of a log with tracebacks, as a library's own handler writes it."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr("threading.excepthook", None)
    before = logging.getLogRecordFactory()
    redaction.redact_logs()
    handler = logging.StreamHandler(text := io.StringIO())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("a library")
    logger.addHandler(handler)
    yield text
    logger.removeHandler(handler)
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize(
    "text",
    [
        f"cannot connect as ann with {PASSWORD}",
        f"GET http://ann:{ENCODED}@mlflow:5000/api",
        f"GET http://ann:{ENCODED.lower()}@mlflow:5000/api",
        f"postgresql://ann:{quote(PASSWORD)}@db/films",
        json.dumps({"password": PASSWORD}),
        repr([PASSWORD]),
        make_conninfo(host="db", password=PASSWORD),
    ],
)
def test_a_password_is_hidden_in_every_written_form(text: str) -> None:
    """The password of an address is hidden as it is, encoded and escaped; the host stays."""
    hide(f"postgresql://ann:{ENCODED}@db/films")
    shown = redacted(text)
    assert MASK in shown
    assert "Op3n" not in shown
    assert ("mlflow:5000" in shown) == ("mlflow:5000" in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to http://ann:hunter2hunter2@mlflow:5000/x", f"to http://ann:{MASK}@mlflow:5000/x"),
        ("host=db password=abc user=ann", f"host=db password={MASK} user=ann"),
        (r"host=db password='a\'b c' user=ann", f"host=db password={MASK} user=ann"),
        (f"the key cineclub_{'k' * 43} is used", f"the key {MASK} is used"),
        ("must look like postgresql://user:password@host/name", "must look like postgresql://user:password@host/name"),
        ("send it as Authorization: Bearer KEY", "send it as Authorization: Bearer KEY"),
        ('connection to server at "db" (10.0.0.5), port 5432', 'connection to server at "db" (10.0.0.5), port 5432'),
    ],
)
def test_unknown_passwords_are_hidden_where_they_stand_in_addresses(text: str, shown: str) -> None:
    """Addresses, connection strings and keys show no secret that nobody has registered; other texts stay."""
    assert redacted(text) == shown


def test_a_password_that_is_an_ordinary_word_is_hidden_in_addresses_alone() -> None:
    """The password cineclub does not blank out the name of the product."""
    hide("postgresql://cineclub:cineclub@db/cineclub")
    assert redacted("run `cineclub doctor`") == "run `cineclub doctor`"
    assert redacted("postgresql://cineclub:cineclub@db/cineclub") == f"postgresql://cineclub:{MASK}@db/cineclub"


@pytest.mark.parametrize("address", ["u:S3cret%zz@h/db", "u:S3cret x@h/db", "u:S3cret@more@h/db", "u:S3cret/more@h/db"])
def test_the_parts_of_a_malformed_address_are_hidden(address: str) -> None:
    """Programs cut a malformed address in several places, and no part of its password is shown."""
    hide_environment({"CINECLUB_DATABASE_URL": f"postgresql://{address}"})
    shown = redacted(f'invalid token: "{address}"; host "{address.rpartition(":")[2]}"; password S3cret')
    assert "S3cret" not in shown


def test_the_environment_is_hidden_by_the_names_and_the_addresses_of_its_variables() -> None:
    """Variables of other programs count too: of PostgreSQL, MLflow, its stores and proxies."""
    names = ("PGPASSWORD", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY")
    environment = {name: f"planted-{name.lower()}" for name in names}
    hide_environment(
        environment
        | {"HTTPS_PROXY": "http://ann:planted-proxy@proxy:3128", "SOME_WEBHOOK": "https://h.example/T0/planted-hook"}
    )
    text = " ".join((*environment.values(), "planted-proxy", "planted-hook"))
    assert "planted" not in redacted(text)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("TOKENIZERS_PARALLELISM", "false", '{"degraded": false}'),
        ("USE_TOKEN", "False", "is_served=False"),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/pg", "/run/secrets/pg cannot be read"),
        ("AWS_WEB_IDENTITY_TOKEN_PATH", "/var/run/token", "/var/run/token cannot be read"),
        ("SECRETS", "/proc/self", "/proc/self/limits"),
    ],
)
def test_switches_and_places_of_secrets_are_no_secrets(name: str, value: str, text: str) -> None:
    """A variable about tokens that is switched off does not garble JSON, and messages name the files of secrets."""
    hide_environment({name: value})
    assert redacted(text) == text


def test_a_secret_that_begins_like_a_path_is_hidden() -> None:
    """Only files that exist are paths."""
    hide_environment({"PGPASSWORD": "/planted/secret"})
    assert redacted("with /planted/secret") == f"with {MASK}"


def test_log_records_and_tracebacks_of_every_library_hide_secrets(logged: io.StringIO) -> None:
    """Messages, arguments, details and causes of errors are logged without the secret."""
    hide("planted-secret")
    error = StorageUnavailable("PostgreSQL does not answer", "at db:5432 with planted-secret")
    error.__cause__ = OSError("cannot reach planted-secret")
    logging.getLogger("a library").error("failed cause=%s", error, exc_info=error)
    assert "planted-secret" not in logged.getvalue()
    assert "ERROR failed cause=PostgreSQL does not answer (at db:5432 with ********)" in logged.getvalue()
    assert "OSError: cannot reach ********" in logged.getvalue()


def test_the_log_tells_the_owner_what_an_outage_is_about(logged: io.StringIO) -> None:
    """The lines about a registry that is waited for, and about work that is tried again, have the detail."""

    def away() -> None:
        raise RegistryUnavailable("MLflow does not answer", "at mlflow:5000")  # noqa: EM101, TRY003

    handler = logging.getLogger("a library").handlers[-1]
    for name in ("cineclub.runtime.patience", "cineclub.processes.worker"):
        logging.getLogger(name).addHandler(handler)
    assert worker._attempt("reconcile", lambda: Patience(0.1)(away)) is None
    for name in ("cineclub.runtime.patience", "cineclub.processes.worker"):
        logging.getLogger(name).removeHandler(handler)
    lines = logged.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["registry_awaited", "reconcile_failed"]
    assert all(line.endswith("cause=MLflow does not answer (at mlflow:5000)") for line in lines)


def test_an_uncaught_error_is_printed_without_secrets(logged: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback that ends a process has no secret either."""
    hide("planted-secret")
    error = ValueError("planted-secret")
    sys.excepthook(ValueError, error, None)
    assert logged.getvalue() == ""
    assert capsys.readouterr().err == "ValueError: ********\n"


def test_what_a_library_prints_is_without_secrets() -> None:
    """MLflow prints the address of its server when a run ends."""
    hide("http://ann:planted-secret@mlflow:5000")
    written = io.StringIO()
    print("View run at: http://ann:planted-secret@mlflow:5000/#/1", file=RedactedStream(written))  # type: ignore[arg-type]
    assert written.getvalue() == "View run at: http://ann:********@mlflow:5000/#/1\n"


def test_an_error_has_a_message_for_everyone_and_a_detail_for_the_owner() -> None:
    """The text of an error has no host; the owner's text has it, without the password."""
    error = StorageUnavailable("PostgreSQL does not answer", "at db:5432, password='abc'")
    assert str(error) == "PostgreSQL does not answer"
    assert sentence_of(error) == f"PostgreSQL does not answer (at db:5432, password={MASK})"
