"""Commands that only read: ``settings``, ``doctor``, ``version``."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from cineclub.cli.text import echo
from cineclub.runtime.redaction import redacted

if TYPE_CHECKING:
    from pydantic import ValidationError

MASK = "********"
INDENT = "    "


def version() -> None:
    """Print the version of cineclub."""
    import cineclub

    echo(cineclub.__version__)


def settings() -> None:
    """List every setting: variable, value, default, meaning."""
    from cineclub.cli.output import stderr
    from cineclub.settings import Settings

    now = Settings()
    for name in Settings.model_fields:
        echo(_setting_text(now, name))
    for name in Settings.unknown_variables():
        stderr().print(f"warning: {name} is no setting of cineclub: is it misspelled?", style="yellow", highlight=False)


def doctor() -> None:
    """Check the installation, and show how to fix problems.

    Exit status 1 if a check failed.
    """
    from cineclub.cli.diagnosis import examine
    from cineclub.cli.output import stdout
    from cineclub.settings import Settings

    console = stdout()
    has_failed = False
    for finding in examine(Settings()):
        has_failed |= finding.status == "FAIL"
        colour = {"OK": "green", "WARN": "yellow", "FAIL": "red"}[finding.status]
        console.print(f"{finding.status:<4} ", style=colour, end="")
        console.print(redacted(finding.what), markup=False, highlight=False)
        if finding.fix:
            console.print(f"{INDENT} -> {redacted(finding.fix)}", markup=False, highlight=False)
    raise typer.Exit(1 if has_failed else 0)


def explain_invalid_settings(error: "ValidationError") -> str:
    """Return a message that names the invalid variable, its value and its meaning."""
    from cineclub.settings import Settings

    first = error.errors()[0]
    location = str(first["loc"][0]) if first["loc"] else ""
    name = location if location in Settings.model_fields else location.lower()
    variable = Settings.variable_of(name) if name in Settings.model_fields else location
    meaning = Settings.model_fields[name].description if name in Settings.model_fields else ""
    problem = redacted(first["msg"][:1].lower() + first["msg"][1:])
    value = MASK if _is_secret(name) else redacted(repr(first.get("input")))
    return f"{variable} is {value}, but: {problem} ({meaning}); cineclub settings lists all"


def _is_secret(name: str) -> bool:
    """Return whether a setting is a secret."""
    from cineclub.settings import Settings

    return name not in Settings.model_fields or "SecretStr" in str(Settings.model_fields[name].annotation)


def masked(url: str) -> str:
    """Return a URL without its password and its query, which may hold one."""
    parts = urlsplit(url)
    if not parts.scheme:
        return MASK
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _password = user.partition(":")
    return f"{parts.scheme}://{name}{colon}{MASK if colon else ''}{at}{host}{parts.path}"


def _masked_secret(url: str, *, is_path_secret: bool) -> str:
    """Return an address without its password, and where the path is secret the host alone."""
    parts = urlsplit(url)
    if is_path_secret:
        return f"{parts.scheme}://{parts.hostname}/{MASK}"
    return masked(url)


def _setting_text(now: Any, name: str) -> str:
    """Return the lines of one setting, at most 80 columns wide if its words allow."""
    import textwrap

    from cineclub.settings import Settings

    field = Settings.model_fields[name]
    value = getattr(now, name)
    default = field.get_default(call_default_factory=True)
    origin = "default" if value == default else f"default: {_value_text(name, default)}"
    meaning = textwrap.fill(str(field.description), 80, initial_indent=INDENT, subsequent_indent=INDENT)
    return f"{Settings.variable_of(name)}={_value_text(name, value)}  ({origin})\n{meaning}"


def _value_text(name: str, value: Any) -> str:
    """Return a value as text, without secrets."""
    from pydantic import SecretStr

    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return _masked_secret(value.get_secret_value(), is_path_secret=name == "alert_webhook")
    if isinstance(value, str) and "://" in value:
        return masked(value)
    return redacted(str(value))
