"""A service behind PgBouncer whose processes are killed while ratings are written."""

from pathlib import Path

import pytest
from api_processes import free_ports
from own_postgres import plain_server
from test_kills_under_load import attack_and_compare, prepare
from victims import served

from conftest import Repetitions
from pgbouncer import pgbouncer

pytestmark = [pytest.mark.attack, pytest.mark.timeout(3600)]


def test_no_acknowledged_rating_is_lost_through_a_pooler(home: Path, tmp_path: Path, repetitions: Repetitions) -> None:
    """Through PgBouncer in transaction mode, with the direct address beside it: the same processes die."""
    [port] = free_ports(1)
    own_home, served_home = home / "own", home / "served"
    for folder in (own_home, served_home):
        folder.mkdir(mode=0o711)
    with plain_server(own_home) as own:
        prepare(own.url, served_home)
        with pgbouncer(own.url, size=10) as pooled_url:
            variables = {"CINECLUB_DATABASE_URL": pooled_url, "CINECLUB_DIRECT_DATABASE_URL": own.url}
            with served(served_home, port, tmp_path / "serve.log", own, **variables) as service:
                attack_and_compare("kills through PgBouncer", service, own.url, repetitions)
