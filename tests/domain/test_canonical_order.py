"""The canonical order equals a plain sort by three columns."""

import numpy as np
import pytest

from cineclub.domain.ratings.canonical_order import canonical_order

N_RATINGS = 4_000


@pytest.mark.parametrize("microseconds_apart", [1, 400_000, 1_000_000, 10**12])
@pytest.mark.parametrize("highest_user", [3, 90, 2**50])
def test_the_order_is_by_user_then_time_then_movie(microseconds_apart: int, highest_user: int) -> None:
    """Equal times, times within a second, and ids too large for one key are sorted as by a plain sort."""
    generator = np.random.default_rng(0)
    user_ids = generator.integers(1, highest_user + 1, N_RATINGS)
    movie_ids = generator.permutation(N_RATINGS).astype(np.int64)
    rated_at = generator.integers(-50, 50, N_RATINGS) * microseconds_apart

    order = canonical_order(user_ids, movie_ids, rated_at)

    assert order is not None
    assert np.array_equal(order, np.lexsort((movie_ids, rated_at, user_ids)))


def test_ordered_ratings_need_no_order() -> None:
    """Ordered ratings are left as they are; one misplaced film is detected."""
    user_ids, movie_ids = np.array([1, 1, 1, 2]), np.array([5, 3, 4, 1])
    rated_at = np.array([10, 20, 20, 0])

    assert canonical_order(user_ids, movie_ids, rated_at) is None
    assert canonical_order(user_ids, movie_ids[[0, 2, 1, 3]], rated_at) is not None


def test_no_ratings_are_in_order() -> None:
    """Empty columns need no order."""
    nothing = np.empty(0, np.int64)

    assert canonical_order(nothing, nothing, nothing) is None
