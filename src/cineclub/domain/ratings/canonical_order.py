"""The canonical order of ratings: by user, then ``rated_at``, then movie."""

import numpy as np
from numpy.typing import NDArray

KEY_BITS = 62
MICROSECONDS = 1_000_000


def canonical_order(
    user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64], rated_at: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return the positions (n,) that put three columns of shape (n,) into canonical order; None if they are in it.

    User and second are packed into one key for a fast sort of integers; only ratings of one user within one second are
    compared column by column.
    """
    if len(user_ids) == 0 or _is_ordered(user_ids, movie_ids, rated_at):
        return None
    seconds = rated_at // MICROSECONDS
    first_second, first_user = int(seconds.min()), int(user_ids.min())
    second_bits = (int(seconds.max()) - first_second).bit_length()
    if (int(user_ids.max()) - first_user).bit_length() + second_bits > KEY_BITS:
        return np.lexsort((movie_ids, rated_at, user_ids))
    seconds -= first_second
    key = user_ids - first_user
    key <<= second_bits
    key |= seconds
    del seconds
    order = np.argsort(key, kind="stable")
    return _with_ties_settled(order, key[order], movie_ids, rated_at)


def _is_ordered(user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64], rated_at: NDArray[np.int64]) -> bool:
    """Return whether the columns are in canonical order."""
    same_user = user_ids[1:] == user_ids[:-1]
    if (user_ids[1:] < user_ids[:-1]).any() or (same_user & (rated_at[1:] < rated_at[:-1])).any():
        return False
    same_time = same_user & (rated_at[1:] == rated_at[:-1])
    return not (same_time & (movie_ids[1:] < movie_ids[:-1])).any()


def _with_ties_settled(
    order: NDArray[np.int64], sorted_key: NDArray[np.int64], movie_ids: NDArray[np.int64], rated_at: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the order with the rows of equal keys sorted by time and movie."""
    tied = np.zeros(len(order), np.bool_)
    tied[1:] = sorted_key[1:] == sorted_key[:-1]
    tied[:-1] |= tied[1:]
    rows = order[tied]
    order[tied] = rows[np.lexsort((movie_ids[rows], rated_at[rows], sorted_key[tied]))]
    return order
