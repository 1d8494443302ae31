"""Weights between movies from users' histories: dense if the table of all pairs is small, else sparse."""

from dataclasses import dataclass

import numpy as np

from cineclub.domain.recommend.recommender import Progress
from cineclub.models import movie_weights
from cineclub.models.kernels.closed_form import (
    companion_weights,
    penalties,
    precision_for,
    spread_out,
    successor_weights,
)
from cineclub.models.kernels.movie_pairs import Closeness, Sequences, gram_of, tables_of_pairs
from cineclub.models.kernels.nearest_ridge import by_known_movie, sparse_weights
from cineclub.models.movie_weights import DenseWeights, MovieWeights, SparseWeights


@dataclass(frozen=True, slots=True)
class Linear:
    """The data and settings of a solve.

    Attributes:
        sequences: users' histories.
        closeness: the weight of a pair of ratings of one user.
        regularization: the ridge penalty of a movie of mean weight.
        degree_exponent: the growth of the penalty with the weight of a movie; 0: all have the same.
    """

    sequences: Sequences
    closeness: Closeness
    regularization: float
    degree_exponent: float = 0.0

    def weights(self, n_movies: int, progress: Progress) -> MovieWeights:
        """Return the weights between all movies of the matrix.

        Raises:
            InvalidInput: the regularization is too small.
        """
        most = movie_weights.MOST_DENSE_MOVIES
        if self.sequences.n_movies <= most and n_movies <= 2 * most:  # the final table is of all movies
            return self._dense(n_movies, progress)
        return self._sparse(n_movies, progress)

    def _dense(self, n_movies: int, progress: Progress) -> DenseWeights:
        """Return the closed form of the movies with a rating that counts."""
        penalty = penalties(self.sequences.own, self.regularization, self.degree_exponent)
        precision = precision_for(self.sequences.own, penalty)
        if self.closeness.is_without_order:
            gram = gram_of(self.sequences, self.closeness, precision, lambda fraction: progress(0.2 * fraction))
            weights = companion_weights(gram, penalty, progress)
        else:
            tables = tables_of_pairs(
                self.sequences, self.closeness, precision, lambda fraction: progress(0.2 * fraction)
            )
            weights = successor_weights(*tables, penalty, progress)
        return DenseWeights.of(spread_out(weights, self.sequences.movies, n_movies))

    def _sparse(self, n_movies: int, progress: Progress) -> SparseWeights:
        """Return each movie's weights from the few movies that predict it best."""
        penalty = penalties(self.sequences.own, self.regularization, self.degree_exponent)
        known, weights = sparse_weights(
            self.sequences, self.closeness, penalty, movie_weights.N_CHOSEN_MOVIES, progress
        )
        return SparseWeights(*by_known_movie(known, np.asarray(weights), self.sequences.movies, n_movies))
