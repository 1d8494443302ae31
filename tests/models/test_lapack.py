"""Solving of symmetric equations: exact results, and other threads that run meanwhile."""

import threading
import time

import numpy as np
import pytest

from cineclub.models.kernels import lapack


def positive_definite(size: int, dtype: type[np.floating]) -> np.ndarray:
    """Return a well-conditioned symmetric matrix in column-major order."""
    half = np.random.default_rng(0).random((size, size)) / size
    return np.asfortranarray(half @ half.T + np.eye(size), dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-10)])
def test_factor_solution_and_inverse_are_those_of_numpy(dtype: type[np.floating], tolerance: float) -> None:
    """Each function overwrites its matrix; of the inverse the lower triangle counts."""
    matrix = positive_definite(60, dtype)
    right = np.asfortranarray(np.random.default_rng(1).random((60, 60)), dtype)
    factor, solution = matrix.copy("F"), right.copy("F")
    assert lapack.factorise(factor) == 0
    assert np.allclose(np.tril(factor), np.linalg.cholesky(matrix), atol=tolerance)
    assert lapack.solve(factor, solution) == 0
    assert np.allclose(matrix @ solution, right, atol=tolerance)
    assert lapack.invert(factor) == 0
    assert np.allclose(np.tril(factor), np.tril(np.linalg.inv(matrix)), atol=tolerance)


def test_what_is_not_positive_definite_is_reported() -> None:
    """A matrix that is not positive definite gives the order of the first bad minor; row-major order is refused."""
    assert lapack.factorise(np.asfortranarray(-np.eye(3))) == 1
    with pytest.raises(ValueError, match="column-major"):
        lapack.factorise(np.arange(9.0).reshape(3, 3))


def test_other_threads_run_while_a_matrix_is_inverted() -> None:
    """Another thread is never blocked for more than a small part of the calls' time."""
    gaps, is_over = [0.0], threading.Event()

    def tick() -> None:
        last = time.monotonic()
        while not is_over.wait(0.005):
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    matrix = positive_definite(2500, np.float64)
    ticking = threading.Thread(target=tick)
    ticking.start()
    started = time.monotonic()
    lapack.factorise(matrix)
    lapack.invert(matrix)
    taken = time.monotonic() - started
    is_over.set()
    ticking.join()
    assert max(gaps) < taken / 3


def test_an_empty_matrix_is_done() -> None:
    """An empty matrix, of ratings without likes, is accepted."""
    empty = np.zeros((0, 0), np.float32, order="F")
    assert (lapack.factorise(empty), lapack.invert(empty), lapack.solve(empty, empty)) == (0, 0, 0)
