"""Memory of several API processes, and its growth over many requests.

Prints, for one, two and four workers, the seconds to the first response and the memory of parent and workers: RSS
counts a shared page in every process, PSS divides it among them, so that the sum of PSS is the memory in use. Then the
memory before and after many requests with hot reloads in between.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cineclub.adapters.model_store import write_artifact
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.domain.promotion.records import NewPromotion
from cineclub.domain.ratings.filtering import keep_core
from cineclub.domain.ratings.log import Movie, RatingLog, SnapshotIdentity
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.models import catalogue
from load import N_CONNECTIONS, predict_request, read_response
from rating_sets import rating_set
from report import RESULTS, machine, write_report
from section import table_of
from service import MIN_RATINGS, PORT, bring_in, database

MODELS = ("ease", "ials")
N_WORKERS = (1, 2, 4)
N_USERS = 610
N_STARTS = 3
N_RELOADS = 20
N_WARM = 2
"""After so many reloads for each worker, before those that count, everything has been loaded, replaced and used."""
MEBIBYTE_IN_KIB = 1024.0
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process, in MiB.

    Attributes:
        rss: all resident pages.
        pss: the same, with a page shared by n processes counted as 1/n.
        anonymous: the part of ``pss`` without a file: its own objects, and those shared with its parent.
        arrays: the part of ``pss`` in the model's mapped arrays.
    """

    rss: float
    pss: float
    anonymous: float
    arrays: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Return the present memory of a process."""
        total = Path(f"/proc/{pid}/smaps_rollup").read_text()
        parts = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text())
        arrays = sum(_mebibytes("Pss", part) for part in parts if ".npy" in part.partition("\n")[0])
        return cls(_mebibytes("Rss", total), _mebibytes("Pss", total), _mebibytes("Pss_Anon", total), arrays)


def _mebibytes(name: str, text: str) -> float:
    """Return a figure of the kernel in MiB."""
    match = re.search(rf"^{name}: +(\d+) kB", text, re.MULTILINE)
    return int(match[1]) / MEBIBYTE_IN_KIB if match else 0.0


@dataclass(frozen=True, slots=True)
class Api:
    """A running API: its parent process, if workers were forked from one, and those that answer."""

    process: "subprocess.Popen[bytes]"
    start_seconds: float
    pids: tuple[int, ...]

    @property
    def parent_pid(self) -> int | None:
        """The parent process, which serves no requests."""
        return None if self.process.pid in self.pids else self.process.pid


@contextmanager
def api(url: str, home: Path, n_workers: int) -> Iterator[Api]:
    """Run the API, with a model loaded."""
    ours = {
        "CINECLUB_DATABASE_URL": url,
        "CINECLUB_HOME": str(home),
        "CINECLUB_PORT": str(PORT),
        "CINECLUB_WORKERS": str(n_workers),
        "CINECLUB_MODEL_POLL_SECONDS": "0.1",
    }
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "cineclub.processes.api"], env={**os.environ, **ours})
    try:
        until(is_ready)
        seconds = time.perf_counter() - begun
        folder = home / "metrics" / f"127.0.0.1-{PORT}"
        workers = tuple(int(file.read_text()) for file in folder.glob("*.pid")) if n_workers > 1 else (process.pid,)
        yield Api(process, seconds, workers)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def is_ready() -> bool:
    """Return whether the API responds."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=5):
            return True
    except OSError:
        return False


def until(is_so: Any) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def new_version(folder: Path, log: RatingLog, model: str, version: int) -> NewPromotion:
    """Return the record of a version fitted with its own seed."""
    recipe = catalogue.default_recipe(model)
    varied = Recipe(model, {**recipe.hyperparameters, "regularization": float(8 * version)})
    fitted = catalogue.fit(varied, RatingMatrix.from_log(log), np.random.default_rng(version), lambda _: None)
    movies = [
        Movie(int(movie_id), str(movie_id), f"Film {movie_id}", 1999, ("Drama", "Comedy"))
        for movie_id in fitted.movie_ids
    ]
    sha256 = write_artifact(folder, fitted, movies, SnapshotIdentity(len(log), None, "0" * 64))
    return NewPromotion(version, "PROMOTE", "benchmark", "person", None, fitted.recipe, sha256, str(folder))


async def ask(n_requests: int) -> None:
    """Send requests for known and new users in turn, over persistent connections."""
    requests = [predict_request(str(number)) for number in range(1, N_USERS + 1)]
    requests += [predict_request(f"new-{number}") for number in range(N_USERS)]

    async def one_connection(offset: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        for number in range(offset, n_requests, N_CONNECTIONS):
            writer.write(requests[number % len(requests)])
            await read_response(reader)
        writer.close()

    await asyncio.gather(*(one_connection(offset) for offset in range(N_CONNECTIONS)))


def figures_of(url: str, home: Path, n_workers: int) -> dict[str, float]:
    """Return the memory of a number of workers after requests for all users."""
    starts = []
    for _ in range(N_STARTS - 1):
        with api(url, home, n_workers) as running:
            starts.append(running.start_seconds)
    with api(url, home, n_workers) as running:
        for _ in range(2):
            asyncio.run(ask(2 * N_USERS * n_workers))
        workers = [Memory.of(pid) for pid in running.pids]
        parent = Memory.of(running.parent_pid) if running.parent_pid else Memory(0, 0, 0, 0)
        return {
            "start_seconds": min(*starts, running.start_seconds),
            "parent_rss": parent.rss,
            "parent_pss": parent.pss,
            "worker_rss": float(np.mean([worker.rss for worker in workers])),
            "worker_pss": float(np.mean([worker.pss for worker in workers])),
            "arrays": sum(worker.arrays for worker in workers),
            "total_pss": parent.pss + sum(worker.pss for worker in workers),
        }


def growth_of(url: str, home: Path, versions: list[NewPromotion], n_workers: int, n_requests: int) -> dict[str, Any]:
    """Return the memory of warm workers, then after each hot reload with its requests."""
    history = PostgresPromotions(url)
    taken = []
    n_warm = N_WARM * n_workers
    with api(url, home, n_workers) as running:
        for nth in range(1, n_warm + N_RELOADS + 1):
            version = versions[nth % 2]
            history.record(version)
            until(lambda wanted=version.version: all(serves(pid, wanted, versions) for pid in running.pids))
            asyncio.run(ask(n_requests // N_RELOADS))
            workers = [Memory.of(pid) for pid in running.pids]
            taken.append((sum(worker.rss for worker in workers), sum(worker.anonymous for worker in workers)))
    rss, anonymous = (list(column[n_warm - 1 :]) for column in zip(*taken, strict=True))
    return {
        "n_requests": n_requests,
        "rss": rss,
        "anonymous": anonymous,
        "growth": rss[-1] / rss[0] - 1,
        "anonymous_growth": anonymous[-1] / anonymous[0] - 1,
    }


def serves(pid: int, version: int, versions: list[NewPromotion]) -> bool:
    """Return whether a process maps the arrays of this version alone."""
    mapped = Path(f"/proc/{pid}/maps").read_text()
    return all(
        (f"{version_here.artifact_folder}/" in mapped) == (version_here.version == version) for version_here in versions
    )


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=200_000, help="0: keep what was measured before")
    options = arguments.parse_args()
    memory: dict[str, dict[int, dict[str, float]]] = {}
    growth: dict[str, dict[str, Any]] = {}
    if not options.requests:
        growth = json.loads((RESULTS / "memory.json").read_text())["growth"]
    for model in MODELS:
        with database() as (url, home):
            log, _ = keep_core(bring_in(url, rating_set(None).log), MIN_RATINGS, MIN_RATINGS)
            versions = [new_version(home / "models" / f"bench-{number}", log, model, number) for number in (1, 2)]
            PostgresPromotions(url).record(versions[0])
            memory[model] = {n_workers: figures_of(url, home, n_workers) for n_workers in N_WORKERS}
            if options.requests:
                n_workers = 1 if model == MODELS[0] else 2
                growth[f"{model}, {n_workers} worker{'s'[: n_workers - 1]}"] = growth_of(
                    url, home, versions, n_workers, options.requests
                )
    write_report("memory", {"machine": machine(), "workers": memory, "growth": growth}, text_of(memory, growth))


def text_of(memory: dict[str, dict[int, dict[str, float]]], growth: dict[str, dict[str, Any]]) -> str:
    """Return both tables."""
    head = [
        "model, processes",
        "start s",
        "parent RSS",
        "PSS",
        "process RSS",
        "PSS",
        "arrays",
        "all PSS",
        "one more process",
    ]
    rows = [_row(model, n_workers, by_workers) for model, by_workers in memory.items() for n_workers in N_WORKERS]
    note = (
        "Memory is in MiB, on ml-latest-small, or on the demo's ratings if it is absent. *start s*: seconds to the "
        "first response, the best of 3. *PSS* counts a page shared by n processes as 1/n. *arrays*: the mapped arrays "
        "in the PSS of all API processes together, which is constant. *one more process*: the additional memory of "
        "each further process; the step to two includes the parent."
    )
    grown = [
        [
            case,
            f"{figures['n_requests']:,}",
            f"{figures['rss'][0]:.1f}",
            f"{figures['rss'][-1]:.1f}",
            f"{figures['growth']:+.1%}",
            f"{figures['anonymous'][0]:.1f}",
            f"{figures['anonymous'][-1]:.1f}",
        ]
        for case, figures in growth.items()
    ]
    grown_head = [
        f"{N_RELOADS} hot reloads",
        "requests",
        "RSS warm",
        "RSS at the end",
        "growth",
        "own warm",
        "own at the end",
    ]
    grown_note = (
        f"Memory is in MiB. Two versions are loaded alternately. *warm*: after {N_WARM} reloads per process. *own*: "
        "memory that is not mapped from a file."
    )
    return "\n\n".join([table_of(head, rows, note), table_of(grown_head, grown, grown_note)])


def _row(model: str, n_workers: int, by_workers: dict[int, dict[str, float]]) -> list[str]:
    """Return one row of the first table."""
    figures = by_workers[n_workers]
    fewer = max((number for number in N_WORKERS if number < n_workers), default=0)
    further = (figures["total_pss"] - by_workers[fewer]["total_pss"]) / (n_workers - fewer) if fewer else None
    names = ("parent_rss", "parent_pss", "worker_rss", "worker_pss", "arrays", "total_pss")
    return [
        f"{model}, {n_workers}",
        f"{figures['start_seconds']:.2f}",
        *(f"{figures[name]:.0f}" for name in names),
        "" if further is None else f"{further:.0f}",
    ]


if __name__ == "__main__":
    main()
