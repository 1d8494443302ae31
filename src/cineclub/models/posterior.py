"""Samples of a posterior distribution: the sweeps of a chain that are kept."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

BURN_IN_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Draw:
    """One sweep's state, as far as people can be answered from it.

    Attributes:
        movie_vectors: (n_movies, 1 + n_factors) the drawn offsets and factors that people are solved with.
        movie_means: (n_movies, 1 + n_factors) the means that they were drawn around.
        user_coefficients: (2, 1 + n_factors) a person's expected vector by the number of their ratings.
        user_precision: (1 + n_factors, 1 + n_factors) how firmly people's vectors lie around it.
        noise_precision: of a rating.
    """

    movie_vectors: NDArray[np.float32]
    movie_means: NDArray[np.float32]
    user_coefficients: NDArray[np.float64]
    user_precision: NDArray[np.float64]
    noise_precision: float


class Samples(NamedTuple):
    """Room for the sweeps that are kept.

    Attributes:
        epochs: (n_samples,) which sweeps those are, rising.
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
        """Return room for samples spread evenly over the sweeps after the burn-in, the last sweep among them.

        Args:
            n_samples: how many to keep; fewer if there are not so many sweeps.
            n_epochs: how many sweeps there will be.
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
        """Keep a sweep if it is one of those that are kept."""
        for nth in np.flatnonzero(self.epochs == epoch):
            self.offsets[:, nth], self.factors[:, nth] = draw.movie_means[:, 0], draw.movie_means[:, 1:]
            self.draws[:, nth] = draw.movie_vectors
            self.user_coefficients[nth], self.user_precisions[nth] = draw.user_coefficients, draw.user_precision
            self.noise_precisions[nth] = draw.noise_precision
