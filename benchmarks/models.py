"""Models beside Surprise and implicit, in one run: speed, rating errors and lists.

Writes ``docs/benchmarks/models.json`` and ``docs/benchmarks/models.md`` and prints the tables. With ``--only`` the
other comparisons keep their earlier figures; both sides of a comparison are always of one run.
"""

import argparse
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from rating_sets import RatingSet, rating_set
from report import earlier_parts, machine, now, write_report
from section import Section

RACES: Mapping[str, str] = {
    "svd": "svd_fit",
    "knn": "neighbours",
    "error": "lowest_error",
    "lists": "ranking",
    "ials": "ials_fit",
    "everybody": "everybody",
    "answer": "one_answer",
    "limit": "arithmetic",
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="ratings that `cineclub import` reads; ml-latest-small or the demo's")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds each figure is the mean of")
    parser.add_argument("--only", nargs="+", choices=RACES, default=list(RACES), help="which comparisons to run")
    options = parser.parse_args()
    ratings = rating_set(options.data)
    report = "models" if options.data is None else f"models-{ratings.name}"
    for name in options.only:
        section = race(name)(ratings, options.seeds)
        part = {"measured_at": now(), "figures": section.figures, "text": section.text}
        parts = earlier_parts(report, ratings.extent) | {name: part}
        table = "\n".join([f"{ratings.extent}.\n", *(parts[name]["text"] for name in RACES if name in parts)])
        write_report(report, {"machine": machine(), "ratings": ratings.extent, "parts": parts}, table, section.text)


def race(name: str) -> Callable[[RatingSet, int], Section]:
    """Return the function of a comparison, imported only on use."""
    run: Callable[[RatingSet, int], Section] = import_module(f"races.{RACES[name]}").run
    return run


if __name__ == "__main__":
    main()
