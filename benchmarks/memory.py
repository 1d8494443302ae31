"""What several API processes take together, and whether one that serves for long grows.

Prints, for one, two and four workers, the seconds to the first answer and the memory of parent and workers: RSS counts
a page in every process that has it, PSS shares it out, so that the sum of PSS is what the machine gives. Then the
memory before and after many requests with a hot reload now and then.
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

from cineclub.adapters.artifacts import write_artifact
from cineclub.adapters.postgres.promotions import PromotionHistory
from cineclub.domain.filtering import keep_core
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import Movie, RatingLog, SnapshotIdentity
from cineclub.domain.recipe import Recipe
from cineclub.models import catalogue
from cineclub.ports import NewPromotion
from load import N_CONNECTIONS, predict_request, read_answer
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
    """What one process takes, in MiB.

    Attributes:
        rss: all of its pages in memory.
        pss: the same, a page that n processes have counted as an nth.
        anonymous: the part of ``pss`` that belongs to no file: its own objects, and those it shares with its parent.
        arrays: the part of ``pss`` that is the model's mapped arrays.
    """

    rss: float
    pss: float
    anonymous: float
    arrays: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Return what a process takes now."""
        total = Path(f"/proc/{pid}/smaps_rollup").read_text()
        parts = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text())
        arrays = sum(_mebibytes("Pss", part) for part in parts if ".npy" in part.partition("\n")[0])
        return cls(_mebibytes("Rss", total), _mebibytes("Pss", total), _mebibytes("Pss_Anon", total), arrays)


def _mebibytes(name: str, text: str) -> float:
    """Return a figure of the kernel's."""
    found = re.search(rf"^{name}: +(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / MEBIBYTE_IN_KIB if found else 0.0


@dataclass(frozen=True, slots=True)
class Api:
    """A running API: its parent process, if workers were forked from one, and those that answer."""

    process: "subprocess.Popen[bytes]"
    start_seconds: float
    pids: tuple[int, ...]

    @property
    def parent_pid(self) -> int | None:
        """The process that answers nothing."""
        return None if self.process.pid in self.pids else self.process.pid


@contextmanager
def api(url: str, home: Path, n_workers: int) -> Iterator[Api]:
    """Run the API; it has answered from a model."""
    ours = {
        "CINECLUB_DATABASE_URL": url,
        "CINECLUB_HOME": str(home),
        "CINECLUB_PORT": str(PORT),
        "CINECLUB_WORKERS": str(n_workers),
        "CINECLUB_MODEL_POLL_SECONDS": "0.1",
    }
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "cineclub.api"], env={**os.environ, **ours})
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
    """Say whether an answer can be had."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=5):
            return True
    except OSError:
        return False


def until(is_so: Any) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def new_version(folder: Path, log: RatingLog, model: str, version: int) -> NewPromotion:
    """Return what announces a version that was fitted with a seed of its own."""
    recipe = catalogue.default_recipe(model)
    varied = Recipe(model, {**recipe.hyperparameters, "regularization": float(8 * version)})
    fitted = catalogue.fit(varied, RatingMatrix.from_log(log), np.random.default_rng(version), lambda _: None)
    movies = [Movie(int(one), str(one), f"Film {one}", 1999, ("Drama", "Comedy")) for one in fitted.movie_ids]
    sha256 = write_artifact(folder, fitted, movies, SnapshotIdentity(len(log), None, "0" * 64))
    return NewPromotion(version, "PROMOTE", "benchmark", "person", None, fitted.recipe, sha256, str(folder))


async def ask(n_requests: int) -> None:
    """Ask for known and for new users in turn, over connections that stay open."""
    requests = [predict_request(str(number)) for number in range(1, N_USERS + 1)]
    requests += [predict_request(f"new-{number}") for number in range(N_USERS)]

    async def one_connection(offset: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        for number in range(offset, n_requests, N_CONNECTIONS):
            writer.write(requests[number % len(requests)])
            await read_answer(reader)
        writer.close()

    await asyncio.gather(*(one_connection(offset) for offset in range(N_CONNECTIONS)))


def figures_of(url: str, home: Path, n_workers: int) -> dict[str, float]:
    """Return what so many workers take after each has answered for all users."""
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
            "worker_rss": float(np.mean([one.rss for one in workers])),
            "worker_pss": float(np.mean([one.pss for one in workers])),
            "arrays": sum(one.arrays for one in workers),
            "total_pss": parent.pss + sum(one.pss for one in workers),
        }


def growth_of(url: str, home: Path, versions: list[NewPromotion], n_workers: int, n_requests: int) -> dict[str, Any]:
    """Return what the workers took when warm, and then after each hot reload and its share of the requests."""
    history = PromotionHistory(url)
    taken = []
    n_warm = N_WARM * n_workers
    with api(url, home, n_workers) as running:
        for nth in range(1, n_warm + N_RELOADS + 1):
            version = versions[nth % 2]
            history.record(version)
            until(lambda wanted=version.version: all(serves(pid, wanted, versions) for pid in running.pids))
            asyncio.run(ask(n_requests // N_RELOADS))
            workers = [Memory.of(pid) for pid in running.pids]
            taken.append((sum(one.rss for one in workers), sum(one.anonymous for one in workers)))
    rss, anonymous = (list(column[n_warm - 1 :]) for column in zip(*taken, strict=True))
    return {
        "n_requests": n_requests,
        "rss": rss,
        "anonymous": anonymous,
        "growth": rss[-1] / rss[0] - 1,
        "anonymous_growth": anonymous[-1] / anonymous[0] - 1,
    }


def serves(pid: int, version: int, versions: list[NewPromotion]) -> bool:
    """Say whether a process has this version's arrays mapped, and none of the others'."""
    mapped = Path(f"/proc/{pid}/maps").read_text()
    return all((f"{one.artifact_folder}/" in mapped) == (one.version == version) for one in versions)


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
            versions = [new_version(home / "models" / f"bench-{one}", log, model, one) for one in (1, 2)]
            PromotionHistory(url).record(versions[0])
            memory[model] = {n_workers: figures_of(url, home, n_workers) for n_workers in N_WORKERS}
            if options.requests:
                n_workers = 1 if model == MODELS[0] else 2
                growth[f"{model}, {n_workers} worker{'s'[: n_workers - 1]}"] = growth_of(
                    url, home, versions, n_workers, options.requests
                )
    write_report("memory", {"machine": machine(), "workers": memory, "growth": growth}, text_of(memory, growth))


def text_of(memory: dict[str, dict[int, dict[str, float]]], growth: dict[str, dict[str, Any]]) -> str:
    """Return both tables."""
    head = ["model, workers", "start s", "parent RSS", "PSS", "worker RSS", "PSS", "arrays", "all PSS", "each further"]
    rows = [_row(model, n_workers, found) for model, found in memory.items() for n_workers in N_WORKERS]
    note = (
        "MiB, on ml-latest-small, or the demo's ratings without it. Start: to the first answer, the best of 3. PSS "
        "counts a page that n processes have as an nth; arrays: the mapped arrays in the PSS of all workers "
        "together, which stay the same; each further: what one more worker takes, the step to two with the parent."
    )
    grown = [
        [
            case,
            f"{one['n_requests']:,}",
            f"{one['rss'][0]:.1f}",
            f"{one['rss'][-1]:.1f}",
            f"{one['growth']:+.1%}",
            f"{one['anonymous'][0]:.1f}",
            f"{one['anonymous'][-1]:.1f}",
        ]
        for case, one in growth.items()
    ]
    grown_head = [f"{N_RELOADS} hot reloads", "requests", "RSS warm", "at the end", "growth", "own", "own"]
    grown_note = (
        f"MiB. Two versions in turn; warm: after {N_WARM} reloads for each worker before; own: what belongs to no file."
    )
    return "\n\n".join([table_of(head, rows, note), table_of(grown_head, grown, grown_note)])


def _row(model: str, n_workers: int, found: dict[int, dict[str, float]]) -> list[str]:
    """Return one row of the first table."""
    one = found[n_workers]
    fewer = max((number for number in N_WORKERS if number < n_workers), default=0)
    further = (one["total_pss"] - found[fewer]["total_pss"]) / (n_workers - fewer) if fewer else None
    names = ("parent_rss", "parent_pss", "worker_rss", "worker_pss", "arrays", "total_pss")
    return [
        f"{model}, {n_workers}",
        f"{one['start_seconds']:.2f}",
        *(f"{one[name]:.0f}" for name in names),
        "" if further is None else f"{further:.0f}",
    ]


if __name__ == "__main__":
    main()
