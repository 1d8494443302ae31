"""Bayesian matrix factorisation by Gibbs sampling (Salakhutdinov & Mnih 2008): the mean of sampled models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Prediction, Progress
from cineclub.models.hyperparameters import Hyperparameters, half_life, within
from cineclub.models.posterior import Samples
from cineclub.models.rating_habits import STEADINESS_WEIGHT, LogCounts
from cineclub.models.stored import one_value, stored

LEAST_UNIT = 1e-3
"""The smallest unit of ratings, as a share of the scale: their deviation is 0 if all are equal."""


@dataclass(frozen=True, slots=True)
class BayesianMfHyperparameters(Hyperparameters):
    """The number of factors, of sweeps and of samples; the defaults need no tuning.

    The first third of the sweeps is the burn-in, and the samples are spread evenly over the rest.
    """

    n_factors: int = within(14, 1, 128)
    n_epochs: int = within(60, 2, 10_000)
    n_samples: int = within(10, 1, 1_000)
    history_half_life: float = half_life()


class SolvedUser(NamedTuple):
    """The user of a history, solved in each sample.

    Attributes:
        vectors: (n_samples, 1 + n_factors) the expected offset and factors.
        before: (n_samples, 1 + n_factors) the prior expectation for a user with as many ratings.
        rated: (n_samples, n, 1 + n_factors) the rated movies' vectors, with a one in place of the offset.
        pushes: (n_samples, n) each rating minus its prior expectation, times its weight and precision.
        normal: (n_samples, 1 + n_factors, 1 + n_factors) the matrix of the solve.
    """

    vectors: NDArray[np.float64]
    before: NDArray[np.float64]
    rated: NDArray[np.float64]
    pushes: NDArray[np.float64]
    normal: NDArray[np.float64]

    @property
    def offset(self) -> np.float32:
        """The expected offset."""
        return np.float32(self.vectors[:, 0].mean())

    @property
    def factors(self) -> NDArray[np.float32]:
        """The factors of all samples in one vector, shape (n_samples * n_factors,), divided by their number."""
        return (self.vectors[:, 1:].ravel() / len(self.vectors)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class BayesianMf:
    """Samples of the movies' side; a user is solved in each of them, and the expected ratings are averaged.

    Users are solved with the drawn movie vectors of each sample, which reflect the uncertainty of the movies. Movies
    are scored with the means of these draws: the expectation is the same, with less noise.

    Attributes:
        global_mean: (1,) mean of all ratings, on the data's scale.
        rating_unit: (1,) deviation of the ratings: the data's rating units in one learned unit.
        scale_ends: (2,) lowest and highest rating.
        movie_offsets: (n_movies,) mean over the samples, learned units.
        movie_means: (n_movies, n_samples * n_factors) expected factors of all samples in one row.
        movie_draws: (n_movies, n_samples, 1 + n_factors) drawn offsets and factors, in half precision.
        user_coefficients: (n_samples, 2, 1 + n_factors) the expected vector of a user by the number of ratings.
        user_precisions: (n_samples, 1 + n_factors, 1 + n_factors) precision of users' vectors around it.
        noise_precisions: (n_samples,) of a rating.
        log_counts: (2,) mean and deviation of the logarithm of users' numbers of ratings.
        history_half_life: (1,) the number of newer ratings after which a rating counts half; 0: all count alike.
    """

    name: ClassVar[str] = "bayesian_mf"
    is_personal: ClassVar[bool] = True

    global_mean: NDArray[np.float32]
    rating_unit: NDArray[np.float32]
    scale_ends: NDArray[np.float32]
    movie_offsets: NDArray[np.float32]
    movie_means: NDArray[np.float32]
    movie_draws: NDArray[np.float16]
    user_coefficients: NDArray[np.float32]
    user_precisions: NDArray[np.float32]
    noise_precisions: NDArray[np.float32]
    log_counts: NDArray[np.float32]
    history_half_life: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: BayesianMfHyperparameters,
        rng: np.random.Generator,
        progress: Progress,
    ) -> Self:
        """Return samples of the movies' side from a chain of sweeps over users and movies."""
        from cineclub.models.kernels.gibbs import sweeps

        mean = float(np.mean(ratings.ratings, dtype=np.float64))
        least_unit = LEAST_UNIT * (ratings.scale.highest - ratings.scale.lowest)
        unit = max(float(np.std(ratings.ratings, dtype=np.float64)), least_unit)
        counts = LogCounts.of(np.diff(ratings.row_starts))
        values = ((ratings.ratings - np.float32(mean)) / np.float32(unit)).astype(np.float32)
        shape = (ratings.n_movies, hyperparameters.n_factors)
        samples = Samples.room_for(hyperparameters.n_samples, hyperparameters.n_epochs, shape)
        chain = sweeps(ratings, values, counts, hyperparameters.n_factors, rng)
        for epoch in range(hyperparameters.n_epochs):
            samples.take(epoch, next(chain))
            progress((epoch + 1) / hyperparameters.n_epochs)
        return cls(
            global_mean=one_value(mean),
            rating_unit=one_value(unit),
            scale_ends=np.array([ratings.scale.lowest, ratings.scale.highest], np.float32),
            movie_offsets=samples.offsets.mean(axis=1),
            movie_means=samples.factors.reshape(ratings.n_movies, -1),
            movie_draws=samples.draws,
            user_coefficients=samples.user_coefficients,
            user_precisions=samples.user_precisions,
            noise_precisions=samples.noise_precisions,
            log_counts=np.array([counts.mean, counts.deviation], np.float32),
            history_half_life=one_value(hyperparameters.history_half_life),
        )

    @classmethod
    def needed_bytes(cls, hyperparameters: BayesianMfHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: the ratings both ways, all vectors, the samples."""
        width = 1 + hyperparameters.n_factors
        n_kept = min(hyperparameters.n_samples, hyperparameters.n_epochs)
        vectors = 40 * width * (extent.n_users + extent.n_movies)
        return 32 * extent.n_ratings + vectors + 6 * width * n_kept * extent.n_movies

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the expected rating of every movie, shape (n_movies,), not clipped so that ties stay rare."""
        return self.predict(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the expected rating of every movie for each history, shape (n_histories, n_movies), not clipped."""
        users = [self._user(history) for history in histories]
        factors = np.array([user.factors for user in users]).reshape(-1, self.movie_means.shape[1])
        offsets = np.array([user.offset for user in users], np.float32)
        scores: NDArray[np.float32] = (self.rating_unit * factors) @ self.movie_means.T
        scores += self.global_mean + self.rating_unit * self.movie_offsets
        scores += self.rating_unit * offsets[:, np.newaxis]
        return scores

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each movie, shape (m,), clipped to the scale."""
        stars = self._expected(self._user(history), movie_indices)
        return np.clip(stars, self.scale_ends[0], self.scale_ends[1])

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return True for every rating, shape (n,)."""
        return np.ones(len(history), np.bool_)

    def predict(self, history: History) -> Prediction:
        """Return the scores and the reasons.

        The contribution of a rating is that of its residual through the solves, plus its share of the effect of the
        number of ratings.
        """
        user = self._user(history)

        def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            reasons = [self._contributions(user, history, movie_index) for movie_index in movie_indices.tolist()]
            return np.array(reasons, np.float32).reshape(len(movie_indices), len(history))

        return Prediction(self._expected(user, slice(None)), self.uses(history), explain)

    def _contributions(self, user: SolvedUser, history: History, movie_index: int) -> NDArray[np.float32]:
        """Return the contribution of each rating, shape (n,), to one movie's score."""
        n_samples, width = user.vectors.shape
        movie = np.ones((n_samples, width))
        movie[:, 1:] = self.movie_means[movie_index].reshape(n_samples, -1)
        pulls = _solved(user.normal, movie[:, :, np.newaxis])[:, :, 0]
        by_rating = np.mean(_products(user.rated, pulls) * user.pushes, axis=0)
        by_number = np.mean(np.sum(movie * (user.before - self._before(0)), axis=1))
        return np.asarray((by_rating + by_number / max(len(history), 1)) * self.rating_unit, np.float32)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the samples and the scalars."""
        return {
            "global_mean": self.global_mean,
            "rating_unit": self.rating_unit,
            "scale_ends": self.scale_ends,
            "movie_offsets": self.movie_offsets,
            "movie_means": self.movie_means,
            "movie_draws": self.movie_draws,
            "user_coefficients": self.user_coefficients,
            "user_precisions": self.user_precisions,
            "noise_precisions": self.noise_precisions,
            "log_counts": self.log_counts,
            "history_half_life": self.history_half_life,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        coefficients = stored(arrays, "user_coefficients", np.float32, (None, 2, None))
        n_samples, _, width = coefficients.shape
        movie_offsets = stored(arrays, "movie_offsets", np.float32, (None,))
        n_movies = len(movie_offsets)
        return cls(
            global_mean=stored(arrays, "global_mean", np.float32, (1,)),
            rating_unit=stored(arrays, "rating_unit", np.float32, (1,)),
            scale_ends=stored(arrays, "scale_ends", np.float32, (2,)),
            movie_offsets=movie_offsets,
            movie_means=stored(arrays, "movie_means", np.float32, (n_movies, n_samples * (width - 1))),
            movie_draws=stored(arrays, "movie_draws", np.float16, (n_movies, n_samples, width)),
            user_coefficients=coefficients,
            user_precisions=stored(arrays, "user_precisions", np.float32, (n_samples, width, width)),
            noise_precisions=stored(arrays, "noise_precisions", np.float32, (n_samples,)),
            log_counts=stored(arrays, "log_counts", np.float32, (2,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
        )

    def _user(self, history: History) -> SolvedUser:
        """Return the user of a history."""
        before = self._before(len(history))
        rated = self.movie_draws[history.movie_indices].astype(np.float64).swapaxes(0, 1)
        offsets = rated[:, :, 0].copy()
        rated[:, :, 0] = 1
        surprises = (history.ratings - self.global_mean) / self.rating_unit - offsets - _products(rated, before)
        weights = history.recency_weights(float(self.history_half_life[0]))
        weighted = rated.swapaxes(1, 2) * weights
        gram, right = weighted @ rated, weighted @ surprises[:, :, np.newaxis]
        precisions = self._own_precisions(rated, surprises, weights, gram, right)
        normal = self.user_precisions + precisions * gram
        vectors = before + _solved(normal, precisions * right)[:, :, 0]
        return SolvedUser(vectors, before, rated, surprises * weights * precisions[:, :, 0], normal)

    def _before(self, n_ratings: int) -> NDArray[np.float64]:
        """Return the expected vectors, shape (n_samples, 1 + n_factors), of a user with a number of ratings."""
        usual = LogCounts(float(self.log_counts[0]), float(self.log_counts[1]))
        expected: NDArray[np.float64] = usual.features(np.array([n_ratings]))[0] @ self.user_coefficients
        return expected

    def _own_precisions(
        self,
        rated: NDArray[np.float64],
        surprises: NDArray[np.float64],
        weights: NDArray[np.float32],
        gram: NDArray[np.float64],
        right: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the noise precision of a user's ratings, shape (n_samples, 1, 1).

        It follows from the residuals of a solve with the precision of all users, plus the uncertainty of the vector.
        """
        usual = self.noise_precisions[:, np.newaxis, np.newaxis].astype(np.float64)
        solved = _solved(self.user_precisions + usual * gram, np.concatenate((usual * right, gram), axis=2))
        residuals: NDArray[np.float64] = surprises - _products(rated, solved[:, :, 0])
        errors = np.square(residuals) @ weights + np.trace(solved[:, :, 1:], axis1=1, axis2=2)
        n_counted = STEADINESS_WEIGHT + weights.sum()
        own: NDArray[np.float64] = usual * n_counted / (STEADINESS_WEIGHT + usual * errors[:, np.newaxis, np.newaxis])
        return own

    def _expected(self, user: SolvedUser, movies: NDArray[np.int32] | slice) -> NDArray[np.float32]:
        """Return the expected ratings of movies, shape (m,), on the data's scale and not clipped."""
        learned = self.movie_offsets[movies] + self.movie_means[movies] @ user.factors
        return np.asarray(self.global_mean + self.rating_unit * (learned + user.offset), np.float32)


def _solved(matrices: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the solutions of one linear system for each sample, shape (n_samples, width, n_right)."""
    return np.asarray(np.linalg.solve(matrices, right), np.float64)


def _products(rated: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products of the rated movies' vectors, shape (n_samples, n, width), with the user's of each sample."""
    products: NDArray[np.float64] = (rated @ vectors[:, :, np.newaxis])[:, :, 0]
    return products
