"""Parts are done once each, on any number of threads, and what goes wrong in one is told when all have stopped."""

import time

import numpy as np
import pytest

from cineclub.domain.threads import even_bounds, on_all_threads, threads


@pytest.mark.parametrize("n_threads", [1, 2])
def test_every_part_is_done_once(n_threads: int) -> None:
    """However many threads there are."""
    done = np.zeros(50, np.int64)

    def part(nth: int) -> None:
        done[nth] += 1

    with threads(n_threads):
        on_all_threads(part, 50)
    assert (done == 1).all()


@pytest.mark.parametrize("broken", [0, 1, 7])
def test_what_a_part_raises_is_told_when_no_thread_works_any_more(broken: int) -> None:
    """In the caller's thread or another: the error comes out, and nothing is written after it."""
    n_at_work = [0]

    def part(nth: int) -> None:
        n_at_work[0] += 1
        time.sleep(0.01)
        n_at_work[0] -= 1
        if nth == broken:
            message = "part broke"
            raise ValueError(message)

    with threads(2), pytest.raises(ValueError, match="part broke"):
        on_all_threads(part, 20)
    assert n_at_work == [0]


def test_parts_may_have_parts_of_their_own() -> None:
    """Nested work ends too."""
    done = np.zeros((4, 4), np.int64)

    def part(nth: int) -> None:
        def inner(other: int) -> None:
            done[nth, other] += 1

        on_all_threads(inner, 4)

    with threads(2):
        on_all_threads(part, 4)
    assert (done == 1).all()


def test_bounds_cut_rows_evenly_and_lose_none() -> None:
    """Empty rows, one huge row and fewer rows than parts are cut into rising bounds from the first row to the last."""
    for counts in ([0, 0, 5, 0], [1000, 1, 1, 1], [3], [2] * 100):
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        bounds = even_bounds(starts, 8)
        assert bounds[0] == 0
        assert bounds[-1] == len(counts)
        assert (np.diff(bounds) >= 0).all()
    assert np.diff(even_bounds(np.arange(0, 202, 2), 4)).tolist() == [25, 25, 25, 25]
