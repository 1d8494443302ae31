"""Cost of the request metrics: the same service with and without them, in turn, in one run.

Five servers over one database: without metrics; the same again, to show the difference of two equal servers; with
metrics; and both with counts in files, as several processes have them. They get short turns of requests for the
cheapest responses, those from the cache. The cost is stated in processor time, which does not depend on the load of the
machine.
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
    "again": ("not measured, repeated", "without"),
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
    """Serve with the settings of the environment, as a variant."""
    import uvicorn  # noqa: PLC0415 - in the server's process alone

    from cineclub.api.app import create_app  # noqa: PLC0415
    from cineclub.bootstrap.serving import api_parts, shared_metrics  # noqa: PLC0415
    from cineclub.processes.api import COLLECT_AFTER  # noqa: PLC0415
    from cineclub.runtime.allocator import keep_one_arena  # noqa: PLC0415
    from cineclub.settings import Settings  # noqa: PLC0415

    keep_one_arena()  # as the service begins
    gc.set_threshold(*COLLECT_AFTER)
    settings = Settings()
    processes = shared_metrics(settings, lambda: 1) if variant.startswith("files") else None
    app = create_app(api_parts(settings, processes))
    if variant not in MEASURED:
        for middleware in app.user_middleware:
            middleware.kwargs.pop("metrics", None)
    uvicorn.run(app, port=port, access_log=False, log_level="warning", server_header=False)


@contextmanager
def server(variant: str, port: int, url: str, home: Path) -> Iterator[int]:
    """Run a variant in a process on one core, and yield its process id once a model is loaded."""
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
    """Return once a model is loaded.

    Raises:
        TimeoutError: none is loaded within a minute.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as response:
                if b'"version"' in response.read():
                    return
        except OSError:
            time.sleep(0.05)
    message = f"nothing answers on port {port}"
    raise TimeoutError(message)


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(pids: dict[str, int], ports: dict[str, int], requests: list[bytes]) -> dict[str, dict[str, float]]:
    """Return responses a second and processor time per response of each variant, measured in turn."""
    rates: dict[str, list[float]] = {variant: [] for variant in pids}
    seconds = dict.fromkeys(pids, 0.0)
    for turn in range(N_TURNS):
        order = list(pids) if turn % 2 else list(reversed(pids))
        for variant in order:
            before = processor_seconds(pids[variant])
            rates[variant].append(fastest_rate(requests, TURN_SECONDS, ports[variant]))
            seconds[variant] += processor_seconds(pids[variant]) - before
    microseconds = {pid: 1e6 * seconds[pid] / (sum(rates[pid]) * TURN_SECONDS) for pid in pids}
    return {
        pid: {
            "rate": statistics.median(rates[pid]),
            "microseconds": microseconds[pid],
            "throughput": microseconds[VARIANTS[pid][1]] / microseconds[pid],
        }
        for pid in pids
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
        [title, f"{figure['microseconds']:.0f}", f"{figure['throughput']:.1%}", f"{figure['rate']:,.0f}"]
        for (title, _), figure in ((VARIANTS[variant], figures[variant]) for variant in VARIANTS)
    ]
    note = (
        f"{ratings.extent}. One process runs on one core and the client on the other, for {N_TURNS} turns of "
        f"{TURN_SECONDS} s. Responses per second are the median turn, on a machine with other load. The share of the "
        "throughput is the processor time of a response without measurement, divided by that with measurement. The "
        f"throughput must not fall by more than {MOST:.0%}."
    )
    head = [
        "requests",
        "processor µs per response",
        "share of the throughput without measurement",
        "responses per second",
    ]
    write_report("middleware", {"machine": machine(), "figures": figures}, table_of(head, rows, note))
    sys.exit(any(1 - figures[variant]["throughput"] > MOST for variant in MEASURED))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        main()
