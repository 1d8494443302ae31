"""Histories as weights of movies, and the scores of many users from them, on all threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.recommend.recommender import History

if TYPE_CHECKING:
    from scipy.sparse import csr_array

USERS_PER_PART = 64


@dataclass(frozen=True, slots=True)
class WeightedHistory:
    """The input of a linear model: the used ratings of a history, and the weight of each.

    Attributes:
        movie_indices: (n,) the movies.
        amounts: (n,) the factor of each movie's weights.
    """

    movie_indices: NDArray[np.int32]
    amounts: NDArray[np.float32]

    @classmethod
    def to(
        cls, history: History, used: NDArray[np.bool_], values: NDArray[np.float32], half_life: float
    ) -> "WeightedHistory":
        """Return the used ratings, a mask (n,), with their ``values`` (n,) weighted by their recency."""
        used_history = History(history.movie_indices[used], history.ratings[used], history.rated_at[used])
        return cls(used_history.movie_indices, values[used] * used_history.recency_weights(half_life))


def sums_of_rows(users: Sequence[WeightedHistory], rows: "NDArray[np.float32] | csr_array") -> NDArray[np.float32]:
    """Return for each user the rows of their movies summed by their amounts, shape (n_users, n_movies).

    Args:
        users: one history for each.
        rows: (n_movies, n_movies) dense or in compressed rows. Users know few of all movies, so that a sparse product
            does less than a dense one even with dense rows.
    """
    from cineclub.domain.threads import on_all_threads

    n_movies = rows.shape[0]
    scores = np.empty((len(users), n_movies), np.float32)

    def score_part(nth: int) -> None:
        part = slice(nth * USERS_PER_PART, (nth + 1) * USERS_PER_PART)
        sums = _amounts_of(users[part], n_movies) @ rows
        scores[part] = sums if isinstance(sums, np.ndarray) else sums.toarray()

    on_all_threads(score_part, -(-len(users) // USERS_PER_PART))
    return scores


def _amounts_of(users: Sequence[WeightedHistory], n_movies: int) -> "csr_array":
    """Return the amounts as compressed rows, shape (n_users, n_movies)."""
    from scipy.sparse import csr_array

    starts = np.concatenate(([0], np.cumsum([len(user.amounts) for user in users])))
    amounts = np.concatenate([user.amounts for user in users])
    movie_indices = np.concatenate([user.movie_indices for user in users])
    return csr_array((amounts, movie_indices, starts), shape=(len(users), n_movies))
