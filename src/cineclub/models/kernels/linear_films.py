"""Weights between films from people's histories: dense where a table of all pairs is small, sparse beyond."""

from dataclasses import dataclass

import numpy as np

from cineclub.domain.recommender import Progress
from cineclub.models import film_weights
from cineclub.models.film_weights import DenseWeights, FilmWeights, SparseWeights
from cineclub.models.kernels.closed_form import (
    companion_weights,
    penalties,
    precision_for,
    spread_out,
    successor_weights,
)
from cineclub.models.kernels.film_pairs import Closeness, Sequences, gram_of, tables_of_pairs
from cineclub.models.kernels.nearest_ridge import by_known_film, sparse_weights


@dataclass(frozen=True, slots=True)
class Linear:
    """What the weights are solved from.

    Attributes:
        sequences: people's histories.
        closeness: how two ratings of one person count together.
        regularization: how firmly a film of mean weight is held near zero.
        degree_exponent: how much more firmly well-known films are held; 0: all alike.
    """

    sequences: Sequences
    closeness: Closeness
    regularization: float
    degree_exponent: float = 0.0

    def weights(self, n_movies: int, progress: Progress) -> FilmWeights:
        """Return the weights between all films of the matrix.

        Raises:
            InvalidInput: the regularization is too small.
        """
        most = film_weights.MOST_DENSE_MOVIES
        if self.sequences.n_movies <= most and n_movies <= 2 * most:  # the table is of all films in the end
            return self._dense(n_movies, progress)
        return self._sparse(n_movies, progress)

    def _dense(self, n_movies: int, progress: Progress) -> DenseWeights:
        """Return the closed form; films of which no rating counts take no part in it."""
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
        """Return each film's weights from the few films that say most about it."""
        penalty = penalties(self.sequences.own, self.regularization, self.degree_exponent)
        known, weights = sparse_weights(self.sequences, self.closeness, penalty, film_weights.N_CHOSEN_MOVIES, progress)
        return SparseWeights(*by_known_film(known, np.asarray(weights), self.sequences.movies, n_movies))
