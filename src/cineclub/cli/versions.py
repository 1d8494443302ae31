"""``cineclub reproduce`` and ``erase``: what a version was made of, and who must not be in it any more."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.reproduction import ArrayDifference, Reproduction
    from cineclub.settings import Settings

DIFFERENT, IMPOSSIBLE = 3, 4
SHORT_HASH = 12


def reproduce(
    version: Annotated[int, typer.Argument(help="the number of a registered version", min=1)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print what came of it as JSON")] = False,
) -> None:
    """Fit a version again and say equal, or what differs.

    Exit status 0: every array is the same byte for byte. 3: something differs. 4: it cannot be done, because the
    version is unknown or its ratings are not there as they were. 1: any other error.
    """
    from cineclub import bootstrap
    from cineclub.cli.output import print_json, stderr, stdout
    from cineclub.domain.errors import BrokenArtifact, NotFound
    from cineclub.settings import Settings

    try:
        with bootstrap.database(Settings()) as settings:
            reproduction = _fit_again(version, settings)
    except (NotFound, BrokenArtifact) as error:
        if as_json:
            print_json({"outcome": "impossible", "version": version, "reason": str(error)})
        else:
            stderr().print(f"version {version} cannot be reproduced: {error}", markup=False, highlight=False)
        raise typer.Exit(IMPOSSIBLE) from error
    if as_json:
        print_json(reproduction.to_json())
    else:
        _print_reproduction(reproduction, stdout())
    raise typer.Exit(0 if reproduction.is_equal else DIFFERENT)


def erase(
    user: Annotated[str, typer.Argument(help="the user's id, as your system has it")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Erase a user: ratings, logged answers, snapshots.

    Versions that learned from their ratings go on serving and cannot be reproduced any more. Backups still hold them.
    """
    from cineclub import bootstrap
    from cineclub.flows.erasing import erase_user
    from cineclub.settings import Settings

    if not yes:
        typer.confirm(f"erase user {user} with all ratings, for ever?", abort=True, err=True)
    with bootstrap.database(Settings()) as settings:
        jobs = bootstrap.training_jobs(settings)
        report = erase_user(user, bootstrap.people(settings), jobs, bootstrap.snapshots(settings))
    typer.echo(f"erased user {user}: {report.n_ratings:,} ratings, {report.n_predictions:,} logged answers")
    typer.echo(f"snapshots rewritten here: {len(report.rewritten_snapshots)}; other machines' workers rewrite theirs")
    typer.echo(f"queued: training {report.training_id}")
    typer.echo("until its version serves, film weights that were learned from them remain")
    typer.echo("backups that were made before still hold the user")


def _fit_again(version: int, settings: "Settings") -> "Reproduction":
    """Fit a version again with its progress drawn."""
    from cineclub import bootstrap
    from cineclub.cli.progress import ProgressLines
    from cineclub.flows.reproduction import reproduce as fit_again

    registry = bootstrap.registry(settings)
    with ProgressLines() as lines:
        return fit_again(
            version,
            registry,
            bootstrap.snapshots(settings),
            lambda fraction: lines.show("fit again", fraction),
        )


def _print_reproduction(reproduction: "Reproduction", console: "Console") -> None:
    """Print what came of it."""

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    tell(f"version {reproduction.version}: {reproduction.recipe}")
    tell(f"fitted again from snapshot {reproduction.snapshot_sha256[:SHORT_HASH]}")
    if reproduction.is_equal:
        tell(f"equal: all {reproduction.n_arrays} arrays are the same, byte for byte")
    else:
        tell(f"different: {len(reproduction.differences)} of {reproduction.n_arrays} arrays")
        for difference in reproduction.differences:
            tell(f"  {_difference_text(difference)}")
    for other in reproduction.environment:
        tell(f"  {other.name} was {other.then}, is {other.now}")


def _difference_text(difference: "ArrayDifference") -> str:
    """Return one array's difference in words."""
    if difference.n_different is None:
        return f"{difference.name}: {difference.what}"
    values: Any = (difference.n_different, difference.largest, difference.largest_value)
    return "{}: {:,} values differ by {:.3g} at most (the largest is {:.3g})".format(difference.name, *values)
