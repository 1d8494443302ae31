"""The main use from end to end, through real processes and HTTP."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
OLD_USER = 1
TOP_N = 10
START_SECONDS = 60.0
TRAINING_SECONDS = 240.0
STOP_SECONDS = 30.0
BOXES = [
    "load_ratings",
    "filter_users_and_movies",
    "evaluate_models",
    "grid_search_svd",
    "compare_with_production",
    "register_model",
    "promote_if_better",
]


@dataclass
class Service:
    """A running `cineclub serve` with its own home and port."""

    home: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and JSON of one request."""
        response = httpx.request(method, f"http://127.0.0.1:{self.port}{path}", json=body, timeout=30)
        return response.status_code, response.json()

    def recommended(self, user_id: int | str) -> dict[str, Any]:
        """Return the response for a user."""
        status, body = self.call("POST", "/predict/", {"user_id": user_id, "top_n": TOP_N})
        assert status == 200
        assert len(body["recommendations"]) == TOP_N
        return body


def environment_of(home: Path, port: int) -> dict[str, str]:
    """Return a clean environment with its own home and port."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
    return {**ours, "CINECLUB_HOME": str(home), "CINECLUB_PORT": str(port), "CINECLUB_MODEL_POLL_SECONDS": "0.2"}


def cineclub(home: Path, port: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    command = [CINECLUB, *arguments]
    return subprocess.run(command, env=environment_of(home, port), capture_output=True, text=True, check=False)


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def start(home: Path, port: int) -> Service:
    """Start the service and wait until it responds."""
    service = Service(home, port, subprocess.Popen([CINECLUB, "serve"], env=environment_of(home, port)))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            if service.call("GET", "/health")[0] == 200:
                return service
        except httpx.TransportError:
            time.sleep(0.1)
    service.process.kill()
    pytest.fail("cineclub serve did not answer")


def stop(service: Service) -> None:
    """Stop the service as Ctrl-C does, and check its exit status."""
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(STOP_SECONDS) == 0
    assert processes_of(service.home) == []


def processes_of(home: Path) -> list[str]:
    """Return the command lines of processes of a home, found by environment, arguments or folder."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            texts = [(process / name).read_bytes().decode(errors="replace") for name in ("environ", "cmdline")]
            texts.append(str((process / "cwd").readlink()))
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(str(home) in text for text in texts):
            commands.append(texts[1].replace("\0", " "))
    return commands


@pytest.fixture
def filled_home(home: Path, ml_small: Path) -> Path:
    """A home whose embedded PostgreSQL holds ml-latest-small."""
    shown = cineclub(home, free_port(), "import", str(ml_small))
    assert shown.returncode == 0, shown.stderr
    return home


@pytest.fixture
def service(filled_home: Path) -> Iterator[Service]:
    """The service over that home."""
    running = start(filled_home, free_port())
    yield running
    stop(running)


def follow(service: Service, training_id: str) -> tuple[dict[str, Any], list[str]]:
    """Return a finished training and its observed steps."""
    steps: list[str] = []
    deadline = time.monotonic() + TRAINING_SECONDS
    while time.monotonic() < deadline:
        status, training = service.call("GET", f"/training/{training_id}")
        assert status == 200
        step = (training["progress"] or {}).get("step")
        if step and step not in steps:
            steps.append(step)
        if training["status"] in {"succeeded", "failed", "cancelled"}:
            return training, steps
        time.sleep(0.05)
    pytest.fail(f"the training did not end; it was seen in {steps}")


def ids_of(body: dict[str, Any]) -> list[int]:
    """Return the ids of the recommended films."""
    return [recommendation["movie_id"] for recommendation in body["recommendations"]]


@pytest.mark.timeout(600)  # a whole training of all models in processes of their own
def test_ratings_become_a_promoted_model_that_serves_old_new_and_half_known_users(
    service: Service, ml_small: Path
) -> None:
    """Import, train over HTTP, predict for all kinds of users, rate three films, and see the list change."""
    assert service.recommended(OLD_USER)["strategy"] == "popular"

    status, training = service.call("POST", "/training/", {"reason": "the first"})
    assert status == 202
    training_id = training["training_id"]
    status, refusal = service.call("POST", "/training/", {})
    assert status == 409
    assert refusal["error"]["training_id"] == training_id

    training, steps = follow(service, training_id)
    assert training["status"] == "succeeded", training["error"]
    assert steps == [box for box in BOXES if box in steps]
    assert {"evaluate_models", "grid_search_svd"} <= set(steps)
    assert training["report"]["decision"]["verdict"] == "PROMOTE"
    wait_for_model(service)

    check_old_user(service)
    check_new_user_who_rates(service)
    check_half_known_user(service, movies_rated_once(ml_small / "ratings.csv"))


def wait_for_model(service: Service) -> None:
    """Wait until the promoted version is served, without a restart."""
    deadline = time.monotonic() + 10
    while service.call("GET", "/ready")[1]["model"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_old_user(service: Service) -> None:
    """A user with many ratings is served by the model, with reasons and the id in its form."""
    body = service.recommended(OLD_USER)
    assert body["strategy"] == "model"
    assert body["user_id"] == OLD_USER
    assert body["degraded"] is False
    assert service.recommended(str(OLD_USER))["user_id"] == str(OLD_USER)
    assert [recommendation["rank"] for recommendation in body["recommendations"]] == list(range(1, TOP_N + 1))
    assert any(recommendation["reasons"] for recommendation in body["recommendations"])


def check_new_user_who_rates(service: Service) -> None:
    """A new user gets popular films, and after three ratings a personal list without those films."""
    before = service.recommended("somebody-new")
    assert before["strategy"] == "popular"
    rated = ids_of(before)[:3]
    rate(service, "somebody-new", rated)
    after = service.recommended("somebody-new")
    assert after["strategy"] == "model"
    assert not set(rated) & set(ids_of(after))
    assert ids_of(after) != ids_of(before)


def check_half_known_user(service: Service, rare: list[int]) -> None:
    """A user with ratings of unknown films is new; one known film makes the user known."""
    rate(service, "half-known", rare)
    popular = service.recommended("half-known")
    assert popular["strategy"] == "popular"
    known = ids_of(popular)[0]
    rate(service, "half-known", [known])
    personal = service.recommended("half-known")
    assert personal["strategy"] == "model"
    assert not {known, *rare} & set(ids_of(personal))


def rate(service: Service, user_id: str, movie_ids: list[int]) -> None:
    """Rate every film with five stars."""
    ratings = [{"user_id": user_id, "movie_id": movie_id, "rating": 5.0} for movie_id in movie_ids]
    status, body = service.call("POST", "/ratings/", ratings)
    assert (status, body) == (200, {"written": len(movie_ids)})


def movies_rated_once(ratings_file: Path) -> list[int]:
    """Return two films with a single rating, too few for a model to learn."""
    with ratings_file.open(newline="") as file:
        counts = Counter(int(row["movieId"]) for row in csv.DictReader(file))
    return sorted(movie_id for movie_id, n_ratings in counts.items() if n_ratings == 1)[:2]


@pytest.mark.faults
def test_killing_the_supervisor_leaves_no_process_behind(filled_home: Path) -> None:
    """After kill -9 of the supervisor all its processes end, and the next start finds its data."""
    home = filled_home
    service = start(home, free_port())
    assert len(processes_of(home)) >= 4
    service.process.kill()
    service.process.wait()
    deadline = time.monotonic() + STOP_SECONDS
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(home) == []
    again = start(home, free_port())
    assert again.recommended(OLD_USER)["strategy"] == "popular"
    stop(again)
