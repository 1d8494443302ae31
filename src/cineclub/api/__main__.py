"""``python -m cineclub.api``: serve the API as the environment says."""

import gc
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any

# before anything loads numpy: the sums of one answer are too small to share out, and waiting threads of the linear
# algebra would take the processor from other requests and from a training
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import uvicorn

from cineclub import bootstrap
from cineclub.api import workers
from cineclub.api.app import create_app
from cineclub.domain.errors import Conflict, StorageUnavailable
from cineclub.settings import Settings

SHUTDOWN_SECONDS = 5
COLLECT_AFTER = 20_000, 50, 100
"""An answer leaves no cycles behind: Python's 700 objects would have it look through films and answers all the time."""


def main() -> None:
    """Serve until told to stop."""
    signal.signal(signal.SIGTERM, _end)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    bootstrap.keep_memory_together()
    gc.set_threshold(*COLLECT_AFTER)
    settings = Settings()
    try:
        bootstrap.refuse_unguarded_service(settings)
    except StorageUnavailable:
        logging.getLogger(__name__).warning("database_away_at_start: without keys in memory nobody is let in")
    except Conflict as error:
        sys.exit(f"error: {error}")
    options: dict[str, Any] = {
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
    }
    if settings.workers > 1:
        workers.serve(settings, options)
    else:
        uvicorn.run(create_app(bootstrap.api_parts(settings)), host=settings.host, port=settings.port, **options)


def _end(_signal: int, _frame: FrameType | None) -> None:
    """End as asked: before we serve, and once uvicorn, which repeats the signal, has finished what was in flight."""
    sys.exit(0)


if __name__ == "__main__":
    main()
