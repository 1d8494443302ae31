"""API keys: their scopes, and the rate limit of each."""

import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from cineclub.domain.errors import AccessDenied, InvalidInput, KeyNeeded, TooManyRequests

Scope = Literal["read", "write", "admin", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "cineclub_"
RANDOM_BYTES = 32
BURST_SECONDS = 10.0
BEARER = "bearer "
MAX_ALLOWANCES = 10_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, stored with the hash of its secret."""

    key_id: int
    name: str
    scopes: frozenset[Scope]
    secret_sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may(self, needed: Scope) -> bool:
        """Return whether the key has a scope; admin has every scope."""
        return needed in self.scopes or "admin" in self.scopes


def new_secret() -> str:
    """Return a random secret, with a prefix by which scanners find leaked secrets."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def hash_of(secret: str) -> str:
    """Return the hash under which a secret is stored and looked up.

    Plain SHA-256 is enough: a slow hash protects passwords that people choose, not 256 random bits.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def scopes_of(names: Collection[str]) -> frozenset[Scope]:
    """Return scopes by their names.

    Raises:
        InvalidInput: a name is not a scope, or there is no name.
    """
    unknown = sorted(set(names) - set(SCOPES))
    if unknown or not names:
        message = f"scopes must be some of {', '.join(SCOPES)}" + (f", not {unknown[0][:50]!r}" if unknown else "")
        raise InvalidInput(message)
    return frozenset(scope for scope in SCOPES if scope in names)


class Allowance:
    """The rate limit of one key: a token bucket that holds the requests of ten seconds."""

    __slots__ = ("_left", "_most", "_per_second", "_seen_at")

    def __init__(self, per_minute: int, now_seconds: float) -> None:
        """Start full."""
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * BURST_SECONDS)
        self._left = self._most
        self._seen_at = now_seconds

    def take(self, now_seconds: float) -> float:
        """Take one request and return 0, or return the seconds until one is available."""
        self._left = min(self._most, self._left + (now_seconds - self._seen_at) * self._per_second)
        self._seen_at = now_seconds
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._per_second


FindKey = Callable[[str], ApiKey | None]
"""Returns the key of a secret if it is valid now; raises StorageUnavailable while no key is known yet."""


class AccessControl:
    """Authorizes requests by their key.

    Without ``needs_keys`` a request may come without one; a key that is sent is checked all the same, or a client would
    learn only on another machine that its key is wrong.
    """

    def __init__(
        self, find_key: FindKey, requests_per_minute: int, seconds: Callable[[], float], *, needs_keys: bool
    ) -> None:
        """Take the look-up of keys, the rate limit of one key, and a monotonic clock in seconds."""
        self._seconds = seconds
        self._find_key = find_key
        self._per_minute = requests_per_minute
        self._allowances: dict[int, Allowance] = {}
        self.needs_keys = needs_keys

    def authorize(self, authorization: str | None, needed: Scope) -> None:
        """Authorize a request with this Authorization header.

        Raises:
            KeyNeeded: the key is missing, unknown, revoked or expired.
            AccessDenied: the key lacks the scope ``needed``.
            TooManyRequests: the key has exceeded its rate limit.
            StorageUnavailable: no key is known yet.
        """
        if authorization is None or not authorization.lower().startswith(BEARER):
            if not self.needs_keys and not _is_bare(authorization):
                return
            message = "send a key as `Authorization: Bearer KEY`: `cineclub keys create` makes one"
            raise KeyNeeded(message)
        key = self._find_key(authorization[len(BEARER) :].strip())
        if key is None:
            message = "this key is unknown, revoked or expired: `cineclub keys create` makes a new one"
            raise KeyNeeded(message)
        if not key.may(needed):
            message = f"this needs a key with the scope {needed}: key {key.key_id} has {', '.join(sorted(key.scopes))}"
            raise AccessDenied(message)
        self._count(key)

    def _count(self, key: ApiKey) -> None:
        """Count one request against the rate limit of a key."""
        now = self._seconds()
        allowance = self._allowances.get(key.key_id)
        if allowance is None:
            if len(self._allowances) >= MAX_ALLOWANCES:
                self._allowances.clear()
            allowance = self._allowances[key.key_id] = Allowance(self._per_minute, now)
        wait_seconds = allowance.take(now)
        if wait_seconds:
            message = f"key {key.key_id} may make {self._per_minute} requests a minute: wait {wait_seconds:.1f} seconds"
            raise TooManyRequests(message, wait_seconds)


def _is_bare(authorization: str | None) -> bool:
    """Return whether a header has no scheme: a key without its word before it, and not the login of a proxy."""
    return bool(authorization) and len((authorization or "").split()) == 1
