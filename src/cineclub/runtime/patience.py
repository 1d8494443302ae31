"""Waiting for a registry that restarts: an action is repeated at growing intervals, up to a total time."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from cineclub.domain.errors import RegistryRefused, RegistryUnavailable

log = logging.getLogger(__name__)
Outcome = TypeVar("Outcome")

FIRST_INTERVAL_SECONDS, LONGEST_INTERVAL_SECONDS, GROWTH = 0.5, 15.0, 1.7
SLICE_SECONDS = 0.25


def _nothing() -> None:
    """Check nothing."""


class Patience:
    """Repeats actions of one thread while the registry does not answer.

    An action inside another that is repeated is not repeated by itself, so that the total time holds for both.
    """

    def __init__(self, wait_seconds: float, check: Callable[[], None] = _nothing) -> None:
        """Wait at most so long for one action; ``check`` is called some times a second and may raise to end it."""
        self._wait_seconds = wait_seconds
        self._check = check
        self._is_repeating = False

    def __call__(self, action: Callable[[], Outcome]) -> Outcome:
        """Return the outcome of an action, repeated while it raises ``RegistryUnavailable``.

        Raises:
            RegistryRefused: the registry answers, and refuses.
            RegistryUnavailable: it did not answer within the total time.
        """
        if self._is_repeating:
            return action()
        self._is_repeating = True
        try:
            return self._repeated(action)
        finally:
            self._is_repeating = False

    def _repeated(self, action: Callable[[], Outcome]) -> Outcome:
        """Return the outcome of an action, repeated within the total time."""
        began, interval_seconds = time.monotonic(), FIRST_INTERVAL_SECONDS
        while True:
            try:
                return action()
            except RegistryRefused:
                raise
            except RegistryUnavailable as error:
                left_seconds = began + self._wait_seconds - time.monotonic()
                if left_seconds <= 0:
                    raise
                log.warning("registry_awaited seconds_left=%.0f cause=%s", left_seconds, error)
                self._sleep(min(interval_seconds, left_seconds))
                interval_seconds = min(interval_seconds * GROWTH, LONGEST_INTERVAL_SECONDS)

    def _sleep(self, seconds: float) -> None:
        """Sleep in slices, with a check after each."""
        until = time.monotonic() + seconds
        while (left_seconds := until - time.monotonic()) > 0:
            time.sleep(min(SLICE_SECONDS, left_seconds))
            self._check()
