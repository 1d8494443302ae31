"""Alerts are posted as JSON to an address that the owner names; the address is a secret and is never logged."""

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would ask for the page there without the message, and take that for delivered."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request, so that the status of the redirect is the answer."""


_OPENER = urllib.request.build_opener(_NoRedirect)


class Webhook:
    """Implements the port ``AlertReceiver``."""

    def __init__(self, url: str, on_lost: Callable[[], None], pauses_seconds: tuple[float, ...]) -> None:
        """Post to this address (http or https), again after each pause; ``on_lost`` is told of what did not arrive."""
        self._url = url
        self._on_lost = on_lost
        self._pauses_seconds = pauses_seconds

    async def tell(self, message: Mapping[str, Any]) -> bool:
        """Send a message, tried a few times, and say whether it arrived; never raises."""
        for pause_seconds in (*self._pauses_seconds, None):
            cause = await asyncio.to_thread(self._post, message)
            if cause is None:
                return True
            log.warning("alert_not_sent cause=%s", cause)
            if pause_seconds is not None:
                await asyncio.sleep(pause_seconds)
        self._on_lost()
        return False

    def _post(self, message: Mapping[str, Any]) -> str | None:
        """Send once, and return what went wrong, without the address; None if it was taken."""
        body, headers = json.dumps(message).encode(), {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - settings allow http and https alone
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            return f"status {error.code}"
        except (OSError, HTTPException, ValueError) as error:
            return type(error).__name__
