"""Starts of ``cineclub.processes.promotion_decider``, one for each decision: the API never imports MLflow."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cineclub.domain import errors
from cineclub.runtime.file_errors import cause_of

TIMEOUT_SECONDS = 120.0


class PromotionDecider:
    """Decides which version serves, each time in a process of its own.

    Its methods raise StorageUnavailable while PostgreSQL does not answer, and RegistryUnavailable while the MLflow
    store does not answer, the decision takes longer than ``TIMEOUT_SECONDS`` or its process fails.
    """

    def __init__(self, database_url: str, home: Path) -> None:
        """Pass database and home to the process in its environment, never on its command line."""
        self._variables = {"CINECLUB_DATABASE_URL": database_url, "CINECLUB_HOME": str(home)}

    async def promote(self, version: int, reason: str) -> int:
        """Promote a version, and return the id of the promotion.

        Raises:
            NotFound: there is no such version.
            Conflict: it serves already, or it cannot be served.
        """
        return await self._decide({"version": version, "reason": reason})

    async def roll_back(self, reason: str) -> int:
        """Promote the version again that served before, and return the id of the promotion.

        Raises:
            Conflict: no version served before, or it cannot be served.
        """
        return await self._decide({"reason": reason})

    async def end_probation(self, promotion_id: int, reason: str) -> None:
        """Promote the former version again, if this promotion still decides which version serves.

        Raises:
            Conflict: another promotion decides by now, or the former version cannot be served.
        """
        await self._decide({"promotion_id": promotion_id, "reason": reason})

    async def _decide(self, request: Mapping[str, Any]) -> int:
        """Run the process to its end, and return the id of the promotion, or raise the error that it reports."""
        process = await self._start()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                output, _ = await process.communicate(json.dumps(request).encode())
            outcome = json.loads(output)
        except (TimeoutError, ValueError) as error:
            message = "the decision was not carried out to its end: GET /models/ says what serves, then try again"
            raise errors.RegistryUnavailable(message) from error
        finally:
            if process.returncode is None:
                process.kill()
        if "error" in outcome:
            kind = getattr(errors, outcome["error"], errors.CineclubError)
            raise kind(outcome["message"], outcome["detail"])
        return int(outcome["promotion_id"])

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the process; it writes to the log of this one.

        Raises:
            RegistryUnavailable: this machine has no room for another process.
        """
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cineclub.processes.promotion_decider"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **self._variables},
            )
        except OSError as error:
            message = f"nothing was decided, as its process could not be started: {cause_of(error)}"
            raise errors.RegistryUnavailable(message, str(error)) from error
