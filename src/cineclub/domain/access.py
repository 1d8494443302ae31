"""Who may do what: keys with scopes, and how many requests each may make."""

import hashlib
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args

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
    """A key as it is kept: by the hash of its secret, which nobody can turn back."""

    key_id: int
    name: str
    scopes: frozenset[Scope]
    secret_sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Say whether the key opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may(self, needed: Scope) -> bool:
        """Say whether the key opens what needs this scope; admin opens everything."""
        return needed in self.scopes or "admin" in self.scopes


def new_secret() -> str:
    """Return a secret that nobody can guess, easy to find where it was leaked."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def hash_of(secret: str) -> str:
    """Return the hash by which a secret is kept and found.

    Plain SHA-256 is enough: a slow hash protects what people make up, and there is nothing to guess in 256 random bits.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def scopes_of(names: Collection[str]) -> frozenset[Scope]:
    """Return scopes by their names.

    Raises:
        InvalidInput: there is no such scope, or none is named.
    """
    unknown = sorted(set(names) - set(SCOPES))
    if unknown or not names:
        message = f"scopes must be some of {', '.join(SCOPES)}" + (f", not {unknown[0][:50]!r}" if unknown else "")
        raise InvalidInput(message)
    return frozenset(scope for scope in SCOPES if scope in names)


class Allowance:
    """How many requests are left to one key: refilled all the time, up to ten seconds' worth (a token bucket)."""

    __slots__ = ("_left", "_most", "_per_second", "_seen_at")

    def __init__(self, per_minute: int, now_seconds: float) -> None:
        """Start full."""
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * BURST_SECONDS)
        self._left = self._most
        self._seen_at = now_seconds

    def take(self, now_seconds: float) -> float:
        """Take one request, and return 0; or the seconds until there is one, and take none."""
        self._left = min(self._most, self._left + (now_seconds - self._seen_at) * self._per_second)
        self._seen_at = now_seconds
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._per_second


class Keys(Protocol):
    """What knows the keys."""

    def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret if it opens anything now.

        Raises:
            StorageUnavailable: no key is known yet.
        """
        ...


class Doorkeeper:
    """Lets requests in that have the key that their route needs; everybody, where no keys are needed."""

    def __init__(self, keys: Keys, requests_per_minute: int, seconds: Callable[[], float], *, needs_keys: bool) -> None:
        """Take where keys are known, how many requests a key may make, and a clock that never goes back."""
        self._seconds = seconds
        self._keys = keys
        self._per_minute = requests_per_minute
        self._allowances: dict[int, Allowance] = {}
        self.needs_keys = needs_keys

    def admit(self, authorization: str | None, needed: Scope) -> None:
        """Return if the request may go on.

        Raises:
            KeyNeeded: there is no key, or one that opens nothing (any more).
            AccessDenied: the key does not open this.
            TooManyRequests: the key has made too many requests.
            StorageUnavailable: no key is known yet.
        """
        if not self.needs_keys:
            return
        if authorization is None or not authorization.lower().startswith(BEARER):
            message = "send a key as `Authorization: Bearer KEY`: `cineclub keys create` makes one"
            raise KeyNeeded(message)
        key = self._keys.find(authorization[len(BEARER) :].strip())
        if key is None:
            message = "this key is unknown, revoked or expired: `cineclub keys create` makes a new one"
            raise KeyNeeded(message)
        if not key.may(needed):
            message = f"this needs a key with the scope {needed}: key {key.key_id} has {', '.join(sorted(key.scopes))}"
            raise AccessDenied(message)
        self._count(key)

    def _count(self, key: ApiKey) -> None:
        """Take one request from what the key may make."""
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
