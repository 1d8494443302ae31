"""Speed of the API beside the same server with a constant body of the same size, in one run.

Three parts: the rate of one process on one core, with the client on the other; latencies during a training on the same
cores; and latencies with 59,000 films and 25 million ratings.
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the API process has it; fits use threads of their own

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from generated_ratings import FULL_RATINGS, generated_log
from load import Latencies, body_of, fastest_rate, latencies_at, predict_request
from parts_of_an_answer import parts_of_an_answer
from rating_sets import rating_set
from report import earlier_parts, machine, now, write_report
from section import Section, table_of
from service import CLIENT_CORE, PORT, api, bring_in, database, json_at, promote, running

MODEL = "ials"
"""What a training on these ratings promotes."""

LOAD = 0.7
SECONDS = 5.0
N_TIMES = 3
STEADY_SECONDS = 20.0
AFTER_START_SECONDS = 7.0
"""By then histories are kept, and outcomes were counted for the first time."""

TRAINING_RATE, LARGE_RATE = 50.0, 100.0
PATIENCE_SECONDS = 300.0
ROOT = Path(__file__).parent
CINECLUB = str(Path(sys.executable).with_name("cineclub"))


def speed(options: argparse.Namespace) -> Section:
    """Return requests a second, and latencies at 70 % of that rate, beside the constant."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    ratings = rating_set(options.data)
    with database() as (url, home):
        log = bring_in(url, ratings.log)
        n_movies = promote(url, home / "models" / "bench", log, options.model)
        users = [str(number) for number in range(1, log.n_users + 1)]
        known = [predict_request(user) for user in users]
        # the number of films changes between requests of a user, so that no response is cached
        turning = known + [predict_request(user, 11) for user in users]
        new = [predict_request(f"new-{number}") for number in range(50_000)]
        cases = {}
        with api(url, home, {"CINECLUB_HISTORY_CACHE": "false"}):
            time.sleep(AFTER_START_SECONDS)
            cases["known users, history from PostgreSQL each time"] = figures_of(known)
            cases["the same, without cached lists"] = figures_of(turning)
        with api(url, home) as start_seconds:
            n_bytes = len(body_of(known[41]))
            time.sleep(AFTER_START_SECONDS)
            cases["known users, history from memory"] = figures_of(known)
            cases["history from memory, without cached lists"] = figures_of(turning)
            cases["new users"] = figures_of(new)
        constant = [sys.executable, str(ROOT / "constant_server.py"), str(PORT), str(n_bytes)]
        with running(constant, "/openapi.json"):
            cases["the constant"] = figures_of(known)
        costs = parts_of_an_answer(url, home, users[:300])
    return Section(
        "One process on one core",
        {"model": options.model, "start_seconds": start_seconds, "n_bytes": n_bytes, "cases": cases, "parts": costs},
        "\n\n".join(
            [
                f"{ratings.extent}; {options.model} of {n_movies:,} films; ready after {start_seconds:.2f} s.",
                speed_table(cases, n_bytes),
                table_of(
                    ["part of a response", "µs"],
                    [[part, f"{microseconds:,.0f}"] for part, microseconds in costs.items()],
                    "Processor time within one process, without the network. The rest of a response without a cached "
                    "list is the framework, checks, metrics, the log, and cold processor caches between two responses.",
                ),
            ]
        ),
    )


def figures_of(requests: Sequence[bytes]) -> dict[str, float]:
    """Return the highest rate, and the latencies at 70 % of it: the median of three runs."""
    fastest_rate(requests, 1.0)  # warm
    rate = fastest_rate(requests, SECONDS)
    tried = [latencies_at(requests, SECONDS, LOAD * rate) for _ in range(N_TIMES)]
    latencies = sorted(tried, key=lambda attempt: attempt.p99)[N_TIMES // 2]
    return {"rate": rate, "p50_ms": latencies.p50, "p99_ms": latencies.p99}


def speed_table(cases: dict[str, dict[str, float]], n_bytes: int) -> str:
    """Return the table of rates and latencies."""
    constant = cases["the constant"]
    rows = [
        [
            case,
            f"{figures['rate']:,.0f}",
            f"{figures['rate'] / constant['rate']:.0%}",
            f"{figures['p50_ms']:.1f}",
            f"{figures['p99_ms']:.1f}",
            f"{figures['p99_ms'] / constant['p99_ms']:.1f}",
        ]
        for case, figures in cases.items()
    ]
    head = ["requests", "per second", "share of the constant", "p50 ms", "p99 ms at 70 %", "p99 / constant"]
    note = (
        "Every user requests ten films repeatedly, and the list comes from the cache while nothing changes. *Without "
        "cached lists*: requests for ten and for eleven films alternate, so that no list is cached. *The constant*: "
        f"the same server and framework return the same {n_bytes:,} bytes each time."
    )
    return table_of(head, rows, note)


def beside_a_training(options: argparse.Namespace) -> Section:
    """Return the latencies at 50 requests a second, idle and during a training on the same cores."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    ratings = rating_set(options.data)
    with database() as (url, home):
        log = bring_in(url, ratings.log)
        promote(url, home / "models" / "bench", log, options.model)
        requests = [predict_request(str(number), top_n) for top_n in (10, 11) for number in range(1, log.n_users + 1)]
        ours = {"CINECLUB_DATABASE_URL": url, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(PORT)}
        with running([CINECLUB, "serve"], "/ready", ours, core=None):
            latencies_at(requests, 5.0, TRAINING_RATE)
            idle = latencies_at(requests, STEADY_SECONDS, TRAINING_RATE)
            train()  # compiles the kernels if needed
            busy = while_training(requests)
            at_rest = latencies_at(requests, STEADY_SECONDS, TRAINING_RATE)
    cases = {"before": idle, "during a training": busy, "afterwards": at_rest}
    return Section(
        f"During a training ({TRAINING_RATE:.0f} requests per second)",
        {case: {"p50_ms": latencies.p50, "p99_ms": latencies.p99} for case, latencies in cases.items()},
        table_of(
            ["responses", "p50 ms", "p99 ms", "p99 / before"],
            [
                [case, f"{latencies.p50:.1f}", f"{latencies.p99:.1f}", f"{latencies.p99 / idle.p99:.1f}"]
                for case, latencies in cases.items()
            ],
            f"{ratings.extent}; `cineclub serve` with its worker, PostgreSQL and the client on the same cores.",
        ),
    )


def while_training(requests: Sequence[bytes]) -> Latencies:
    """Start a training and return the latencies until it ends."""
    training_id = start_training()
    measured: list[Latencies] = []
    while status_of(training_id) in ("queued", "running"):
        measured.append(latencies_at(requests, 5.0, TRAINING_RATE))
    return max(measured, key=lambda latencies: latencies.p99)


def train() -> None:
    """Run a whole training."""
    training_id, deadline = start_training(), time.monotonic() + PATIENCE_SECONDS
    while status_of(training_id) in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.2)


def start_training() -> str:
    """Request a training and return its id."""
    training = json_at("/training/", {})
    if not isinstance(training, dict):
        message = "the service did not take the training"
        raise TypeError(message)
    return str(training["training_id"])


def status_of(training_id: str) -> str:
    """Return the status of a training."""
    training = json_at(f"/training/{training_id}")
    return str(training["status"]) if isinstance(training, dict) else "unknown"


def large(options: argparse.Namespace) -> Section:
    """Return the latencies with as many films and ratings as MovieLens 25M."""
    log = generated_log(options.ratings)
    with database() as (url, home):
        log = bring_in(url, log)
        n_movies = promote(url, home / "models" / "bench", log, options.model)
        step = max(1, log.n_users // 5000)
        requests = [predict_request(str(number)) for number in range(1, log.n_users + 1, step)]
        os.sched_setaffinity(0, {CLIENT_CORE})
        with api(url, home, {"CINECLUB_HISTORY_CACHE": "false"}) as start_seconds:
            latencies_at(requests, 15.0, LARGE_RATE)  # warm, and past the first count of outcomes
            latencies = latencies_at(requests, STEADY_SECONDS, LARGE_RATE)
    return Section(
        f"{log.n_movies:,} films, {len(log):,} ratings ({LARGE_RATE:.0f} requests per second)",
        {"p50_ms": latencies.p50, "p99_ms": latencies.p99, "n_movies": n_movies, "start_seconds": start_seconds},
        table_of(
            ["responses", "p50 ms", "p99 ms"],
            [[f"{options.model} of {n_movies:,} films", f"{latencies.p50:.1f}", f"{latencies.p99:.1f}"]],
            f"Generated ratings; histories read from PostgreSQL each time; ready after {start_seconds:.1f} s.",
        ),
    )


PARTS: dict[str, Callable[[argparse.Namespace], Section]] = {
    "speed": speed,
    "training": beside_a_training,
    "large": large,
}


def main() -> None:
    """Measure, print and write; unselected parts keep their earlier figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--model", default=MODEL)
    arguments.add_argument("--data", type=Path, help="ratings that cineclub import reads")
    arguments.add_argument("--ratings", type=int, default=FULL_RATINGS, help="of the large part")
    arguments.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = arguments.parse_args()
    extent = rating_set(options.data).extent
    parts = earlier_parts("serving", extent)
    for name in options.only:
        section = PARTS[name](options)
        parts[name] = {"measured_at": now(), "figures": section.figures, "text": section.text}
        print(section.text, flush=True)
    texts = [parts[name]["text"] for name in PARTS if name in parts]
    write_report("serving", {"machine": machine(), "ratings": extent, "parts": parts}, "\n".join(texts), "written")


if __name__ == "__main__":
    main()
