"""A decision about what serves, carried out by ``python -m cineclub.promoting``: the API never imports MLflow."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cineclub.domain import errors

TIMEOUT_SECONDS = 120.0


class PromotingProcess:
    """Starts one process for each decision."""

    def __init__(self, database_url: str, home: Path) -> None:
        """Take what the process works on; it travels in its environment, never on its command line."""
        self._variables = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home)}

    async def promote(self, version: int, reason: str) -> None:
        """Let a version serve.

        Raises:
            NotFound: no such version.
            Conflict: it serves already, or it cannot be served.
            StorageUnavailable: PostgreSQL does not answer.
            RegistryUnavailable: the MLflow store does not answer, or not in time.
        """
        await self._run({"version": version, "reason": reason})

    async def roll_back(self, reason: str) -> None:
        """Let the version serve again that served before.

        Raises:
            Conflict: nothing served before, or it cannot be served.
            StorageUnavailable: PostgreSQL does not answer.
            RegistryUnavailable: the MLflow store does not answer, or not in time.
        """
        await self._run({"reason": reason})

    async def end_probation(self, promotion_id: int, reason: str) -> None:
        """Let the former version serve again, if the promotion of this number still decides what serves.

        Raises:
            Conflict: it does not any more, or the former version cannot be served.
            StorageUnavailable: PostgreSQL does not answer.
            RegistryUnavailable: the MLflow store does not answer, or not in time.
        """
        await self._run({"promotion_id": promotion_id, "reason": reason})

    async def _run(self, asked: Mapping[str, Any]) -> None:
        """Run the process to its end and raise what it says went wrong."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cineclub.promoting",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self._variables},
        )
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                printed, _ = await process.communicate(json.dumps(asked).encode())
            answer = json.loads(printed)
        except (TimeoutError, ValueError) as error:
            message = "the decision was not carried out to its end: GET /models/ says what serves, then try again"
            raise errors.RegistryUnavailable(message) from error
        finally:
            if process.returncode is None:
                process.kill()
        if "error" in answer:
            kind = getattr(errors, answer["error"], errors.CineclubError)
            raise kind(answer["message"])
