"""A PostgreSQL that its owner runs for a service, with or without TLS."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest
from api_processes import free_ports

from cineclub.adapters.postgres import embedded, server_programs
from cineclub.adapters.postgres.embedded import DATABASE, ROLE, EmbeddedServer, place_of
from cineclub.adapters.postgres.server_files import server_pid
from debian_tools import run_tool, tool
from waiting import eventually

STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """A server that the service does not start.

    Attributes:
        home: the folder of its data.
        server: the running server.
        url: its address.
    """

    home: Path
    server: EmbeddedServer
    url: str

    @property
    def pid(self) -> int:
        """The process of the server; 0 while there is none."""
        return server_pid(place_of(self.home).data) or 0

    def start_again(self) -> None:
        """Start the server if it is gone, as its owner's system would."""
        if not self.server.is_running:
            eventually(self._is_started)
            eventually(self.server.is_ready)

    def _is_started(self) -> bool:
        """Start the server, and return whether the killed one has left its data."""
        with contextlib.suppress(Exception):
            self.server.start()
            return True
        time.sleep(0.2)
        return False


@contextlib.contextmanager
def plain_server(home: Path) -> Iterator[OwnPostgres]:
    """Run a server that listens on a socket alone."""
    server = EmbeddedServer(home)
    try:
        server.start(STOP_SECONDS)
        eventually(server.is_ready)
        yield OwnPostgres(home, server, server.url)
    finally:
        server.stop()


@contextlib.contextmanager
def tls_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnPostgres]:
    """Run the server with a certificate that it signed itself."""
    [port] = free_ports(1)
    monkeypatch.setattr(server_programs, "find_spec", lambda _name: None)  # the bundled programs have no TLS
    tool("openssl")
    assert server_programs.packaged_binaries(), "apt-get install postgresql (on Debian and its kin)"
    monkeypatch.setitem(embedded.SERVER_SETTINGS, "listen_addresses", "127.0.0.1")
    monkeypatch.setitem(embedded.SERVER_SETTINGS, "port", str(port))
    monkeypatch.setenv("PGPORT", str(port))  # for connections over the socket, whose address names no port
    server = EmbeddedServer(home)
    try:
        server.start(STOP_SECONDS)
        eventually(server.is_ready)
        password = place_of(home).password_file.read_text().strip()
        own = OwnPostgres(home, server, f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode=require")
        _add_certificate(home)
        server.stop()
        server.start(STOP_SECONDS)
        eventually(server.is_ready)
        with psycopg.connect(own.url) as connection:
            assert connection.pgconn.ssl_in_use
        yield own
    finally:
        server.stop()


def _add_certificate(home: Path) -> None:
    """Make a key and a certificate of it, and turn TLS on."""
    place = place_of(home)
    key, certificate = place.data / "server.key", place.data / "server.crt"
    subject = ["-subj", "/CN=localhost", "-days", "2"]
    run_tool("openssl", "req", "-new", "-x509", "-nodes", *subject, "-keyout", str(key), "-out", str(certificate))
    for path in (key, certificate):
        path.chmod(0o600)
        if place.owner:
            os.chown(path, place.owner.pw_uid, place.owner.pw_gid)
    with (place.data / "postgresql.conf").open("a") as file:
        file.write("ssl = on\n")
    hba = place.data / "pg_hba.conf"
    hba.write_text(hba.read_text().replace("\nhost ", "\nhostssl "))
