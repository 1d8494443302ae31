"""Checks of the addresses of settings, whose messages never repeat a part of the address: it may be the password."""

import re
from urllib.parse import unquote_to_bytes, urlsplit

ENCODE = "percent-encode every other character of user, password and name (@ is %40, / is %2F, # is %23, % is %25)"
FORM = "must look like postgresql://user:password@host/name"
ENCODED = re.compile(r"%(?!(?!00)[0-9A-Fa-f]{2})")
HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%25[^\]@:/]+)?\]|[^\[\]@:/]*)(?::[0-9]{0,5})?"
LOGIN = r"(?:[^@:/?#\s]*(?::[^@:/?#\s]*)?@)?"
DATABASE = re.compile(rf"postgres(?:ql)?://{LOGIN}{HOST}(?:,{HOST})*(?:/[^@?#]*)?(?:\?[^#]*)?")
PARAMETERS = re.compile(r"(?:[a-z_]+=[^&]*(?:&[a-z_]+=[^&]*)*)?")
A_PORT = "must have a number as port, and an IPv6 address in [ ], as http://[::1]:5000"
LOGIN_IN_PATH = re.compile(r"/*[^/@:]+:[^/@]*@")


def problem_of_database_address(address: str) -> str | None:
    """Return what is wrong with an address of a PostgreSQL; None if libpq and SQLAlchemy read it alike.

    They cut an address with unescaped signs in different places, and their messages repeat what they cut out.
    """
    if not re.match(r"postgres(ql)?://", address):
        return FORM
    if re.search(r"[\s\x00-\x1f\x7f]", address):
        return f"{FORM}, without spaces: {ENCODE}"
    if ENCODED.search(address) or not _is_text(unquote_to_bytes(address)):
        return f"{FORM}, with two hexadecimal digits of UTF-8 after each %: {ENCODE}"
    if not DATABASE.fullmatch(address) or not _is_cut_by_urllib(address):
        return f"{FORM}, with a number as port and an IPv6 address in [ ]: {ENCODE}"
    if not PARAMETERS.fullmatch(address.partition("?")[2]):
        return f"{FORM}, with parameters such as sslmode=verify-full after ?, separated by &: {ENCODE}"
    return None


def _is_text(encoded: bytes) -> bool:
    """Return whether bytes are UTF-8."""
    try:
        encoded.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_cut_by_urllib(address: str) -> bool:
    """Return whether Python cuts an address into its parts; it refuses brackets and some letters in a password."""
    try:
        urlsplit(address)
    except ValueError:
        return False
    return True


def problem_of_web_address(address: str) -> str | None:
    """Return what is wrong with an address of a server or store, or None."""
    if re.search(r"[\s\x00-\x1f\x7f]", address):
        return f"must have no spaces: {ENCODE}"
    try:
        parts = urlsplit(address)
        has_no_number = parts.port is None and parts.netloc.endswith(":")  # SQLAlchemy fails on that
    except ValueError:
        return A_PORT
    if has_no_number:
        return A_PORT
    login, at, _ = parts.netloc.rpartition("@")
    if (
        "@" in login
        or login.count(":") > 1
        or (at and ENCODED.search(login))
        or (not at and LOGIN_IN_PATH.match(parts.path))
        or "@" in parts.query  # SQLAlchemy takes what is before it for a name
    ):
        return f"must look like http://user:password@host: {ENCODE}"
    if parts.scheme in {"http", "https"} and (
        not parts.hostname or re.match(r"[^?]*@", address.partition(parts.netloc)[2])
    ):
        return f"must look like http://user:password@host: {ENCODE}"
    return None
