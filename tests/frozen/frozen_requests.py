"""What is asked of every frozen version: requests drawn by a seed over the generated films and users."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from generated_world import FIRST_WORDS, GENRES, N_MOVIES, N_USERS, SECOND_WORDS

N_PREDICTIONS = 84
BAD_BODIES: tuple[dict[str, Any], ...] = (
    {},
    {"user_id": 1, "ratings": []},
    {"user_id": 1, "top_n": 0},
    {"user_id": 1, "top_n": 101},
    {"user_id": True},
    {"user_id": 1, "wish": "a comedy"},
    {"user_id": 1, "genres": ["Opera"]},
    {"user_id": 1, "diversity": 1.5},
    {"user_id": 1, "year_from": 3000},
    {"ratings": [{"movie_id": 1, "imdb_id": "tt1000001", "rating": 4}]},
    {"ratings": [{"movie_id": 1, "rating": 9}]},
    {"user_id": 1, "candidate_movie_ids": []},
)
READ_FIRST = (
    "/ready",
    "/models/",
    "/models/?limit=3&before=9",
    "/models/production",
    *(f"/models/{version}" for version in range(1, 12)),
    "/training/",
    "/monitoring/recommendations?days=3650",
    "/monitoring/comparisons?days=3650",
    "/monitoring/drift/history",
    "/monitoring/drift/baseline",
    "/monitoring/drift?until=2026-11-28T00:00:00Z",
    "/monitoring/drift?until=2026-11-20T12:00:00Z&window=14d&threshold_pct=5",
    "/monitoring/drift?until=2026-10-30T00:00:00Z&window=24h",
)
"""Asked once and before anything else, since every later request leaves a trace."""


class Request(NamedTuple):
    """One request."""

    method: str
    path: str
    body: Any = None


def of_any_version() -> Iterator[Request]:
    """Give what does not depend on which version serves: texts, ratings, refusals."""
    yield from (Request("GET", f"/movies/?search={word}&limit=5") for word in (*FIRST_WORDS, *SECOND_WORDS))
    yield from (Request("GET", f"/movies/?search={text}") for text in ("silnt harbor", "x", "ete%20señora", "1"))
    yield from (Request("GET", f"/movies/{movie}") for movie in (1, 7, 41, 53, N_MOVIES, 9999, "none"))
    yield from (Request("GET", f"/users/{user}/ratings?limit=20") for user in (1, 2, 21, 77, "nobody"))
    yield from (Request("GET", f"/movies/popular?genre={genre}") for genre in (*GENRES, "Opera"))
    yield from (Request("GET", f"/movies/popular?window_days={days}&limit=20") for days in (1, 7, 30, 365))
    yield from (Request("POST", "/predict/", body) for body in BAD_BODIES)
    yield from (
        Request("GET", path) for path in ("/movies/?limit=5", "/movies/popular?limit=0", "/training/none", "/nowhere")
    )


def of_version(version: int) -> Iterator[Request]:
    """Give what is asked of one version."""
    rng = np.random.default_rng([15, version])
    for nth in range(N_PREDICTIONS):
        body = (_known, _known, _new, _anonymous)[nth % 4](rng) | _filters(rng)
        yield Request("POST", "/predict/", body | ({"top_n": int(rng.integers(1, 26))} if nth % 3 else {}))
    for _ in range(3):
        users = [*_some(rng, N_USERS, 6), "nobody", f"{int(rng.integers(1, N_USERS))}"]
        yield Request("POST", "/predict/batch", {"user_ids": users, "top_n": 5} | _filters(rng))
    yield from (Request("GET", f"/movies/{movie}/similar?limit=6") for movie in [*_some(rng, N_MOVIES, 14), 9999])


def _known(rng: np.random.Generator) -> dict[str, Any]:
    """Return a user with ratings, by number or by text."""
    user = int(rng.integers(1, N_USERS + 1))
    return {"user_id": user if rng.random() < 0.8 else str(user)}


def _new(rng: np.random.Generator) -> dict[str, Any]:
    """Return a user whom nobody has seen."""
    return {"user_id": f"new-{int(rng.integers(1000))}"}


def _anonymous(rng: np.random.Generator) -> dict[str, Any]:
    """Return somebody who says what they think of some films, a few of them unknown or named by other ids."""
    given: list[dict[str, Any]] = []
    for movie in _some(rng, N_MOVIES, int(rng.integers(0, 12))):
        name = (
            {"imdb_id": f"tt{1_000_000 + movie}"}
            if movie % 7 == 1
            else {"tmdb_id": 5000 + movie}
            if movie % 7 == 2
            else {"movie_id": movie}
        )
        given.append(name | {"rating": int(rng.integers(1, 11)) / 2})
    unknown = [{"movie_id": "unheard-of", "rating": 3.5}] if rng.random() < 0.3 else []
    return {"ratings": given + unknown}


def _filters(rng: np.random.Generator) -> dict[str, Any]:
    """Return wishes, none of them in half of the cases."""
    if rng.random() < 0.5:
        return {}
    offered = {
        "genres": [str(genre) for genre in rng.choice(GENRES, 2, replace=False)],
        "exclude_genres": [str(rng.choice(GENRES)), "Opera"],
        "year_from": int(rng.integers(1930, 1990)),
        "year_to": int(rng.integers(1980, 2020)),
        "exclude_movie_ids": [*_some(rng, N_MOVIES, 30), "unheard-of"],
        "candidate_movie_ids": [*_some(rng, N_MOVIES, 60), 9999],
        "include_seen": True,
        "diversity": round(float(rng.random()), 2),
    }
    names = rng.choice(list(offered), int(rng.integers(1, 4)), replace=False)
    return {str(name): offered[str(name)] for name in names}


def _some(rng: np.random.Generator, n_all: int, n_some: int) -> list[int]:
    """Return different numbers from 1 to ``n_all``."""
    return [int(number) + 1 for number in rng.choice(n_all, n_some, replace=False)]
