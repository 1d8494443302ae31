"""Efficiency of the SVD kernel: its arithmetic beside that of a plain matrix product."""

from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

import ours
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.threads import threads
from generated_ratings import generated_log
from rating_sets import RatingSet
from section import Section, median_seconds, table_of

N_RATINGS, N_FACTORS, N_EPOCHS, N_ROUNDS = 1_000_000, 64, 10, 5
OPERATIONS_PER_FACTOR = 8
"""A step needs 2 for the product of two vectors, and 3 to change each of the two."""

BYTES_PER_FACTOR = 16
"""A step reads and writes two single-precision numbers for each factor."""

MATRIX_SIDE, COPIED_NUMBERS = 3000, 50_000_000
NOTE = (
    "SVD with {factors} factors on {ratings:,} generated ratings; the time is that of the whole fit. The algorithm "
    "needs {operations} operations per factor and rating. Its rate is compared with numpy's product of two "
    "single-precision matrices of {side} x {side}, and the bytes that a step reads and writes with those of a plain "
    "copy in memory. A step of the descent reuses no data: for every 8 operations it moves 16 bytes, so caches bound "
    "it."
)


def run(_ratings: RatingSet, _n_seeds: int) -> Section:
    """Return operations and bytes a second of both, by number of threads."""
    ratings = RatingMatrix.from_log(generated_log(N_RATINGS))
    figures, rows = {}, []
    for n_threads in (1, 2):
        steps = descent_steps_a_second(ratings, n_threads)
        of_kernel = steps * N_FACTORS * OPERATIONS_PER_FACTOR / 1e9
        moved = steps * N_FACTORS * BYTES_PER_FACTOR / 1e9
        of_product, copied = product_gigaflops(n_threads), copy_gigabytes()
        figures[f"{n_threads}_threads"] = {
            "million_ratings_a_second": steps / 1e6,
            "svd_gigaflops": of_kernel,
            "matrix_product_gigaflops": of_product,
            "svd_gigabytes_a_second": moved,
            "copy_gigabytes_a_second": copied,
        }
        numbers = (steps / 1e6, of_kernel, of_product, 100 * of_kernel / of_product, moved, copied)
        rows.append([f"{n_threads} threads", *(f"{number:.1f}" for number in numbers)])
    note = NOTE.format(factors=N_FACTORS, ratings=N_RATINGS, operations=OPERATIONS_PER_FACTOR, side=MATRIX_SIDE)
    head = ["", "million ratings per second", "SVD GFLOP/s", "matrix product GFLOP/s", "%", "SVD GB/s", "copy GB/s"]
    return Section("How close to the limit", figures, table_of(head, rows, note))


def descent_steps_a_second(ratings: RatingMatrix, n_threads: int) -> float:
    """Return the ratings that a fit processes in a second."""
    work = partial(ours.TrainedSvd, ratings, {"n_factors": N_FACTORS, "n_epochs": N_EPOCHS}, 0)
    with threads(n_threads):
        work()
        return N_EPOCHS * ratings.n_ratings / median_seconds(work, N_ROUNDS)


def product_gigaflops(n_threads: int) -> float:
    """Return the rate of numpy's matrix product."""
    square = np.random.default_rng(0).standard_normal((MATRIX_SIDE, MATRIX_SIDE), np.float32)
    with threadpool_limits(n_threads, "blas"):
        return 2 * MATRIX_SIDE**3 / median_seconds(lambda: square @ square, N_ROUNDS) / 1e9


def copy_gigabytes() -> float:
    """Return the gigabytes that a plain copy on one thread reads and writes in a second."""
    source = np.ones(COPIED_NUMBERS, np.float32)
    target = np.empty_like(source)
    return 8 * COPIED_NUMBERS / median_seconds(lambda: np.copyto(target, source), N_ROUNDS) / 1e9
