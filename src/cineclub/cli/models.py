"""``cineclub models``: the versions, the promotion history, and the refusals."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cineclub.domain.promotion.online_records import ProbationCheck
    from cineclub.domain.promotion.records import Promotion, Refusal
    from cineclub.domain.promotion.versions import KnownVersion

N_REFUSALS = 5
MOMENT = "%Y-%m-%d %H:%M"
LEFT_OUT_TAGS = {"verdict", "reason", "training_id", "code_version", "role", "recipe", "manifest_sha256"}


def models(
    context: typer.Context,
    *,
    history: Annotated[bool, typer.Option("--history", help="list the promotions with reason and author")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="number of lines")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="versions, history and refusals as JSON")] = False,
) -> None:
    """List the versions with their verdicts, newest first.

    `cineclub models show VERSION` prints all about one version.
    """
    if context.invoked_subcommand is not None:
        return
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.online_comparison import probation_checks
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        records = storage.promotions(settings)
        versions, promotions = records.recent_versions(limit), records.recent(limit)
        refusals = records.refusals(limit)
        checks = probation_checks(settings, limit)
    if as_json:
        serving = promotions[0].version if promotions else None
        document = {"serving": serving, "versions": versions, "history": promotions, "refusals": refusals}
        print_json(to_document(document | {"probation": checks}))
        return
    _print_history(promotions, stdout()) if history else _print_versions(versions, promotions, stdout())
    if history:
        _print_alarms([check for check in checks if check.is_alarm], stdout())
    _print_refusals(refusals[:N_REFUSALS], stdout())


def show(
    version: Annotated[int, typer.Argument(min=1, help="its number")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Print a version with its tags, promotions and refusals."""
    from cineclub.bootstrap import storage
    from cineclub.cli.output import print_json, stdout
    from cineclub.domain.documents import to_document
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        promotions = storage.promotions(settings)
        known = promotions.version(version)
        sha256 = known.registered.manifest_sha256
        served = [promotion for promotion in promotions.recent(1000) if promotion.manifest_sha256 == sha256]
        refused = [refusal for refusal in promotions.refusals(1000) if refusal.version == version]
    if as_json:
        print_json(to_document({"version": known, "served": served, "refused": refused}))
        return
    _print_version(known, stdout())
    _print_history(served, stdout(), "served")
    _print_refusals(refused, stdout())


def _print_versions(versions: "Sequence[KnownVersion]", promotions: "Sequence[Promotion]", console: "Console") -> None:
    """Print the versions as a table."""
    from cineclub.cli.tables import number, table

    if not versions:
        console.print("no version was registered yet: run cineclub train", highlight=False)
        return
    serving = promotions[0].key if promotions else None
    rows = [
        (
            str(version.registered.version),
            "serves" if version.registered.key == serving else "",
            version.verdict,
            number(_ndcg(version), 4),
            f"{version.registered.created_at:{MOMENT}}",
            version.registered.recipe.model,
            version.reason,
        )
        for version in versions
    ]
    console.print(table(None, ["version", "", "verdict", "nDCG", "registered (UTC)", "model", "why"], rows, "why"))


def _print_history(promotions: "Sequence[Promotion]", console: "Console", title: str | None = None) -> None:
    """Print promotions as a table."""
    from cineclub.cli.tables import table

    if not promotions:
        console.print("it never served" if title else "nothing was promoted yet: run cineclub train", highlight=False)
        return
    rows = [
        (
            f"{promotion.previous_version or '-'} to {promotion.version}",
            f"{promotion.promoted_at:{MOMENT}}",
            f"{promotion.verdict} by {promotion.promoted_by}",
            f"{promotion.recipe.model}: {promotion.reason}",
        )
        for promotion in promotions
    ]
    console.print(table(title, ["version", "since (UTC)", "verdict", "why"], rows, "why"))


def _print_refusals(refusals: "Sequence[Refusal]", console: "Console") -> None:
    """Print refusals as a table."""
    from cineclub.cli.tables import table

    if refusals:
        rows = [
            (str(refusal.version), f"{refusal.refused_at:{MOMENT}}", refusal.asked_by, refusal.reason)
            for refusal in refusals
        ]
        console.print(table("refused", ["version", "when (UTC)", "asked by", "why"], rows, "why"))


def _print_alarms(alarms: "Sequence[ProbationCheck]", console: "Console") -> None:
    """Print the alarms of probations."""
    from cineclub.cli.tables import table

    if alarms:
        rows = [(str(alarm.served_version), f"{alarm.looked_at:{MOMENT}}", alarm.summary) for alarm in alarms]
        console.print(table("worse than the version before", ["version", "seen (UTC)", "why"], rows, "why"))


def _print_version(known: "KnownVersion", console: "Console") -> None:
    """Print one version, one fact per line."""
    from rich.table import Table

    registered = known.registered
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    learned = registered.snapshot
    newest = f"{learned.newest_rated_at:{MOMENT}} UTC" if learned.newest_rated_at else "-"
    for name, value in (
        ("version", str(registered.version)),
        ("recipe", str(registered.recipe)),
        ("verdict", f"{known.verdict}: {known.reason}"),
        ("registered", f"{registered.created_at:{MOMENT}} UTC"),
        ("training", known.training_id or "-"),
        ("role", known.role),
        ("ratings", f"{learned.n_ratings:,}, the newest of {newest}"),
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
    metrics, texts = known.metrics, {}
    for name, value in metrics.items():
        if name.endswith(("_low", "_high")):
            continue
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        texts[name] = f"{value:.4g}" + (f" ({low:.4g} to {high:.4g})" if low is not None and high is not None else "")
    return texts


def _ndcg(known: "KnownVersion") -> float | None:
    """Return the metric of the gate; None if the version was not evaluated."""
    return next(
        (value for name, value in known.metrics.items() if name.startswith("ndcg_at_") and name[8:].isdigit()), None
    )
