"""Seconds and memory of each model on generated ratings of the size of MovieLens 25M, each in its own process.

Writes ``docs/benchmarks/scale.json`` and ``docs/benchmarks/scale.md`` and prints the table.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ours
from cineclub.domain.errors import CineclubError
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.flows.evaluation import evaluate_ratings
from generated_ratings import FULL_RATINGS, Size, generate, generated_log
from report import earlier_parts, machine, now, write_report
from section import table_of, timed

GB = 1e9
N_WARM_RATINGS = 20_000
TEST_FRACTION = 0.1
PATIENCE = 3
"""After this many times its limit a case is stopped."""


@dataclass(frozen=True, slots=True)
class Case:
    """A measurement, with its limits in seconds and bytes."""

    label: str
    seconds_limit: float | None
    bytes_limit: float | None
    hyperparameters: Mapping[str, Any]


CASES: Mapping[str, Case] = {
    "svd": Case("svd, 64 factors, 20 epochs", 60, 3 * GB, {"n_factors": 64, "n_epochs": 20}),
    "knn": Case("knn", 300, 4 * GB, {}),
    "ials": Case("ials", 600, 4 * GB, {}),
    "bayesian_mf": Case("bayesian_mf", 600, 4 * GB, {}),
    "ease": Case("ease, sparse", None, None, {}),
    "slist": Case("slist, sparse", None, None, {}),
    "evaluate": Case("the whole evaluate", 1200, 8 * GB, {}),
}
STOPPED_AFTER = 1800.0
NOTE = (
    "{n_ratings:,} generated ratings of {n_users:,} users and {n_movies:,} films; the limits apply to {full:,}. Each "
    "row is a process of its own, with kernels compiled before. Memory is the peak of the process from the start of "
    "the fit. The ratings were allocated before the start and are part of the peak."
)


def main() -> None:
    """Measure every case in a child process, print and write; or run as such a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=FULL_RATINGS, help="how many ratings to generate")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="which cases to run")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options.case, options.ratings)))
        return
    generated_log(options.ratings)  # caches them for the children
    extent = f"{options.ratings:,} generated ratings"
    figures = earlier_parts("scale", extent)
    for name in options.only:
        figures[name] = child_figures(name, options.ratings) | {"measured_at": now()}
    size = Size.of(options.ratings)
    note = NOTE.format(n_ratings=size.n_ratings, n_users=size.n_users, n_movies=size.n_movies, full=FULL_RATINGS)
    head = ["", "seconds", "limit", "peak GB", "limit", "of which ratings", ""]
    table = table_of(head, [row_of(CASES[name], figures[name]) for name in CASES if name in figures], note)
    write_report("scale", {"machine": machine(), "ratings": extent, "parts": figures}, table)


def child_figures(name: str, n_ratings: int) -> dict[str, Any]:
    """Return the figures of a case from a child process, whose progress is shown."""
    command = [sys.executable, __file__, "--case", name, "--ratings", str(n_ratings)]
    limit = CASES[name].seconds_limit
    patience = max(PATIENCE * (limit or 0), STOPPED_AFTER)
    print(f"{name} ...", file=sys.stderr, flush=True)
    try:
        completed = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=patience, text=True)
    except subprocess.TimeoutExpired:
        return {"left_out": f"stopped after {patience:.0f} s"}
    if completed.returncode:
        return {"left_out": f"the process ended with {completed.returncode}"}
    figures: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    print(f"{name}: {figures}", file=sys.stderr, flush=True)
    return figures


def measured(name: str, n_ratings: int) -> dict[str, Any]:
    """Return the figures of a case run in this process."""
    work = evaluation if name == "evaluate" else model_fit
    work(name, generate(Size.of(N_WARM_RATINGS), 0).log())  # compiles
    log = generated_log(n_ratings)
    try:
        return work(name, log)
    except CineclubError as refusal:
        return {"left_out": str(refusal)}


def model_fit(name: str, log: RatingLog) -> dict[str, Any]:
    """Return the figures of one fit."""
    ratings = RatingMatrix.from_log(log)
    del log
    held = start_of_peak()
    seconds, _ = timed(lambda: ours.fit(name, CASES[name].hyperparameters, ratings, 0))
    return {"seconds": seconds, "peak_bytes": memory("VmHWM"), "ratings_bytes": held, "note": ""}


def evaluation(_name: str, log: RatingLog) -> dict[str, Any]:
    """Return the figures of the evaluation that ``cineclub evaluate`` plans for the size."""
    held = start_of_peak()
    seconds, evaluated = timed(lambda: evaluate_ratings(log, (), "time", TEST_FRACTION, 0, shown()))
    models = {candidate.recipe.model: candidate.primary for candidate in evaluated.scoreboard.candidates}
    reasons = [refused.reason for refused in evaluated.scoreboard.left_out]
    n_stopped = sum(reason.startswith("stopped early") for reason in reasons)
    left_out = [reason for reason in reasons if not reason.startswith("stopped early")]
    judged_models = [f"{model} {ndcg:.4f}" for model, ndcg in models.items()]
    note = ", ".join([*judged_models, f"{n_stopped} grid points stopped early", *left_out])
    return {"seconds": seconds, "peak_bytes": memory("VmHWM"), "ratings_bytes": held, "note": f"nDCG@10: {note}"}


def shown() -> Callable[[Recipe, float], None]:
    """Return a progress callback that names each model once."""
    last: list[str] = [""]

    def show(recipe: Recipe, fraction: float) -> None:
        if recipe.model != last[0]:
            last[0] = recipe.model
            print(f"  {100 * fraction:.0f} % {recipe.model}", file=sys.stderr, flush=True)

    return show


def start_of_peak() -> float:
    """Reset this process's peak memory, and return its present memory in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(field: str) -> float:
    """Return a memory figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(field))) * 1024


def row_of(case: Case, figures: dict[str, Any]) -> list[str]:
    """Return a line of the table."""
    limits = ["", ""]
    if case.seconds_limit and case.bytes_limit:
        limits = [f"{case.seconds_limit:.0f}", f"{case.bytes_limit / GB:.0f}"]
    if "left_out" in figures:
        return [case.label, "-", limits[0], "-", limits[1], "-", figures["left_out"]]
    sizes = [f"{figures[name] / GB:.2f}" for name in ("peak_bytes", "ratings_bytes")]
    return [case.label, f"{figures['seconds']:.1f}", limits[0], sizes[0], limits[1], sizes[1], figures["note"]]


if __name__ == "__main__":
    main()
