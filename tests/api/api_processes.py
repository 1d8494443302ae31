"""Real API processes on ports of their own."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

START_SECONDS = 60


def start_api(database_url: str, home: Path, port: int, **more: str) -> "subprocess.Popen[bytes]":
    """Return an API process that listens on a port; ``more`` are further variables of its environment."""
    ours = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port), **more}
    return subprocess.Popen([sys.executable, "-m", "cineclub.api"], env={**os.environ, **ours})


def free_ports(n_ports: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(n_ports)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until_alive(address: str) -> None:
    """Wait for the first answer."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.05)
