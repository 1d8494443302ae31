"""Secrets in texts: every log line, error message and stored error passes through ``redacted``.

A secret is hidden in all its written forms: as it is, percent-encoded, decoded, escaped for JSON, Python or libpq, and
encoded for Basic authentication. Passwords in addresses and keys to the API are hidden even if they are not known.
"""

import base64
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from cineclub.domain.errors import CineclubError

MASK = "********"
SHORTEST = 5
"""A shorter secret is hidden in addresses alone: everywhere else it would garble the text and be no secret."""
ORDINARY = frozenset(
    [
        "admin",
        "cineclub",
        "disabled",
        "enabled",
        "false",
        "films",
        "localhost",
        "metrics",
        "mlflow",
        "movies",
        "password",
        "postgres",
        "postgresql",
        "production",
        "ratings",
        "secret",
        "secrets",
        "token",
        "worker",
    ]
)
"""Words of our own messages and of switches, which are hidden in addresses alone."""
NAMES_OF_SECRETS = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|ACCESS_KEY|API_?KEY|CREDENTIAL|AUTHORIZATION", re.IGNORECASE
)
NAMES_OF_PLACES = re.compile(r"_(FILE|PATH|DIR)$", re.IGNORECASE)
"""Variables that say where a secret is, as those of Docker secrets: messages about that file must name it."""
PARAMETERS = r"password|passwd|sslpassword|token|access_token|api_?key|secret|sig|signature"
PASSWORD_IN_ADDRESS = re.compile(
    r"\b([a-z][a-z0-9+.\-]{1,30}://[^\s:/?#@]{0,200}):(?!password@)[^\s/?#]{1,1000}@", re.IGNORECASE
)
PARAMETER = re.compile(
    rf"\b({PARAMETERS})(\s?=\s?)(?:'(?:[^'\\]|\\.){{0,1000}}'|[^\s&'\",;)]{{1,1000}})", re.IGNORECASE
)
API_KEY = re.compile(r"\bcineclub_[A-Za-z0-9_\-]{43}(?![A-Za-z0-9_\-])")


class KnownSecrets:
    """The secrets of this process, and a pattern of all their forms; ``hide`` may be called in any thread."""

    def __init__(self) -> None:
        """Know none."""
        self._lock = threading.Lock()
        self._forms: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, secrets: Iterator[str]) -> None:
        """Hide secrets from now on."""
        with self._lock:
            forms = self._forms | {form for secret in secrets for form in _forms_of(secret)}
            if forms != self._forms:
                self._forms = forms
                self._pattern = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))

    def masked(self, text: str) -> str:
        """Return a text without them."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)


_KNOWN = KnownSecrets()


def hide(value: str) -> None:
    """Hide a secret from now on: a password, or an address with one."""
    _KNOWN.hide(_secrets_in(value))


def hide_path(address: str) -> None:
    """Hide an address whose path is the secret, as that of a webhook."""
    tail = re.sub(r"^[^:/]*://[^/?#]*", "", address.strip()).strip("/")
    _KNOWN.hide(iter((address.strip(), *(tail, *re.split(r"[/?#&]", tail)))))


def hide_environment(environment: Mapping[str, str]) -> None:
    """Hide the values of variables whose names are those of secrets, and passwords in all addresses."""
    for name, value in environment.items():
        if "WEBHOOK" in name.upper():
            hide_path(value)
        elif _is_secret(name, value) or re.search(r"://[^/]*:[^/]*", value):
            hide(value)


def redacted(text: str) -> str:
    """Return a text without the secrets of this process."""
    text = PASSWORD_IN_ADDRESS.sub(rf"\1:{MASK}@", _KNOWN.masked(text))
    return API_KEY.sub(MASK, PARAMETER.sub(rf"\1\2{MASK}", text))


def sentence_of(error: BaseException) -> str:
    """Return the text of an error for the owner, with its detail and without secrets."""
    return redacted(error.in_full() if isinstance(error, CineclubError) else str(error))


def redact_logs() -> None:
    """Let every log record of this process, of whatever library, and every uncaught error be without secrets."""
    logging.setLogRecordFactory(RedactedRecord)
    sys.excepthook = _print_uncaught
    threading.excepthook = lambda uncaught: _print_uncaught(
        uncaught.exc_type, uncaught.exc_value or uncaught.exc_type(), uncaught.exc_traceback
    )


def redact_streams() -> None:
    """Let what this process prints be without secrets: MLflow prints the address of its server."""
    sys.stdout = RedactedStream(sys.stdout)
    sys.stderr = RedactedStream(sys.stderr)


class RedactedRecord(logging.LogRecord):
    """A log record without secrets in its message and its traceback; errors of ours appear with their detail."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Format the traceback now: every formatter takes the text that is there."""
        super().__init__(*arguments, **named)
        if isinstance(self.args, tuple):
            self.args = tuple(value.in_full() if isinstance(value, CineclubError) else value for value in self.args)
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = _traceback_text(*self.exc_info)

    def getMessage(self) -> str:  # noqa: N802 - the name is of the standard library
        """Return the message without secrets."""
        return redacted(super().getMessage())


class RedactedStream:
    """A text stream that writes without secrets; everything else is that of the stream itself."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to this stream."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, and return its length."""
        self._stream.write(redacted(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream itself."""
        return getattr(self._stream, name)


def _print_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an uncaught error."""
    sys.stderr.write(_traceback_text(kind, error, trace) + "\n")


def _traceback_text(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
    """Return a traceback without secrets."""
    return redacted("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


def _is_secret(name: str, value: str) -> bool:
    """Return whether a variable has the name of a secret, and its value is not the path of a file instead."""
    if not NAMES_OF_SECRETS.search(name) or NAMES_OF_PLACES.search(name):
        return False
    return not (value.startswith("/") and os.path.exists(value))  # noqa: PTH110 - False for what cannot be a path


def _secrets_in(value: str) -> Iterator[str]:
    """Yield the secrets of a setting: the value itself, or the parts of an address that may be secret.

    A malformed address can be cut in several places, so each part of its password is a secret too.
    """
    value = value.strip()
    _scheme, is_address, rest = value.partition("://")
    if not is_address:
        yield value
        return
    host = re.split(r"[/?#]", rest)[0]
    login, at, _ = (host if "@" in host else rest).rpartition("@")
    user, _, password = login.partition(":")
    if at and password:
        yield password
        yield from (part for part in re.split(r"[@/?#\s]+|%(?![0-9A-Fa-f]{2})", password) if part != password)
        yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    for given in re.finditer(rf"[?&](?:{PARAMETERS})=([^&]+)", rest, re.IGNORECASE):
        yield given[1]


def _forms_of(secret: str) -> Iterator[str]:
    """Yield the ways in which a secret may be written; none of a short or ordinary word."""
    for form in {secret, unquote(secret), unquote_plus(secret)}:
        if len(form.strip()) < SHORTEST or form.lower() in ORDINARY:
            continue
        encoded = {quote(form, safe=""), quote(form), quote(form, safe="/:@"), quote_plus(form)}
        escaped = form.replace("\\", "\\\\").replace("'", "\\'")
        yield from {form, escaped, json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], repr(form)[1:-1]}
        yield from encoded
        yield from {re.sub(r"%[0-9A-F]{2}", lambda code: code[0].lower(), text) for text in encoded}
