"""The API process: ``python -m cineclub.processes.api`` serves with the settings of the environment."""

import gc
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any

# before anything loads numpy: the products of one request are too small for several threads, and waiting threads of
# OpenBLAS would take the processor from other requests and from a training
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import uvicorn

from cineclub.api.app import create_app
from cineclub.bootstrap.serving import api_parts
from cineclub.bootstrap.storage import refuse_unguarded_service
from cineclub.domain.errors import Conflict, StorageUnavailable
from cineclub.processes import api_processes
from cineclub.processes.connection_limits import ConnectionLimits
from cineclub.processes.limited_server import LimitedServer, listening_sockets
from cineclub.runtime.allocator import keep_one_arena
from cineclub.runtime.heartbeats import Heartbeat
from cineclub.runtime.process_start import begin_process
from cineclub.runtime.redaction import sentence_of
from cineclub.settings import Settings

SHUTDOWN_SECONDS = 5
COLLECT_AFTER = 20_000, 50, 100
"""Requests leave no reference cycles: with Python's threshold of 700 objects the collector would run all the time."""


def main() -> None:
    """Serve until a signal asks to stop; ``--heartbeat NUMBER`` names the file of the heartbeat that a parent reads."""
    begin_process()
    signal.signal(signal.SIGTERM, _exit)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    keep_one_arena()
    gc.set_threshold(*COLLECT_AFTER)
    settings = Settings()
    try:
        refuse_unguarded_service(settings)
    except StorageUnavailable:
        logging.getLogger(__name__).warning(
            "database_away_at_start: no request is authorized before the keys were read"
        )
    except Conflict as error:
        sys.exit(f"error: {sentence_of(error)}")
    options: dict[str, Any] = {
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "http": "httptools",  # its parser is what the limits of connections are made for
        "ws": "none",  # another protocol would take connections over, and end their limits
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
    }
    heartbeat = Heartbeat.passed_in(sys.argv)
    beat = (lambda: None) if heartbeat is None else heartbeat.beat
    if settings.workers > 1:
        api_processes.serve(settings, options, beat)
    else:
        with listening_sockets(settings) as sockets:
            config = uvicorn.Config(create_app(api_parts(settings)), **options)
            LimitedServer(config, ConnectionLimits.of(settings), beat).run(sockets=sockets)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    """Exit on SIGTERM: before serving, and after uvicorn, which repeats the signal, has finished the open requests."""
    sys.exit(0)


if __name__ == "__main__":
    main()
