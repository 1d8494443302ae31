"""``cineclub promote`` and ``cineclub rollback``: a person decides which version serves."""

from typing import Annotated

import typer

DEFAULT_REASON = "a person went back to what served before"


def promote(
    version: Annotated[int, typer.Argument(min=1, help="its number; `cineclub models` lists what was promoted")],
    reason: Annotated[str, typer.Option(help="kept in the history; required")],
) -> None:
    """Put a version into production by decision of a person.

    It is loaded in a fresh process first. A service that runs follows within seconds.
    """
    if not reason.strip():
        message = "--reason must not be empty: the history says why a version serves"
        raise typer.BadParameter(message)
    _decide(version, reason.strip())


def rollback(
    reason: Annotated[str, typer.Option(help="kept in the history")] = DEFAULT_REASON,
) -> None:
    """Put the version that served before into production again.

    It is loaded in a fresh process first. A second rollback goes further back.
    """
    _decide(None, reason)


def _decide(version: int | None, reason: str) -> None:
    """Change what serves, and say what serves now."""
    from cineclub import bootstrap
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        serving = bootstrap.promote_by_person(settings, version, reason)
        rejected = bootstrap.rejection_of(settings, serving)
    typer.echo(f"version {serving.version} is in production: {serving.recipe}")
    if rejected:
        typer.echo(f"the gate had rejected it: {rejected}", err=True)
        typer.echo("if that was not meant: cineclub rollback", err=True)
