"""Addresses of settings: malformed ones are refused without repeating them, and accepted ones are read alike by all."""

import contextlib
from urllib.parse import quote, unquote, urlsplit

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from cineclub.adapters.mlflow.client import store_uri
from cineclub.runtime.addresses import problem_of_database_address, problem_of_web_address
from cineclub.settings import Settings

SECRET = "S3cret"  # noqa: S105 - planted
MALFORMED = [
    f"postgresql://u:{SECRET}%zz@h/db",
    f"postgresql://u:{SECRET} x@h/db",
    f"postgresql://u:{SECRET}@[::1",
    f"postgresql://u:{SECRET}@h@h/db",
    f"postgresql://u:{SECRET}/x@h/db",
    f"postgresql://u:{SECRET}#x@h/db",
    f"postgresql://u:{SECRET}?x@h/db",
    f"postgresql://u:{SECRET}@h:port/db",
    f"postgresql://u:{SECRET}%00@h/db",
    f"postgresql://u:{SECRET}@h/db?{SECRET}",
    f"postgresql://u:{SECRET}\n@h/db",
    f"postgresql://u:{SECRET}",
    f"postgres//u:{SECRET}@h/db",
    f"mysql://u:{SECRET}@h/db",
]
VALID = [
    "postgresql://u@h/db",
    "postgres://u:p%40ss@h:5432/db?sslmode=verify-full",
    "postgresql://u:p@[::1]:5432/db",
    "postgresql://u:p@h1:1,h2:2/db",
    "postgresql:///db?host=/tmp/x&user=a@b",
    "postgresql://cineclub:x_-Y@/cineclub?host=/home/ann/.local/share/cineclub/postgres/16/socket",
    "postgresql://%2Fvar%2Frun/db",
    "postgresql://u:p@h1:1,h2/db",
    "postgresql://u:p@[::1]:1,[fe80::1%25eth0],h3:/db?target_session_attrs=read-write",
    "postgresql://u:p@h:/db",
    "postgresql://u:p@[fe80::1%25eth0]:5432/db",
    "postgresql://u:p@/db?host=h1,h2&port=5433",
    "postgresql://h:5433/db?host=h1,h2",
    "postgresql://u:p+q@h/films%20of%20the%20club?application_name=a+b",
    "postgresql://h?port=",
    "postgresql://",
]
MALFORMED_STORES = [
    f"http://u:{SECRET}%zz@mlflow",
    f"http://u:{SECRET} x@mlflow",
    f"http://u:{SECRET}@[::1",
    f"http://u:{SECRET}@mlflow:port",
    f"http://u:{SECRET}@x@mlflow",
    f"http://u:{SECRET}/x@mlflow",
    f"http:/u:{SECRET}@mlflow",
    f"postgresql:/u:{SECRET}@db/mlflow",
    f"postgresql://u:{SECRET}@db:/mlflow",
    f"host=db password={SECRET}",
]


@pytest.mark.parametrize("address", MALFORMED)
def test_a_malformed_address_of_a_database_is_refused_and_not_repeated(address: str) -> None:
    """The message says how an address looks, and repeats no part of this one."""
    problem = problem_of_database_address(address)
    assert problem is not None
    assert SECRET not in problem
    with pytest.raises(ValidationError) as refused:
        Settings(database_url=address)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("address", VALID)
def test_every_form_of_an_address_is_accepted(address: str) -> None:
    """Several hosts, IPv6, sockets and parameters are accepted."""
    assert problem_of_database_address(address) is None
    conninfo_to_dict(address)


@pytest.mark.parametrize("address", VALID)
def test_mlflows_store_reads_an_accepted_address_as_libpq_does(address: str) -> None:
    """SQLAlchemy connects MLflow's store to the same hosts, ports and database, with the same login."""
    given, engine = conninfo_to_dict(address), create_engine(store_uri(address))
    _, read = engine.dialect.create_connect_args(make_url(store_uri(address)))
    options = [given.pop("options", None), "-csearch_path=mlflow"]
    assert read.pop("options") == " ".join(str(option) for option in options if option)
    read.pop("context")
    port, n_hosts = str(given.get("port") or ""), str(given.get("host")).count(",") + 1
    assert str(read.get("port") or "") == (port if "," in port else ",".join([port] * n_hosts).strip(","))
    assert {**read, "port": ""} == {**given, "port": ""}


@pytest.mark.parametrize("address", MALFORMED_STORES)
def test_a_malformed_address_of_a_store_is_refused_and_not_repeated(address: str) -> None:
    """The same for MLflow's server."""
    problem = problem_of_web_address(address)
    assert problem is not None
    assert SECRET not in problem
    with pytest.raises(ValidationError) as refused:
        Settings(MLFLOW_TRACKING_URI=address)  # type: ignore[call-arg]
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://mlflow:5000",
        "https://u:p%40ss@mlflow/prefix",
        "http://[::1]:5000",
        "postgresql+psycopg://user:password@db.example/films?options=-csearch_path%3Dmlflow",
        "sqlite:////home/ann/ml runs.db".replace(" ", "%20"),
        "file:///home/ann/mlruns",
        "./mlruns",
        "databricks",
    ],
)
def test_every_form_of_a_store_is_accepted(address: str) -> None:
    """Servers, databases, files and names are accepted."""
    assert problem_of_web_address(address) is None


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
@example("%80")
def test_an_accepted_address_is_cut_in_one_way(login_and_more: str) -> None:
    """PostgreSQL's library and the parser of MLflow's store agree on user and password of whatever is accepted."""
    address = f"postgresql://{login_and_more}"
    if problem_of_database_address(address) is not None:
        return
    try:
        read = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        return  # refused by libpq, without a word of it in our message
    parts = urlsplit(address)
    assert read.get("user") == (unquote(parts.username) if parts.username else None)
    assert read.get("password") == (unquote(parts.password) if parts.password else None)


@given(st.text(max_size=30).filter(lambda text: "\x00" not in text and text.isprintable()))
def test_a_password_that_is_percent_encoded_is_accepted(password: str) -> None:
    """Every password has an address, and libpq reads it back."""
    address = f"postgresql://u:{quote(password, safe='')}@h/db"
    assert problem_of_database_address(address) is None
    assert conninfo_to_dict(address).get("password", "") == password


@given(st.text(st.sampled_from("ab1:/@,[]?=&%4"), max_size=20))
@example("?@:")
@example("?a=@:")
def test_an_accepted_address_of_a_store_is_no_crash_of_sqlalchemy(rest: str) -> None:
    """MLflow's store opens an accepted address, or refuses it as an error of SQLAlchemy, which is a message of ours."""
    for address, problem in (
        (f"postgresql+psycopg://{rest}", problem_of_web_address(f"postgresql+psycopg://{rest}")),
        (f"postgresql://{rest}", problem_of_database_address(f"postgresql://{rest}")),
    ):
        if problem is not None:
            continue
        with contextlib.suppress(SQLAlchemyError):
            url = make_url(address if "+" in address else store_uri(address))
            create_engine(url).dialect.create_connect_args(url)
