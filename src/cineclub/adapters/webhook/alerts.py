"""Notices of alerts, posted as JSON to an address of the owner; the address is a secret and is never logged."""

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from cineclub.adapters.webhook.exchange import send_within

log = logging.getLogger(__name__)

TIMEOUT_SECONDS, TOTAL_SECONDS = 5.0, 10.0
"""The longest wait for one read of a receiver, and for its whole response."""


class Webhook:
    """Posts messages to an address."""

    def __init__(self, url: str, on_lost: Callable[[], None], retry_seconds: tuple[float, ...]) -> None:
        """Post to this http or https address, again after each interval; ``on_lost`` is called if all attempts fail."""
        self._url = url
        self._on_lost = on_lost
        self._retry_seconds = retry_seconds

    async def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message in a few attempts, and return whether it arrived; never raises."""
        for retry_seconds in (*self._retry_seconds, None):
            cause = await asyncio.to_thread(self._post, message)
            if cause is None:
                return True
            log.warning("alert_not_sent cause=%s", cause)
            if retry_seconds is not None:
                await asyncio.sleep(retry_seconds)
        self._on_lost()
        return False

    def _post(self, message: Mapping[str, Any]) -> str | None:
        """Send once, and return the cause of a failure, without the address; None if it was accepted."""
        body, headers = json.dumps(message).encode(), {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - settings allow http and https alone
            send_within(request, TIMEOUT_SECONDS, TOTAL_SECONDS)
        except urllib.error.HTTPError as error:
            return f"status {error.code}"
        except (OSError, HTTPException, ValueError) as error:
            return type(error).__name__
        return None
