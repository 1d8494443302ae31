"""``cineclub promote`` and ``cineclub rollback``: a person decides which version serves."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cineclub.adapters.mlflow.registry import MlflowRegistry
    from cineclub.ports import Promotion

BY = "person"
MAX_PROMOTIONS = 1000
DEFAULT_REASON = "a person went back to what served before"


def promote(
    version: Annotated[int, typer.Argument(min=1, help="its number; `cineclub models` lists what was promoted")],
    reason: Annotated[str, typer.Option(help="kept in the history; required")],
) -> None:
    """Put a registered version into production, whatever the gate said.

    It is loaded in a fresh process first. A service that runs follows within seconds.
    """
    if not reason.strip():
        message = "--reason must not be empty: the history says why a version serves"
        raise typer.BadParameter(message)
    _decide(lambda registry, _history: registry.put_into_production(version, reason.strip(), BY))


def rollback(
    reason: Annotated[str, typer.Option(help="kept in the history")] = DEFAULT_REASON,
) -> None:
    """Put the version that served before into production again.

    It is loaded in a fresh process first. A second rollback goes further back.
    """
    from cineclub.domain.errors import Conflict
    from cineclub.domain.rollback import rollback_target

    def go_back(registry: "MlflowRegistry", history: list["Promotion"]) -> None:
        target = rollback_target(history)
        if target is None:
            message = "nothing served before what serves now: there is no version to go back to"
            raise Conflict(message)
        registry.roll_back(target.version, reason, BY)

    _decide(go_back)


def _decide(act: Callable[["MlflowRegistry", list["Promotion"]], None]) -> None:
    """Change what serves, and say what serves now."""
    from cineclub import bootstrap
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        history = bootstrap.promotions(settings)
        act(bootstrap.registry(settings), history.recent(MAX_PROMOTIONS))
        newest = history.newest()
    if newest is not None:
        typer.echo(f"version {newest.version} is in production: {newest.recipe}")
