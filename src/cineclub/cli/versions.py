"""``cineclub reproduce`` and ``erase``: fit a version again, and remove a user from the data."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cineclub.cli.text import echo
from cineclub.runtime.redaction import sentence_of

if TYPE_CHECKING:
    from rich.console import Console

    from cineclub.domain.training.reproduction import ArrayDifference, Reproduction
    from cineclub.flows.erasing import ErasingReport
    from cineclub.settings import Settings

DIFFERENT, IMPOSSIBLE = 3, 4
SHORT_HASH = 12


def reproduce(
    version: Annotated[int, typer.Argument(help="the number of a registered version", min=1)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Fit a version again and compare the arrays.

    Exit status 0: every array is equal byte for byte. 3: arrays differ. 4: impossible, because the version is unknown
    or its ratings have changed. 1: any other error.
    """
    from cineclub.bootstrap import storage
    from cineclub.cli.output import print_json, stderr, stdout
    from cineclub.domain.errors import BrokenArtifact, NotFound
    from cineclub.settings import Settings

    try:
        with storage.database(Settings()) as settings:
            reproduction = _fit_again(version, settings)
    except (NotFound, BrokenArtifact) as error:
        if as_json:
            print_json({"outcome": "impossible", "version": version, "reason": sentence_of(error)})
        else:
            stderr().print(
                f"version {version} cannot be reproduced: {sentence_of(error)}", markup=False, highlight=False
            )
        raise typer.Exit(IMPOSSIBLE) from error
    if as_json:
        print_json(reproduction.to_json())
    else:
        _print_reproduction(reproduction, stdout())
    raise typer.Exit(0 if reproduction.is_equal else DIFFERENT)


def erase(
    user: Annotated[str, typer.Argument(help="the user's id in your system")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")] = False,
) -> None:
    """Erase a user's ratings, logs and rows of snapshots.

    A worker then trains a version without them; one that learned from them serves until then and can no longer be
    reproduced. Backups still hold the ratings.
    """
    from cineclub.bootstrap import storage
    from cineclub.flows.erasing import erase_user
    from cineclub.settings import Settings

    if not yes:
        typer.confirm(f"erase user {user} with all ratings, permanently?", abort=True, err=True)
    with storage.database(Settings()) as settings:
        jobs = storage.training_jobs(settings)
        report = erase_user(
            user, storage.people(settings).erase, jobs.start, jobs.get, storage.snapshots(settings).apply_erasures
        )
    _print_erasure(user, report)


def _print_erasure(user: str, report: "ErasingReport") -> None:
    """Print what was erased, the training that follows, and what remains until when."""
    erased = report.erased
    echo(f"erased user {user}: {erased.n_ratings:,} ratings, {erased.n_predictions:,} logged recommendations")
    if report.is_training_owed:
        rewritten = len(report.rewritten_snapshots)
        echo(f"snapshots rewritten here: {rewritten}; other machines' workers rewrite theirs")
        echo(
            f"queued: training {report.training_id}"
            if report.training_id
            else "a training that may have read them is running: another is queued after it"
        )
    for place in report.remains():
        echo(f"remains: {place}")


def _fit_again(version: int, settings: "Settings") -> "Reproduction":
    """Fit a version again, and show the progress."""
    from cineclub.bootstrap import storage
    from cineclub.cli.progress import ProgressLines
    from cineclub.flows.reproduction import reproduce as fit_again

    versions = storage.model_versions(settings)
    with ProgressLines() as lines:
        return fit_again(
            version,
            versions.registry.tags,
            versions.load,
            storage.snapshots(settings).load,
            lambda fraction: lines.show("fit again", fraction),
        )


def _print_reproduction(reproduction: "Reproduction", console: "Console") -> None:
    """Print the outcome."""

    def print_line(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    print_line(f"version {reproduction.version}: {reproduction.recipe}")
    print_line(f"fitted again from snapshot {reproduction.snapshot_sha256[:SHORT_HASH]}")
    if reproduction.is_equal:
        print_line(f"equal: all {reproduction.n_arrays} arrays are the same, byte for byte")
    else:
        print_line(f"different: {len(reproduction.differences)} of {reproduction.n_arrays} arrays")
        for difference in reproduction.differences:
            print_line(f"  {_difference_text(difference)}")
    for other in reproduction.environment:
        print_line(f"  {other.name} was {other.then}, is {other.now}")


def _difference_text(difference: "ArrayDifference") -> str:
    """Return one array's difference in words."""
    if difference.n_different is None:
        return f"{difference.name}: {difference.what}"
    values: Any = (difference.n_different, difference.largest, difference.largest_value)
    return "{}: {:,} values differ by {:.3g} at most (the largest is {:.3g})".format(difference.name, *values)
