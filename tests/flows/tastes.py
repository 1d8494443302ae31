"""Generated ratings of users who like odd films and users who like even films."""

import numpy as np

from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, Snapshot, SnapshotIdentity

HOUR = 3_600_000_000


def log_of_tastes(n_users: int = 150, n_movies: int = 80, n_each: int = 24, seed: int = 0) -> RatingLog:
    """Return a log in which users rate mostly films of their taste, and those higher, at overlapping times."""
    rng = np.random.default_rng(seed)
    movies, ratings, times = [], [], []
    for user in range(n_users):
        parity = (np.arange(n_movies) % 2) == user % 2
        shares = np.where(parity, 6.0, 1.0) / (1 + np.arange(n_movies) // 8)
        rated = rng.choice(n_movies, n_each, replace=False, p=shares / shares.sum())
        movies.append(rated + 1)
        ratings.append(np.where(parity[rated], 4.5, 2.0) + rng.choice([-0.5, 0.0, 0.5], n_each))
        times.append((user + np.sort(rng.integers(0, 90, n_each))) * HOUR)
    return RatingLog.from_columns(
        np.repeat(np.arange(n_users, dtype=np.int64), n_each),
        np.concatenate(movies).astype(np.int64),
        np.concatenate(ratings).astype(np.float32),
        np.concatenate(times).astype(np.int64),
        RatingScale(0.5, 5.0),
    )


def snapshot_of(log: RatingLog) -> Snapshot:
    """Return the snapshot of a log with a title for every film."""
    movies = [
        Movie(movie, str(movie), f"Film {movie}", 1999, ("Drama",)) for movie in np.unique(log.movie_ids).tolist()
    ]
    return Snapshot(log, tuple(movies), SnapshotIdentity.of(log))
