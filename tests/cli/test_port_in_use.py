"""A port in use is detected before anything starts."""

import socket
from pathlib import Path

import pytest

from cineclub.domain.errors import Conflict
from cineclub.processes import supervisor
from cineclub.settings import Settings


def test_a_used_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """The message names port and setting, and no state folder is created."""
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(home=home, port=taken.getsockname()[1])
        with pytest.raises(Conflict, match="CINECLUB_PORT"):
            supervisor.serve(settings, on_live=lambda _address: None)
    assert not home.exists()
