"""Scores of many people at once from weights between films, on all threads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from cineclub.domain.threads import on_all_threads

if TYPE_CHECKING:
    from cineclub.models.film_weights import Listened

PEOPLE_PER_PART = 64


def sums_of_rows(people: "Sequence[Listened]", rows: "NDArray[np.float32] | csr_array") -> NDArray[np.float32]:
    """Return for each person the rows of their films summed by their amounts, shape (n_people, n_movies).

    Args:
        people: what is known of each.
        rows: (n_movies, n_movies) dense or in compressed rows. People know few of all films, so that a sparse product
            does less than a dense one even with dense rows.
    """
    n_movies = rows.shape[0]
    scores = np.empty((len(people), n_movies), np.float32)

    def score_part(nth: int) -> None:
        part = slice(nth * PEOPLE_PER_PART, (nth + 1) * PEOPLE_PER_PART)
        sums = _amounts_of(people[part], n_movies) @ rows
        scores[part] = sums if isinstance(sums, np.ndarray) else sums.toarray()

    on_all_threads(score_part, -(-len(people) // PEOPLE_PER_PART))
    return scores


def sums_of_sparse_rows(
    people: "Sequence[Listened]", starts: NDArray[np.int64], targets: NDArray[np.int32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return ``sums_of_rows`` of compressed rows."""
    n_movies = len(starts) - 1
    return sums_of_rows(people, csr_array((weights, targets, starts), shape=(n_movies, n_movies)))


def _amounts_of(people: "Sequence[Listened]", n_movies: int) -> csr_array:
    """Return the amounts as compressed rows, shape (n_people, n_movies)."""
    starts = np.concatenate(([0], np.cumsum([len(person.amounts) for person in people])))
    amounts = np.concatenate([person.amounts for person in people])
    movie_indices = np.concatenate([person.movie_indices for person in people])
    return csr_array((amounts, movie_indices, starts), shape=(len(people), n_movies))
