"""What measuring every request costs: the same service with and without the measurement, in turn, in the same run.

Five servers over one database: not measured; the same once more, which says how far two equal ones differ; measured;
and both with counts in files, as several processes have them. They are asked in short turns for the cheapest answers
there are, those that are remembered. A core that is always busy gives as many more answers as each takes less of it, so
the cost is told by processor time, which does not know what else the machine does.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the API process has it

import gc
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from load import fastest_rate, predict_request
from rating_sets import rating_set
from report import machine, write_report
from section import table_of
from service import CLIENT_CORE, PORT, SERVER_CORE, bring_in, database, promote

VARIANTS = {
    "without": ("not measured", "without"),
    "again": ("not measured, once more", "without"),
    "with": ("measured", "without"),
    "files-without": ("counts in files, not measured", "files-without"),
    "files-with": ("counts in files, measured", "files-without"),
}
"""What each is called, and which one it is compared with."""
N_TURNS = 60
TURN_SECONDS = 0.5
WARM_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
MEASURED = ("with", "files-with")
MOST = 0.05
"""What the measurement may cost of the throughput."""


def serve(variant: str, port: int) -> None:
    """Serve as the environment says, as a variant wants it."""
    import uvicorn  # noqa: PLC0415 - in the server's process alone

    from cineclub import bootstrap  # noqa: PLC0415
    from cineclub.api.__main__ import COLLECT_AFTER  # noqa: PLC0415
    from cineclub.api.app import create_app  # noqa: PLC0415
    from cineclub.settings import Settings  # noqa: PLC0415

    bootstrap.keep_memory_together()  # as the service begins
    gc.set_threshold(*COLLECT_AFTER)
    settings = Settings()
    processes = bootstrap.shared_metrics(settings, lambda: 1) if variant.startswith("files") else None
    app = create_app(bootstrap.api_parts(settings, processes))
    if variant not in MEASURED:
        for one in app.user_middleware:
            one.kwargs.pop("metrics", None)
    uvicorn.run(app, port=port, access_log=False, log_level="warning", server_header=False)


@contextmanager
def server(variant: str, port: int, url: str, home: Path) -> Iterator[int]:
    """Run a variant in a process of its own on one core, and give its process id once a model answers."""
    ours = {"CINECLUB_DATABASE_URL": url, "CINECLUB_HOME": str(home), "CINECLUB_OUTCOME_REFRESH_SECONDS": "3600"}
    process = subprocess.Popen([sys.executable, __file__, variant, str(port)], env={**os.environ, **ours})
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        wait_until_ready(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(port: int) -> None:
    """Return once a model answers.

    Raises:
        TimeoutError: none did within a minute.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
                if b'"version"' in answer.read():
                    return
        except OSError:
            time.sleep(0.05)
    message = f"nothing answers on port {port}"
    raise TimeoutError(message)


def processor_seconds(pid: int) -> float:
    """Return how long a process has used a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(pids: dict[str, int], ports: dict[str, int], requests: list[bytes]) -> dict[str, dict[str, float]]:
    """Return answers a second and processor time of an answer of each variant, all in turn."""
    rates: dict[str, list[float]] = {variant: [] for variant in pids}
    seconds = dict.fromkeys(pids, 0.0)
    for turn in range(N_TURNS):
        order = list(pids) if turn % 2 else list(reversed(pids))
        for variant in order:
            before = processor_seconds(pids[variant])
            rates[variant].append(fastest_rate(requests, TURN_SECONDS, ports[variant]))
            seconds[variant] += processor_seconds(pids[variant]) - before
    microseconds = {one: 1e6 * seconds[one] / (sum(rates[one]) * TURN_SECONDS) for one in pids}
    return {
        one: {
            "rate": statistics.median(rates[one]),
            "microseconds": microseconds[one],
            "throughput": microseconds[VARIANTS[one][1]] / microseconds[one],
        }
        for one in pids
    }


def main() -> None:
    """Measure, print and write."""
    os.sched_setaffinity(0, {CLIENT_CORE})
    ratings = rating_set(None)
    ports = {variant: PORT + nth for nth, variant in enumerate(VARIANTS)}
    with database() as (url, home), ExitStack() as stack:
        log = bring_in(url, ratings.log)
        promote(url, home / "models" / "bench", log, "ials")
        requests = [predict_request(str(number)) for number in range(1, log.n_users + 1)]
        pids = {variant: stack.enter_context(server(variant, ports[variant], url, home)) for variant in VARIANTS}
        for port in ports.values():
            fastest_rate(requests, WARM_SECONDS, port)
        figures = measured(pids, ports, requests)
    rows = [
        [title, f"{one['microseconds']:.0f}", f"{one['throughput']:.1%}", f"{one['rate']:,.0f}"]
        for (title, _), one in ((VARIANTS[variant], figures[variant]) for variant in VARIANTS)
    ]
    note = (
        f"{ratings.extent}; one process on one core, the client on the other, {N_TURNS} turns of {TURN_SECONDS} s; "
        "answers a second are the median turn, on a machine that did other things too. Throughput: the processor time "
        f"of an answer that is not measured by that of one that is. It may not fall by more than {MOST:.0%}."
    )
    head = ["requests", "µs of processor an answer", "throughput of the unmeasured", "answers a second"]
    write_report("middleware", {"machine": machine(), "figures": figures}, table_of(head, rows, note))
    sys.exit(any(1 - figures[variant]["throughput"] > MOST for variant in MEASURED))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        main()
