"""``cineclub models``: which versions there are, which serves, what served before, and what was refused."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cineclub.ports import KnownVersion, ProbationLook, Promotion, Refusal

N_REFUSALS = 5
MOMENT = "%Y-%m-%d %H:%M"
LEFT_OUT_TAGS = {"verdict", "reason", "training_id", "code_version", "role", "recipe", "manifest_sha256"}


def models(
    context: typer.Context,
    *,
    history: Annotated[bool, typer.Option("--history", help="what served, since when, why and by whom")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="how many lines")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="versions, history and refusals as JSON")] = False,
) -> None:
    """List the versions, their verdicts, and which serves.

    Newest first. `cineclub models show VERSION` tells all that is known of one.
    """
    if context.invoked_subcommand is not None:
        return
    from cineclub import bootstrap
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        book = bootstrap.promotions(settings)
        versions, promotions = book.versions.recent(limit), book.recent(limit)
        refusals = book.versions.refusals(limit)
        looks = bootstrap.probation_looks(settings, limit)
    if as_json:
        serving = promotions[0].version if promotions else None
        print_json(to_document(_document(serving, versions, promotions, refusals) | {"probation": looks}))
        return
    _print_history(promotions, stdout()) if history else _print_versions(versions, promotions, stdout())
    if history:
        _print_alarms([one for one in looks if one.is_alarm], stdout())
    _print_refusals(refusals[:N_REFUSALS], stdout())


def show(
    version: Annotated[int, typer.Argument(min=1, help="its number")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Tell all that is known of a version."""
    from cineclub import bootstrap
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with bootstrap.database(Settings()) as settings:
        book = bootstrap.promotions(settings)
        known = book.versions.get(version)
        served = [one for one in book.recent(1000) if one.manifest_sha256 == known.registered.manifest_sha256]
        refused = [one for one in book.versions.refusals(1000) if one.version == version]
    if as_json:
        print_json(to_document({"version": known, "served": served, "refused": refused}))
        return
    _print_version(known, stdout())
    _print_history(served, stdout(), "served")
    _print_refusals(refused, stdout())


def _document(
    serving: int | None, versions: "Sequence[KnownVersion]", promotions: "Sequence[Promotion]", refusals: Any
) -> dict[str, Any]:
    """Return everything as one document."""
    return {"serving": serving, "versions": versions, "history": promotions, "refusals": refusals}


def _print_versions(versions: "Sequence[KnownVersion]", promotions: "Sequence[Promotion]", console: "Console") -> None:
    """Print the versions as a table."""
    from cineclub.cli.tables import number, table

    if not versions:
        console.print("no version was registered yet: run cineclub train", highlight=False)
        return
    serving = (promotions[0].version, promotions[0].manifest_sha256) if promotions else None
    rows = [
        (
            str(one.registered.version),
            "serves" if (one.registered.version, one.registered.manifest_sha256) == serving else "",
            one.verdict,
            number(_ndcg(one), 4),
            f"{one.registered.created_at:{MOMENT}}",
            one.registered.recipe.model,
            one.reason,
        )
        for one in versions
    ]
    console.print(table(None, ["version", "", "verdict", "nDCG", "registered (UTC)", "model", "why"], rows, "why"))


def _print_history(promotions: "Sequence[Promotion]", console: "Console", title: str | None = None) -> None:
    """Print what served as a table."""
    from cineclub.cli.tables import table

    if not promotions:
        console.print("it never served" if title else "nothing was promoted yet: run cineclub train", highlight=False)
        return
    rows = [
        (
            f"{one.previous_version or '-'} to {one.version}",
            f"{one.promoted_at:{MOMENT}}",
            f"{one.verdict} by {one.promoted_by}",
            f"{one.recipe.model}: {one.reason}",
        )
        for one in promotions
    ]
    console.print(table(title, ["version", "since (UTC)", "verdict", "why"], rows, "why"))


def _print_refusals(refusals: "Sequence[Refusal]", console: "Console") -> None:
    """Print what was not promoted, and why."""
    from cineclub.cli.tables import table

    if refusals:
        rows = [(str(one.version), f"{one.refused_at:{MOMENT}}", one.asked_by, one.reason) for one in refusals]
        console.print(table("refused", ["version", "when (UTC)", "asked by", "why"], rows, "why"))


def _print_alarms(alarms: "Sequence[ProbationLook]", console: "Console") -> None:
    """Print which promotions proved worse than what they replaced."""
    from cineclub.cli.tables import table

    if alarms:
        rows = [(str(one.served_version), f"{one.looked_at:{MOMENT}}", one.summary) for one in alarms]
        console.print(table("worse than the version before", ["version", "seen (UTC)", "why"], rows, "why"))


def _print_version(known: "KnownVersion", console: "Console") -> None:
    """Print one version, a fact a line."""
    from rich.table import Table

    registered = known.registered
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    learned = registered.snapshot
    for name, value in (
        ("version", str(registered.version)),
        ("recipe", str(registered.recipe)),
        ("verdict", f"{known.verdict}: {known.reason}"),
        ("registered", f"{registered.created_at:{MOMENT}} UTC"),
        ("training", known.training_id or "-"),
        ("role", known.role),
        ("ratings", f"{learned.n_ratings:,}, the newest of {_moment(learned.newest_rated_at)}"),
        ("snapshot", learned.content_sha256),
        ("manifest", registered.manifest_sha256),
        ("cineclub", known.code_version),
        *((name, text) for name, text in sorted(_metric_texts(known).items())),
        *((name, value) for name, value in sorted(known.tags.items()) if name not in LEFT_OUT_TAGS),
    ):
        facts.add_row(name, value)
    console.print(facts, markup=False, highlight=False)


def _metric_texts(known: "KnownVersion") -> dict[str, str]:
    """Return each metric with its interval where it has one."""
    metrics = known.metrics
    texts = {}
    for name, value in metrics.items():
        if name.endswith(("_low", "_high")):
            continue
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        texts[name] = f"{value:.4g}" + (f" ({low:.4g} to {high:.4g})" if low is not None and high is not None else "")
    return texts


def _ndcg(known: "KnownVersion") -> float | None:
    """Return the metric that the gate judges by; None where the version was not judged."""
    return next(
        (value for name, value in known.metrics.items() if name.startswith("ndcg_at_") and name[8:].isdigit()), None
    )


def _moment(time: datetime | None) -> str:
    """Return a time as people read it."""
    return f"{time:{MOMENT}} UTC" if time else "-"
