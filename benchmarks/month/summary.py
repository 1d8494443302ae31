"""The tables of kept months, for docs/month.md and docs/evaluation.md: ``python -m benchmarks.month.summary FOLDER``.

A folder of ratings holds ``calm.json`` and ``all.json`` of seed 0, and those of another seed in ``seed-N``.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.section import table_of

SETS = {"ml-latest-small": "", "MovieTweetings": "movietweetings"}
"""The kept sets of ratings by their folder below that of the months."""

SCENARIOS = {"calm": "calm", "all": "every event"}
OPPONENT = "popular, 7 days"
MEASURES = tuple((measure, against) for measure in ("hit rate", "nDCG") for against in ("live", "hindsight"))
MOST_SEEDS = 10


@dataclass(frozen=True, slots=True)
class KeptMonth:
    """A month that is kept: its title, the path of its page in the folder, and its report."""

    title: str
    page: str
    report: dict[str, Any]

    @property
    def link(self) -> str:
        """The title as a link from docs."""
        return f"[{self.title}](month/{self.page})"


def kept_months(folder: Path) -> Iterator[KeptMonth]:
    """Yield the months of a folder by ratings, scenario and seed."""
    for name, below in SETS.items():
        for scenario, words in SCENARIOS.items():
            for seed in range(MOST_SEEDS):
                path = folder / below / (f"seed-{seed}" if seed else "") / f"{scenario}.json"
                if path.is_file():
                    page = path.with_suffix(".html").relative_to(folder).as_posix()
                    yield KeptMonth(f"{name}, {words}, {seed}", page, json.loads(path.read_text()))


def results_table(months: Sequence[KeptMonth]) -> str:
    """Return the table of hits, detections, false alarms and losses."""
    head = [
        "ratings, scenario, seed",
        "hit rate@10",
        OPPONENT,
        "lead over it",
        "first model, frozen",
        "best in hindsight",
        "longest detection, days",
        "false alarms",
        "ratings lost",
        "responses lost",
        "promises kept",
    ]
    return table_of(head, [[month.link, *_results_of(month.report)] for month in months])


def _results_of(report: dict[str, Any]) -> list[str]:
    """Return the cells of a month."""
    rates = {line["name"]: f"{line['hit_rate']:.3f}" for line in report["lines"]}
    [lead] = [trend["interval"] for trend in report["ahead_of_trends"] if trend["of"] == OPPONENT]
    delays = [event["detected_after_days"] for event in report["events"]]
    are_kept = [promise["is_kept"] for promise in report["promises"]]
    longest = "" if not delays else "never" if None in delays else f"{max(delays):.2f}"
    return [
        rates["served"],
        rates[OPPONENT],
        f"{lead['mean']:+.3f} ({lead['low']:+.3f} to {lead['high']:+.3f})",
        rates["first model, frozen"],
        rates["best in hindsight"],
        longest,
        str(len(report["false_alarms"])),
        str(report["traffic"]["n_ratings_lost"]),
        str(report["traffic"]["n_recommendations_lost"]),
        f"{sum(are_kept)} of {len(are_kept)}",
    ]


def agreement_table(months: Sequence[KeptMonth]) -> str:
    """Return the table of Pearson's correlations over versions between offline figures and the others."""
    head = ["ratings, scenario, seed", "versions (live, hindsight)", *(", ".join(measure) for measure in MEASURES)]
    return table_of(head, [[month.link, *_agreement_of(month.report)] for month in months])


def _agreement_of(report: dict[str, Any]) -> list[str]:
    """Return the cells of a month."""
    by_measure = {(row["measure"], row["against"]): row for row in report["agreement"]}
    rows = [by_measure[measure] for measure in MEASURES]
    numbers = ["" if row["pearson"] is None else f"{row['pearson']:.2f}" for row in rows]
    return [f"{rows[0]['n_versions']}, {rows[1]['n_versions']}", *numbers]


if __name__ == "__main__":
    of_folder = list(kept_months(Path(sys.argv[1])))
    print(f"{results_table(of_folder)}\n\n{agreement_table(of_folder)}")
