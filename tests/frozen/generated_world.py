"""Films and ratings out of a seeded generator, written as a MovieLens folder: tastes, popularity and time."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SEED = 15
N_USERS, N_MOVIES, N_LATENT, N_SERIES = 260, 220, 6, 40
FIRST, LAST = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 11, 28, tzinfo=UTC)
GENRES = ("Action", "Animation", "Comedy", "Drama", "Film-Noir", "Horror", "Romance", "Sci-Fi")
NO_GENRES = "(no genres listed)"
FIRST_WORDS = ("Silent", "Crimson", "Été", "Broken", "Distant", "Golden", "Hidden", "Iron", "Last", "Mädchen", "Paper")
SECOND_WORDS = ("Harbour", "Mirror", "Winter", "Señora", "Garden", "Station", "Letters", "Machine", "Ocean", "Promise")


@dataclass(frozen=True, slots=True)
class World:
    """What everybody likes: (n, N_LATENT) tastes and films, (n,) offsets, and how often each film is found."""

    tastes: NDArray[np.float64]
    movies: NDArray[np.float64]
    user_offsets: NDArray[np.float64]
    movie_offsets: NDArray[np.float64]
    popularity: NDArray[np.float64]


def write_movielens(folder: Path) -> None:
    """Write ratings.csv, movies.csv and links.csv, the same ones each time."""
    rng = np.random.default_rng(SEED)
    world = _drawn_world(rng)
    folder.mkdir(parents=True)
    _write(folder / "movies.csv", ("movieId", "title", "genres"), _movies(rng))
    links = [(movie, f"{1_000_000 + movie:07d}", 5000 + movie) for movie in range(1, N_MOVIES + 1) if movie % 7]
    _write(folder / "links.csv", ("movieId", "imdbId", "tmdbId"), links)
    ratings = [row for user in range(N_USERS) for row in _ratings_of(user, world, rng)]
    _write(folder / "ratings.csv", ("userId", "movieId", "rating", "timestamp"), ratings)


def _drawn_world(rng: np.random.Generator) -> World:
    """Return tastes, and films in series whose members are alike."""
    centres = rng.standard_normal((N_SERIES, N_LATENT))
    series = np.arange(N_MOVIES) % N_SERIES
    return World(
        rng.standard_normal((N_USERS, N_LATENT)),
        0.8 * centres[series] + 0.5 * rng.standard_normal((N_MOVIES, N_LATENT)),
        0.4 * rng.standard_normal(N_USERS),
        0.5 * rng.standard_normal(N_MOVIES),
        rng.permutation((1 + np.arange(N_MOVIES) / 12.0) ** -1.1),
    )


def _movies(rng: np.random.Generator) -> list[tuple[int, str, str]]:
    """Return films with titles that need Unicode, some without a year or a genre."""
    rows = []
    for movie in range(1, N_MOVIES + 1):
        name = (
            f"{FIRST_WORDS[movie % len(FIRST_WORDS)]} {SECOND_WORDS[movie * 7 % len(SECOND_WORDS)]} {movie // 10 + 1}"
        )
        title = name if movie % 53 == 0 else f"{name} ({1930 + int(rng.integers(90))})"
        genres = sorted(rng.choice(GENRES, int(rng.integers(1, 4)), replace=False))
        rows.append((movie, title, NO_GENRES if movie % 41 == 0 else "|".join(genres)))
    return rows


def _ratings_of(user: int, world: World, rng: np.random.Generator) -> list[tuple[int, int, float, int]]:
    """Return a person's ratings in half stars; what they rate is popular and suits them, some rate very little."""
    n_ratings = int(rng.integers(1, 5)) if user % 20 == 0 else int(np.clip(rng.lognormal(3.3, 0.5), 8, 90))
    liking = world.movies @ world.tastes[user] / N_LATENT**0.5
    weights = world.popularity * np.exp(1.2 * liking)
    chosen = rng.choice(N_MOVIES, n_ratings, replace=False, p=weights / weights.sum())
    stars = 3.4 + world.user_offsets[user] + world.movie_offsets[chosen] + 0.8 * liking[chosen]
    halves = np.clip(np.round(2 * (stars + 0.5 * rng.standard_normal(n_ratings))), 1, 10) / 2
    span = (LAST - FIRST).total_seconds()
    joined = FIRST.timestamp() + 0.9 * span * rng.random()
    seconds = np.sort(rng.uniform(joined, LAST.timestamp(), n_ratings)).astype(int)
    return [
        (user + 1, int(movie) + 1, float(half), int(at))
        for movie, half, at in zip(chosen, halves, seconds, strict=True)
    ]


def _write(path: Path, head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """Write one CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
