"""``cineclub promote`` and ``cineclub rollback``: promotions by a person."""

from typing import Annotated

import typer

from cineclub.cli.text import echo

DEFAULT_REASON = "a person went back to what served before"


def promote(
    version: Annotated[int, typer.Argument(min=1, help="its number in `cineclub models`")],
    reason: Annotated[str, typer.Option(help="recorded in the history; required")],
) -> None:
    """Put a version into production by decision of a person.

    The version is first loaded in a fresh process. A running service follows within seconds.
    """
    if not reason.strip():
        message = "--reason must not be empty: the history records it"
        raise typer.BadParameter(message)
    _decide(version, reason.strip())


def rollback(reason: Annotated[str, typer.Option(help="recorded in the history")] = DEFAULT_REASON) -> None:
    """Put the previous version into production again.

    The version is first loaded in a fresh process. A second rollback goes further back.
    """
    _decide(None, reason)


def _decide(version: int | None, reason: str) -> None:
    """Promote a version, or roll back if it is None, and print the version that serves now."""
    from cineclub.bootstrap import storage
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        promotion = storage.persons_promotion_flow(settings)
        serving = promotion.roll_back(reason) if version is None else promotion.promote(version, reason)
        rejection = storage.promotions(settings).rejection(*serving.key)
        erased_at = storage.erased_after_learning(settings)
    echo(f"version {serving.version} is in production: {serving.recipe}")
    if rejection:
        echo(f"the gate had rejected it: {rejection}", err=True)
        echo("to undo this: cineclub rollback", err=True)
    if erased_at:
        echo(f"it may have learned from a user who was erased on {erased_at:%Y-%m-%d}", err=True)
        echo("to serve a version without them: cineclub train", err=True)
