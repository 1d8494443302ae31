"""Debian's PgBouncer before a database of the test server."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from api_processes import free_ports

from debian_tools import tool
from waiting import eventually

START_SECONDS = 20
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
"""


@contextlib.contextmanager
def pgbouncer(database_url: str, mode: str = "transaction", size: int = 4) -> Iterator[str]:
    """Give the address of a pooler to a database; it runs as PostgreSQL does where the test runs as root."""
    parts, [port] = urlsplit(database_url), free_ports(1)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    with tempfile.TemporaryDirectory(prefix="cineclub-pgbouncer-") as folder:
        Path(folder).chmod(0o711)
        file = Path(folder) / "pgbouncer.ini"
        text = CONFIGURATION.format(
            host=query["host"],
            port=query.get("port", 5432),
            user=parts.username,
            password=parts.password,
            listen_port=port,
            mode=mode,
            size=size,
        )
        file.write_text(text)
        process = subprocess.Popen(
            [*_as_owner_of(query["host"], file), tool("pgbouncer"), "-q", str(file)], stderr=subprocess.PIPE
        )
        address = f"postgresql://anybody@127.0.0.1:{port}{parts.path}"
        try:
            _wait_for(address, process)
            yield address
        finally:
            process.terminate()
            process.communicate(timeout=START_SECONDS)


def _as_owner_of(socket_folder: str, file: Path) -> list[str]:
    """Return the beginning of a command line that drops the rights of root, which PgBouncer refuses, for a file."""
    if os.geteuid() != 0:
        return []
    owner = Path(socket_folder).stat()
    os.chown(file, owner.st_uid, owner.st_gid)
    return ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a pooler answers."""

    def is_there() -> bool:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address, connect_timeout=2):
            return True
        return False

    eventually(is_there, START_SECONDS)
