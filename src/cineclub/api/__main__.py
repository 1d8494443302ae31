"""``python -m cineclub.api``: serve the API as the environment says."""

import logging
import sys
from typing import Any

import uvicorn

from cineclub import bootstrap
from cineclub.api import workers
from cineclub.api.app import create_app
from cineclub.domain.errors import Conflict, StorageUnavailable
from cineclub.settings import Settings

SHUTDOWN_SECONDS = 5


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    bootstrap.keep_memory_together()
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


if __name__ == "__main__":
    main()
