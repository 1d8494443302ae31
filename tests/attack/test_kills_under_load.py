"""Processes are killed and the disk is filled while ratings are written: what was acknowledged is there."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from api_processes import free_ports
from own_postgres import tls_server
from rating_load import Load, Pair
from small_service import fill, promote, small_artifact
from victims import KINDS, ServedHome, full_disk, served, small_disk

from cineclub.adapters.postgres.embedded import embedded_postgres, place_of
from cineclub.adapters.postgres.migrate import migrate
from conftest import Repetitions
from waiting import eventually

pytestmark = [pytest.mark.attack, pytest.mark.timeout(3600)]

SEED = 20261130
WRITES_PER_SECOND = 200.0
N_KILLS, N_FILLS = 40, 2
N_KILLS_OF_OWN_SERVER = 10
CALM_SECONDS = (1.0, 4.0)
FULL_SECONDS = 4.0
BACK_WHILE_FULL_SECONDS = 30.0
STORED = """
SELECT u.external_id, m.external_id::int, r.rating FROM cineclub.ratings r
JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id
WHERE u.external_id LIKE 'w%-%'
"""


@pytest.fixture
def served_home(home: Path, tmp_path: Path) -> Iterator[ServedHome]:
    """A service over the embedded server on a small disk if one can be mounted, with a small catalogue and a model."""
    with small_disk(home):
        with embedded_postgres(home) as url:
            prepare(url, home)
        [port] = free_ports(1)
        with served(home, port, tmp_path / "serve.log") as service:
            yield service


def prepare(url: str, home: Path) -> None:
    """Create the tables, the small catalogue and a model in production."""
    migrate(url)
    fill(url)
    promote(url, 1, small_artifact(home / "ease", "ease"))


def stored_ratings(url: str) -> dict[Pair, float]:
    """Return the ratings of the writers as the table has them."""
    with psycopg.connect(url) as connection:
        return {(user, movie): rating for user, movie, rating in connection.execute(STORED)}


def attack(service: ServedHome, n_kills: int, n_fills: int, rng: random.Random) -> str:
    """Kill processes and fill the disk at random moments, and return what was done."""
    events = ["kill"] * (n_kills - n_fills) + ["fill"] * n_fills
    rng.shuffle(events)
    done, slowest_seconds = Counter[str](), 0.0
    for event in events:
        time.sleep(rng.uniform(*CALM_SECONDS))
        service.train()
        if event == "fill":
            done["postmaster on a full disk"] += fill_and_kill(service, rng)
            done["full disk"] += 1
        else:
            kind = rng.choice(KINDS)
            done[kind] += service.kill_one(kind, rng)
        slowest_seconds = max(slowest_seconds, service.wait_until_back())
        assert service.process.poll() is None, "the supervisor ended"
    assert sum(done.values()) >= len(events) / 2, f"hardly anything was killed: {done}"
    return f"{len(events)} events {dict(done)}, the slowest return took {slowest_seconds:.0f} s"


def fill_and_kill(service: ServedHome, rng: random.Random) -> bool:
    """Fill the disk, kill PostgreSQL unless it has ended by itself, and see that recommendations come from memory."""
    with full_disk(service.home):
        time.sleep(FULL_SECONDS / 2)
        is_killed = service.kill_one("postmaster", rng)
        time.sleep(FULL_SECONDS)
        assert service.process.poll() is None, "the supervisor ended"
        eventually(service.responds, BACK_WHILE_FULL_SECONDS)
        eventually(service.recommends, BACK_WHILE_FULL_SECONDS)
    return is_killed


def assert_nothing_lost(name: str, attacked: str, load: Load, stored: dict[Pair, float]) -> None:
    """Print the counts, and compare them with what was promised."""
    lost, returned, unexpected = load.lost(stored), load.returned(), load.unexpected()
    print(f"\n{name}: {attacked}; {load.summary()}")
    print(f"{name}: lost {len(lost)}, rated films back {len(returned)}, unexpected responses {len(unexpected)}")
    assert load.n_writes > 0
    assert load.n_predictions > 0
    assert lost == []
    assert unexpected == []
    assert returned == []


def test_no_acknowledged_rating_is_lost_with_the_embedded_server(
    served_home: ServedHome, repetitions: Repetitions
) -> None:
    """With the embedded server: API processes, worker, postmaster and backends die, and the disk is filled."""
    rng = random.Random(SEED)
    n_fills = repetitions.of(N_FILLS) if served_home.home.is_mount() else 0
    if not n_fills:
        print("\nno disk was filled: a small one cannot be mounted here")
    with Load(served_home.port, WRITES_PER_SECOND, SEED) as load:
        attacked = attack(served_home, repetitions.of(N_KILLS), n_fills, rng)
    served_home.wait_until_back()
    stored = stored_ratings(place_of(served_home.home).database_url)
    assert_nothing_lost("kills under load", attacked, load, stored)


def test_no_acknowledged_rating_is_lost_over_tls(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repetitions: Repetitions
) -> None:
    """With a server of the owner's and TLS: the same processes die, and so does that server."""
    [port] = free_ports(1)
    own_home, served_home = home / "own", home / "served"
    for folder in (own_home, served_home):
        folder.mkdir(mode=0o711)
    with tls_server(own_home, monkeypatch) as own:
        prepare(own.url, served_home)
        variables = {"CINECLUB_DATABASE_URL": own.url}
        with served(served_home, port, tmp_path / "serve.log", own, **variables) as service:
            attack_and_compare("kills over TLS", service, own.url, repetitions)


def attack_and_compare(name: str, service: ServedHome, url: str, repetitions: Repetitions) -> None:
    """Kill processes under load, and compare with the table."""
    with Load(service.port, WRITES_PER_SECOND, SEED) as load:
        attacked = attack(service, repetitions.of(N_KILLS_OF_OWN_SERVER, least=2), 0, random.Random(SEED))
    service.wait_until_back()
    assert_nothing_lost(name, attacked, load, stored_ratings(url))
