"""Directors, casts and keywords for films of which none are at hand, generated from what people like about them.

A film has a place in a space of tastes: its row in a truncated decomposition of the ratings above each person's mean.
Directors, actors and keywords have places too, and a film draws those near it more often than others, and directors and
actors of its time. So a label says something about taste, as a real one does; how much is an assumption (the sharpness
of the draws), and the places come from all ratings, also of hidden films. A figure with such labels shows that a method
uses labels, not how good real ones are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

from cineclub.domain.ratings.labels import Label
from cineclub.domain.ratings.log import Movie, RatingLog
from cineclub.domain.ratings.vocabulary import UNKNOWN_YEAR

N_DIMENSIONS, DAMPING_RATINGS = 24, 5.0
YEARS_OF_A_CAREER = 15.0


@dataclass(frozen=True, slots=True)
class LabelKind:
    """How labels of a kind are drawn.

    Attributes:
        kind: their kind.
        n_of_movie: the labels of a film.
        movies_per_name: films for each name there is.
        sharpness: how much more often near names are drawn.
        has_time: whether a name has a time.
    """

    kind: str
    n_of_movie: int
    movies_per_name: float
    sharpness: float
    has_time: bool


KINDS = (
    LabelKind("director", 1, 4.0, 6.0, has_time=True),
    LabelKind("cast", 5, 3.0, 4.0, has_time=True),
    LabelKind("keyword", 5, 20.0, 4.0, has_time=False),
)


def with_generated_labels(movies: Sequence[Movie], log: RatingLog, seed: int = 0) -> tuple[Movie, ...]:
    """Return movies, whose ids are their positions, with labels drawn by the ratings of a log."""
    rng = np.random.default_rng(seed)
    places = _places(log, len(movies))
    years = np.array([UNKNOWN_YEAR if movie.year is None else movie.year for movie in movies], np.float64)
    years[years == UNKNOWN_YEAR] = np.median(years[years != UNKNOWN_YEAR])
    labels: list[list[Label]] = [[] for _ in movies]
    for kind in KINDS:
        for movie, name in _drawn(kind, places, years, rng):
            labels[movie].append(Label(kind.kind, f"{kind.kind} {name}"))
    return tuple(replace(movie, labels=tuple(of_movie)) for movie, of_movie in zip(movies, labels, strict=True))


def _places(log: RatingLog, n_movies: int) -> NDArray[np.float64]:
    """Return the place of each film in the space of tastes, (n_movies, N_DIMENSIONS), of length 1."""
    users, user_rows = np.unique(log.user_ids, return_inverse=True)
    means = np.bincount(user_rows, log.ratings) / np.bincount(user_rows)
    above = log.ratings - means[user_rows]
    n_ratings = np.bincount(log.movie_ids, minlength=n_movies)
    damped = above / np.sqrt(n_ratings[log.movie_ids] + DAMPING_RATINGS)
    matrix = scipy.sparse.csr_matrix((damped, (log.movie_ids, user_rows)), shape=(n_movies, len(users)))
    vectors, sizes, _ = scipy.sparse.linalg.svds(matrix, k=N_DIMENSIONS, v0=np.ones(min(matrix.shape)))
    places = vectors * np.sqrt(sizes)
    lengths = np.linalg.norm(places, axis=1, keepdims=True)
    return np.divide(places, lengths, out=np.zeros_like(places), where=lengths > 0)


def _drawn(
    kind: LabelKind, places: NDArray[np.float64], years: NDArray[np.float64], rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Yield film and name of each label of a kind: the names of highest utility with Gumbel noise, each once."""
    n_names = max(int(len(places) / kind.movies_per_name), kind.n_of_movie)
    centres = rng.choice(len(places), n_names, replace=False)
    for movie in range(len(places)):
        utilities = kind.sharpness * (places[centres] @ places[movie]) + rng.gumbel(size=n_names)
        if kind.has_time:
            utilities -= 0.5 * ((years[centres] - years[movie]) / YEARS_OF_A_CAREER) ** 2
        yield from ((movie, int(name)) for name in np.argsort(-utilities)[: kind.n_of_movie])
