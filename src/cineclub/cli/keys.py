"""``cineclub keys``: the keys to the API."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cineclub.cli.text import echo

DAY = "%Y-%m-%d"
keys = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Create, list and revoke keys to the API.",
)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="the user or purpose of the key")],
    scopes: Annotated[str, typer.Option(help="read, write, admin, metrics; separated by commas")] = "read,write",
    expires_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="days until it expires; unset: never")
    ] = None,
) -> None:
    """Create a key and print it, once.

    read: films, recommendations, trainings, versions. write: ratings, films. admin: all of these, and to train,
    promote and erase. metrics: /metrics. A running service accepts the key within seconds.
    """
    from cineclub.bootstrap import storage
    from cineclub.cli.output import stderr
    from cineclub.domain.access import scopes_of
    from cineclub.settings import Settings

    wanted = scopes_of([scope.strip() for scope in scopes.split(",")])
    if not 1 <= len(name.strip()) <= 100:  # noqa: PLR2004 - as the help of the error says
        message = "the name must have 1 to 100 characters"
        raise typer.BadParameter(message)
    expires_at = datetime.now(UTC) + timedelta(days=expires_days) if expires_days else None
    with storage.database(Settings()) as settings:
        key, secret = storage.api_keys(settings).create(name.strip(), wanted, expires_at)
    stderr().print(
        f"key {key.key_id} for {key.name}, shown this once: send it as Authorization: Bearer KEY",
        markup=False,
        highlight=False,
    )
    echo(secret)


@keys.command("list")
def list_keys() -> None:
    """List the keys with the time of their last use, to the minute; their secrets are not stored."""
    from cineclub.bootstrap import storage
    from cineclub.cli.output import stdout
    from cineclub.cli.tables import table
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        all_keys = storage.api_keys(settings).everything()
    if not all_keys:
        echo("there are no keys: create one with cineclub keys create NAME")
        return
    now = datetime.now(UTC)
    rows = [
        (
            str(key.key_id),
            key.name,
            ", ".join(sorted(key.scopes)),
            f"{key.created_at:{DAY}}",
            f"{key.expires_at:{DAY}}" if key.expires_at else "-",
            f"{key.last_used_at:{DAY}}" if key.last_used_at else "never",
            "valid" if key.is_valid(now) else "revoked" if key.revoked_at else "expired",
        )
        for key in all_keys
    ]
    stdout().print(table(None, ["key", "name", "scopes", "made", "ends", "used", "state"], rows, "name"))


@keys.command()
def revoke(key: Annotated[int, typer.Argument(min=1, help="its number in cineclub keys list")]) -> None:
    """Revoke a key, within seconds also for a running service."""
    from cineclub.bootstrap import storage
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        revoked = storage.api_keys(settings).revoke(key)
    echo(f"key {revoked.key_id} for {revoked.name} is revoked")
