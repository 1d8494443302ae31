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
    """Start an API process on a port, with additional environment variables."""
    ours = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port), **more}
    return subprocess.Popen([sys.executable, "-m", "cineclub.processes.api"], env={**os.environ, **ours})


def free_ports(n_ports: int) -> list[int]:
    """Return free ports."""
    sockets = [socket.socket() for _ in range(n_ports)]
    for probe in sockets:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports


def wait_until_alive(address: str) -> None:
    """Wait for the first response."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.TransportError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.05)
