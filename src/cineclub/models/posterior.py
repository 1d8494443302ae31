"""Samples of a posterior distribution, taken from the sweeps of a chain."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

BURN_IN_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Draw:
    """The part of a sweep's state that predictions need.

    Attributes:
        movie_vectors: (n_movies, 1 + n_factors) the drawn offsets and factors, with which users are solved.
        movie_means: (n_movies, 1 + n_factors) the means of their distributions.
        user_coefficients: (2, 1 + n_factors) the expected vector of a user by the number of ratings.
        user_precision: (1 + n_factors, 1 + n_factors) precision of users' vectors around it.
        noise_precision: of a rating.
    """

    movie_vectors: NDArray[np.float32]
    movie_means: NDArray[np.float32]
    user_coefficients: NDArray[np.float64]
    user_precision: NDArray[np.float64]
    noise_precision: float


class Samples(NamedTuple):
    """Memory for the sampled sweeps.

    Attributes:
        epochs: (n_samples,) the numbers of these sweeps, rising.
        offsets: (n_movies, n_samples).
        factors: (n_movies, n_samples, n_factors).
        draws: (n_movies, n_samples, 1 + n_factors).
        user_coefficients: (n_samples, 2, 1 + n_factors).
        user_precisions: (n_samples, 1 + n_factors, 1 + n_factors).
        noise_precisions: (n_samples,).
    """

    epochs: NDArray[np.int64]
    offsets: NDArray[np.float32]
    factors: NDArray[np.float32]
    draws: NDArray[np.float16]
    user_coefficients: NDArray[np.float32]
    user_precisions: NDArray[np.float32]
    noise_precisions: NDArray[np.float32]

    @classmethod
    def room_for(cls, n_samples: int, n_epochs: int, shape: tuple[int, int]) -> Self:
        """Return memory for samples spread evenly over the sweeps after the burn-in, including the last sweep.

        Args:
            n_samples: the number of samples; fewer if there are fewer sweeps.
            n_epochs: the number of sweeps.
            shape: (n_movies, n_factors).
        """
        n_movies, n_factors = shape
        n_after = n_epochs - int(n_epochs * BURN_IN_SHARE)
        n_samples = min(n_samples, n_after)
        epochs = n_epochs - 1 - np.arange(n_samples)[::-1] * n_after // n_samples
        return cls(
            epochs,
            np.zeros((n_movies, n_samples), np.float32),
            np.zeros((n_movies, n_samples, n_factors), np.float32),
            np.zeros((n_movies, n_samples, 1 + n_factors), np.float16),
            np.zeros((n_samples, 2, 1 + n_factors), np.float32),
            np.zeros((n_samples, 1 + n_factors, 1 + n_factors), np.float32),
            np.zeros(n_samples, np.float32),
        )

    def take(self, epoch: int, draw: Draw) -> None:
        """Store the draw of a sweep if the sweep is sampled."""
        for nth in np.flatnonzero(self.epochs == epoch):
            self.offsets[:, nth], self.factors[:, nth] = draw.movie_means[:, 0], draw.movie_means[:, 1:]
            self.draws[:, nth] = draw.movie_vectors
            self.user_coefficients[nth], self.user_precisions[nth] = draw.user_coefficients, draw.user_precision
            self.noise_precisions[nth] = draw.noise_precision
