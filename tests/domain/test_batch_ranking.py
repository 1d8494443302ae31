"""Lists ranked in batches equal single lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend import batch_ranking
from cineclub.domain.recommend.batch_ranking import NO_MOVIE, lists_of, write_best
from cineclub.domain.recommend.ranking import rank_movies
from cineclub.domain.recommend.recommender import History
from small_models import fitted_model


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=200), st.integers(1, 30), st.data())
def test_the_best_of_a_row_are_those_of_a_single_list(scores: list[int], top_k: int, data: st.DataObject) -> None:
    """The compiled search agrees with the single ranking on ties, seen films and short rows."""
    seen = data.draw(st.sets(st.integers(0, len(scores) - 1)))
    row = np.array([scores], np.float32)
    expected = rank_movies(row[0], np.array(sorted(seen), np.int32), top_k)
    row[0, list(seen)] = -np.inf
    lists = np.full((1, top_k), NO_MOVIE, np.int32)
    write_best(row, lists)
    assert lists[0, : len(expected)].tolist() == expected.tolist()
    assert (lists[0, len(expected) :] == NO_MOVIE).all()


@pytest.mark.parametrize("block_bytes", [1, 200, 2**26])
def test_blocks_of_any_size_give_the_same_lists(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of any size keep every user once, new users included."""
    fitted = fitted_model("ease")
    ids = fitted.movie_ids
    histories = [
        History.of(UserRatings(ids[nth : nth + 2], np.array([5, stars], np.float32), np.arange(2)), ids)
        for nth in range(len(ids) - 2)
        for stars in (1, 5)
    ] + [History.of(UserRatings.none(), ids)]
    expected = lists_of(fitted, histories, 4)
    monkeypatch.setattr(batch_ranking, "BLOCK_BYTES", block_bytes)
    assert np.array_equal(lists_of(fitted, histories, 4), expected)
    assert not any(np.isin(row, history.movie_indices).any() for row, history in zip(expected, histories, strict=True))
