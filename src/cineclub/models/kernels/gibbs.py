"""A Gibbs sampler for biased matrix factorisation (Salakhutdinov & Mnih 2008), one sweep after the other."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.models.kernels.bayesian_mf import LANES, Drawn, Given, Link, RatedRows, draw_links, draw_vectors
from cineclub.models.posterior import Draw
from cineclub.models.rating_habits import STEADINESS_WEIGHT, LogCounts

INITIAL_DEVIATION = 0.1
PRIOR_SCATTER = 0.15
"""Prior scatter of the vectors, divided by the root of their number: how fast a chain of small initial vectors learns.
A larger one fits chance; a smaller one misses the tastes of users with few ratings.
"""

PRIOR_WEIGHT_OF_MEANS = 1.0
PRIOR_ERRORS = 0.1
MAX_NOISE_PRECISION = 1e4
"""The noise of ratings is at least a hundredth of their deviation, even if all are equal."""


@dataclass(slots=True)
class Side:
    """The users or the movies: their ratings, and their part of the chain's state.

    Attributes:
        rows: their ratings.
        features: (n_rows, 2) a one and the scaled logarithm of the number of ratings.
        drawn: their vectors.
        steadiness: (n_rows,) the relative precision of their ratings.
        linked: (n_rows, 1 + n_factors) the part of the links in their expected vectors.
        coefficients: (2, 1 + n_factors) their expected vectors by feature.
        precision: (1 + n_factors, 1 + n_factors) the precision of the vectors around the expected ones.
        covariance_root: the lower Cholesky factor of its inverse.
        n_link_rows: the number of link vectors that share that precision.
        link_scatter: their scatter.
    """

    rows: RatedRows
    features: NDArray[np.float64]
    drawn: Drawn
    steadiness: NDArray[np.float64]
    linked: NDArray[np.float32]
    coefficients: NDArray[np.float64] = field(init=False)
    precision: NDArray[np.float64] = field(init=False)
    covariance_root: NDArray[np.float64] = field(init=False)
    n_link_rows: int = 0
    link_scatter: NDArray[np.float64] | float = 0.0

    @classmethod
    def begun(cls, rows: RatedRows, features: NDArray[np.float64], n_factors: int, rng: np.random.Generator) -> "Side":
        """Return a side with small random vectors."""
        drawn = Drawn.of_zeros(len(features), 1 + n_factors)
        drawn.vectors[:] = rng.standard_normal(drawn.vectors.shape, np.float32) * np.float32(INITIAL_DEVIATION)
        return cls(rows, features, drawn, np.ones(len(features)), np.zeros_like(drawn.vectors))

    @property
    def expected(self) -> NDArray[np.float32]:
        """The expected vectors by the features alone, shape (n_rows, 1 + n_factors)."""
        return (self.features @ self.coefficients).astype(np.float32)

    def draw_prior(self, rng: np.random.Generator) -> None:
        """Draw coefficients and precision from their normal-Wishart distribution given the vectors."""
        width = self.drawn.vectors.shape[1]
        vectors = self.drawn.vectors.astype(np.float64) - self.linked
        normal = self.features.T @ self.features + PRIOR_WEIGHT_OF_MEANS * np.eye(self.features.shape[1])
        fitted = np.linalg.solve(normal, self.features.T @ vectors)
        scatter = vectors.T @ vectors - fitted.T @ normal @ fitted + self.link_scatter
        freedom = width + len(vectors) + self.n_link_rows
        scatter += PRIOR_SCATTER * np.sqrt(len(vectors)) * np.eye(width)
        self.precision = _wishart(freedom, scatter, rng)
        self.covariance_root = _root_of_inverse(self.precision)
        noise = rng.standard_normal(fitted.shape) @ self.covariance_root.T
        self.coefficients = fitted + np.linalg.cholesky(np.linalg.inv(normal)) @ noise

    def draw_vectors(self, other: "Side", noise_precision: float, rng: np.random.Generator) -> None:
        """Draw the vectors given the other side's."""
        given = Given(
            vectors=other.drawn.vectors,
            weights=np.sqrt(other.steadiness).astype(np.float32),
            precisions=noise_precision * self.steadiness,
            prior_means=self.expected + self.linked,
            prior_precision=self.precision,
        )
        draw_vectors(self.rows, given, rng.standard_normal(self.drawn.vectors.shape, np.float32), self.drawn)


@dataclass(slots=True)
class MovieLinks:
    """Prior means of movies by their raters, whatever the ratings: the movies' side of SVD++ (Koren 2008).

    A movie's expected vector is moved by the sum of its raters' link vectors, divided by the root of their number. The
    link vectors share the movies' precision, times a factor that is drawn too.

    Attributes:
        rows: the ratings, a row for each user.
        shares: (n_movies,) one over the root of the number of raters.
        squares: (n_users,) sum of the squared shares of the movies that each user rated.
        vectors: (n_groups, n_users, LANES) the link vectors, padded.
        relative_precision: of the link vectors beside the movies' own.
    """

    rows: RatedRows
    shares: NDArray[np.float32]
    squares: NDArray[np.float64]
    vectors: NDArray[np.float32]
    relative_precision: float = 1.0

    @classmethod
    def between(cls, users: Side, movies: Side) -> "MovieLinks":
        """Return links of zero."""
        n_raters = np.diff(movies.rows.starts)
        shares = (1 / np.sqrt(np.maximum(n_raters, 1))).astype(np.float32)
        per_rating = np.repeat(1 / np.maximum(n_raters, 1), n_raters)
        n_users = len(users.features)
        squares = np.bincount(movies.rows.others, per_rating, minlength=n_users).astype(np.float64)
        n_groups = -(-movies.linked.shape[1] // LANES)
        return cls(users.rows, shares, squares, np.zeros((n_groups, n_users, LANES), np.float32))

    def draw(self, movies: Side, rng: np.random.Generator) -> None:
        """Draw the link vectors given the movies' vectors and prior, and then their precision."""
        _, n_users, _ = self.vectors.shape
        width = movies.linked.shape[1]
        unlinked = movies.drawn.vectors - movies.expected
        rests = _grouped(unlinked - movies.linked)
        noise = rng.standard_normal((n_users, width), np.float32) @ movies.covariance_root.T.astype(np.float32)
        link = Link(self.rows, self.shares, self.squares + self.relative_precision)
        draw_links(link, _grouped(noise), self.vectors, rests)
        movies.linked = unlinked - _ungrouped(rests, width)
        vectors = _ungrouped(self.vectors, width).astype(np.float64)
        spread = vectors.T @ vectors
        self.relative_precision = rng.gamma(1 + n_users * width / 2, 1 / (1 + np.sum(spread * movies.precision) / 2))
        movies.n_link_rows, movies.link_scatter = n_users, self.relative_precision * spread


def sweeps(
    ratings: RatingMatrix, values: NDArray[np.float32], counts: LogCounts, n_factors: int, rng: np.random.Generator
) -> Iterator[Draw]:
    """Yield the state after each sweep, without end; the arrays of a draw are valid until the next one.

    Args:
        ratings: the ratings.
        values: (n_ratings,) the ratings, centred and in units of their deviation.
        counts: the scale of users' numbers of ratings.
        n_factors: length of the vectors without the offset.
        rng: the generator of all draws.
    """
    columns = ratings.columns
    user_rows = RatedRows(ratings.row_starts, ratings.movie_indices, values)
    movie_rows = RatedRows(columns.starts, columns.user_indices, values[columns.rows])
    users = Side.begun(user_rows, counts.features(np.diff(ratings.row_starts)), n_factors, rng)
    n_raters = np.diff(columns.starts)
    movies = Side.begun(movie_rows, LogCounts.of(n_raters).features(n_raters), n_factors, rng)
    links = MovieLinks.between(users, movies)
    noise_precision = 1.0
    while True:
        movies.draw_prior(rng)
        links.draw(movies, rng)
        movies.draw_vectors(users, noise_precision, rng)
        users.draw_prior(rng)
        users.draw_vectors(movies, noise_precision, rng)
        yield Draw(movies.drawn.vectors, movies.drawn.means, users.coefficients, users.precision, noise_precision)
        _draw_steadiness(users, noise_precision, rng)
        noise_precision = _drawn_noise_precision(users, ratings.n_ratings, rng)


def _draw_steadiness(users: Side, noise_precision: float, rng: np.random.Generator) -> None:
    """Draw the relative precision of each user's ratings, with a gamma prior of mean 1."""
    n_ratings = np.diff(users.rows.starts)
    shapes = (STEADINESS_WEIGHT + n_ratings) / 2
    users.steadiness = rng.gamma(shapes) / ((STEADINESS_WEIGHT + noise_precision * users.drawn.errors) / 2)


def _drawn_noise_precision(users: Side, n_ratings: int, rng: np.random.Generator) -> float:
    """Return a draw of the noise precision given all vectors and the steadiness of all users."""
    errors = PRIOR_ERRORS + float(np.sum(users.steadiness * users.drawn.errors))
    return min(float(rng.gamma(1 + n_ratings / 2)) / (errors / 2), MAX_NOISE_PRECISION)


def _wishart(freedom: int, inverse_scale: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a draw of the Wishart distribution by Bartlett's decomposition."""
    width = len(inverse_scale)
    triangle = np.tril(rng.standard_normal((width, width)), -1)
    triangle[np.diag_indices(width)] = np.sqrt(rng.chisquare(freedom - np.arange(width)))
    root = _root_of_inverse(inverse_scale) @ triangle
    drawn: NDArray[np.float64] = root @ root.T
    return drawn


def _root_of_inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower Cholesky factor of the inverse of a positive definite matrix, symmetric but for rounding."""
    inverse = np.linalg.inv((matrix + matrix.T) / 2)
    return np.asarray(np.linalg.cholesky((inverse + inverse.T) / 2), np.float64)


def _grouped(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors, shape (n, width), in groups of components, shape (n_groups, n, LANES), padded with zeros."""
    n_rows, width = vectors.shape
    n_groups = -(-width // LANES)
    padded = np.zeros((n_rows, n_groups * LANES), np.float32)
    padded[:, :width] = vectors
    return np.ascontiguousarray(padded.reshape(n_rows, n_groups, LANES).transpose(1, 0, 2))


def _ungrouped(groups: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return groups of components as vectors, shape (n, width)."""
    return groups.transpose(1, 0, 2).reshape(groups.shape[1], -1)[:, :width]
