"""Parts run once each on any number of threads; errors are raised once all have stopped."""

import time

import numpy as np
import pytest

from cineclub.domain.threads import even_bounds, on_all_threads, threads


@pytest.mark.parametrize("n_threads", [1, 2])
def test_every_part_is_done_once(n_threads: int) -> None:
    """Every part runs once on any number of threads."""
    done = np.zeros(50, np.int64)

    def part(nth: int) -> None:
        done[nth] += 1

    with threads(n_threads):
        on_all_threads(part, 50)
    assert (done == 1).all()


@pytest.mark.parametrize("broken", [0, 1, 7])
def test_what_a_part_raises_is_raised_when_no_thread_works_any_more(broken: int) -> None:
    """An error in any thread is raised, and nothing is written afterwards."""
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
    """Nested parallel work completes."""
    done = np.zeros((4, 4), np.int64)

    def part(nth: int) -> None:
        def inner(other: int) -> None:
            done[nth, other] += 1

        on_all_threads(inner, 4)

    with threads(2):
        on_all_threads(part, 4)
    assert (done == 1).all()


def test_bounds_cut_rows_evenly_and_lose_none() -> None:
    """Rows are divided by rising bounds from the first to the last, with empty, huge and few rows."""
    for counts in ([0, 0, 5, 0], [1000, 1, 1, 1], [3], [2] * 100):
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        bounds = even_bounds(starts, 8)
        assert bounds[0] == 0
        assert bounds[-1] == len(counts)
        assert (np.diff(bounds) >= 0).all()
    assert np.diff(even_bounds(np.arange(0, 202, 2), 4)).tolist() == [25, 25, 25, 25]
