"""Nearest neighbours among films by the people who like both, compiled, never holding a film-by-film matrix."""

from typing import NamedTuple, Self

import numba
import numpy as np
from numpy.typing import NDArray

from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import Progress

BLOCK_MOVIES = 256


class Likes(NamedTuple):
    """Who likes what, in compressed rows both ways; a named tuple because the compiled kernel takes those.

    Attributes:
        user_starts: (n_users + 1,) where each user's liked films begin.
        liked_movies: (n_likes,) by user.
        movie_starts: (n_movies + 1,) where each film's likers begin.
        likers: (n_likes,) by film.
    """

    user_starts: NDArray[np.int64]
    liked_movies: NDArray[np.int32]
    movie_starts: NDArray[np.int64]
    likers: NDArray[np.int32]

    @classmethod
    def of(cls, ratings: RatingMatrix, liked_from: np.float32) -> Self:
        """Return the likes of a matrix."""
        liked = ratings.ratings >= liked_from
        users, movies = ratings.user_indices[liked], ratings.movie_indices[liked]
        by_movie = np.argsort(movies, kind="stable")
        return cls(starts_of(users, ratings.n_users), movies, starts_of(movies, ratings.n_movies), users[by_movie])

    @property
    def n_likers(self) -> NDArray[np.int64]:
        """How many people like each film, shape (n_movies,)."""
        return np.diff(self.movie_starts)


class Neighbours(NamedTuple):
    """Each film's nearest films, in compressed rows by the neighbour.

    Attributes:
        starts: (n_movies + 1,) where the films begin to which a film is a neighbour.
        targets: (n_pairs,) those films, rising within a row.
        similarities: (n_pairs,) above 0, at most 1.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int32]
    similarities: NDArray[np.float32]


def nearest_neighbours(likes: Likes, n_neighbours: int, shrinkage: float, progress: Progress) -> Neighbours:
    """Return for every film its most similar ones.

    Similar is the cosine of two films' likers, times n / (n + shrinkage) for n who like both; of equally similar
    films the one of the lower index is nearer.
    """
    n_movies = len(likes.n_likers)
    n_kept = max(min(n_neighbours, n_movies - 1), 1)
    nearest = np.full((n_movies, n_kept), -1, np.int32)
    similarities = np.zeros((n_movies, n_kept), np.float32)
    for start in range(0, n_movies, BLOCK_MOVIES):
        stop = min(start + BLOCK_MOVIES, n_movies)
        _fill_block(likes, np.float32(shrinkage), start, nearest[start:stop], similarities[start:stop])
        progress(stop / n_movies)
    return _by_neighbour(nearest, similarities)


def starts_of(groups: NDArray[np.int32], n_groups: int) -> NDArray[np.int64]:
    """Return where each group begins once its members are sorted, shape (n_groups + 1,)."""
    return np.concatenate(([0], np.cumsum(np.bincount(groups, minlength=n_groups)))).astype(np.int64)


def _by_neighbour(nearest: NDArray[np.int32], similarities: NDArray[np.float32]) -> Neighbours:
    """Return neighbours turned around: not whom a film is near to, but which films it is a neighbour of."""
    targets = np.repeat(np.arange(len(nearest), dtype=np.int32), nearest.shape[1])
    is_pair = nearest.ravel() >= 0
    sources = nearest.ravel()[is_pair]
    order = np.argsort(sources, kind="stable")
    return Neighbours(starts_of(sources, len(nearest)), targets[is_pair][order], similarities.ravel()[is_pair][order])


@numba.njit(cache=True, nogil=True)
def _fill_block(
    likes: Likes,
    shrinkage: np.float32,
    first_movie: int,
    nearest: NDArray[np.int32],
    nearest_similarities: NDArray[np.float32],
) -> None:
    """Write the nearest films of a block of films, shape (n_block, n_kept), rising by index."""
    n_movies = len(likes.movie_starts) - 1
    n_kept = nearest.shape[1]
    together = np.zeros(n_movies, np.float32)
    for row in range(len(nearest)):
        movie = first_movie + row
        _count_together(likes, movie, together)
        _shrink_to_cosines(likes.movie_starts, movie, shrinkage, together)
        least = max(np.partition(together, n_movies - n_kept)[n_movies - n_kept], np.float32(0))
        n_written = 0
        n_equal = n_kept - np.sum(together > least)
        for other in range(n_movies):
            similarity = together[other]
            if similarity > least or (similarity == least and similarity > 0 and n_equal > 0):
                n_equal -= similarity == least
                nearest[row, n_written] = other
                nearest_similarities[row, n_written] = similarity
                n_written += 1


@numba.njit(cache=True, nogil=True)
def _count_together(likes: Likes, movie: int, together: NDArray[np.float32]) -> None:
    """Set ``together``, shape (n_movies,), to how many likers of a film like each other one."""
    together[:] = 0
    for position in range(likes.movie_starts[movie], likes.movie_starts[movie + 1]):
        user = likes.likers[position]
        for liked in range(likes.user_starts[user], likes.user_starts[user + 1]):
            together[likes.liked_movies[liked]] += np.float32(1)
    together[movie] = 0


@numba.njit(cache=True, nogil=True)
def _shrink_to_cosines(
    movie_starts: NDArray[np.int64], movie: int, shrinkage: np.float32, together: NDArray[np.float32]
) -> None:
    """Turn counts of common likers, shape (n_movies,), into shrunk cosines."""
    n_likers = movie_starts[movie + 1] - movie_starts[movie]
    for other in range(len(together)):
        count = together[other]
        if count > 0:
            both = np.float32(n_likers * (movie_starts[other + 1] - movie_starts[other]))
            together[other] = count / np.sqrt(both) * count / (count + shrinkage)
