"""Combination: a conditional logit over the scores of base models and the crowd's trends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.plan import MANY_RATINGS
from cineclub.domain.evaluation.progress import span_of
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import Explain, History, Prediction, Progress
from cineclub.models.combination.bases import BaseModels
from cineclub.models.combination.features import (
    FEATURES,
    LEAST_LIKES,
    N_OF_TREND,
    NEVER,
    OF_PERSONS,
    SHAPES,
    TREND_OF_WEEK,
    MovieFigures,
    PersonalWeights,
    Standard,
    base_features,
    movie_features,
    person_values,
)
from cineclub.models.combination.learning import lesson_of, needed_bytes_of_lesson
from cineclub.models.combination.weights import learned_weights
from cineclub.models.frozen_context import context_of_arrays, frozen_arrays, frozen_context_of
from cineclub.models.hyperparameters import Hyperparameters, one_of, within
from cineclub.models.ials import Ials, IalsHyperparameters
from cineclub.models.slist import Slist, SlistHyperparameters
from cineclub.models.stored import stored

SHARE_OF_LESSON = 0.5


@dataclass(frozen=True, slots=True)
class CombinationHyperparameters(Hyperparameters):
    """The pull of the weights to the best single source, and the filter of the base models.

    ``learned_on``: the likes among the newest ratings, each in the context of its moment, or among the last ratings of
    each user, in the context at the end. ``shrinkage``: the strength of the pull in likes. ``min_ratings``: users and
    movies with fewer ratings are left out of the base models; the weights are learned on all ratings.
    """

    learned_on: str = one_of("newest", "last-out")
    shrinkage: float = within(60.0, 0.001, 1_000_000.0)
    min_ratings: int = within(5, 1, 1000)


@dataclass(frozen=True, slots=True)
class LatestFeatures:
    """What requests share of the context asked for last: the features, and the movies that nobody has rated."""

    made: list[tuple[Context, NDArray[np.float32], NDArray[np.int64]]] = field(default_factory=list)

    def of(self, figures: MovieFigures, context: Context) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the features of every movie in a context, (len(OF_MOVIES), n_movies), and positions of the unrated."""
        for known, features, unrated in self.made[:]:
            if known is context:
                return features, unrated
        features, unrated = movie_features(figures, context), figures.unrated_in(context)
        self.made[:] = [(context, features, unrated)]
        return features, unrated


@dataclass(frozen=True, slots=True)
class Combination:
    """Scores that are linear in named features; the weights are learned from likes that follow the base models' fit.

    Attributes:
        bases: the base models.
        figures: of each movie, from all ratings.
        weights: (2, len(FEATURES)) of the features, in their units, of people with and without a history.
        standard: the means and deviations of persons' values.
        frozen_context: the crowd's counts at the end of the ratings.
        latest: the features of the newest context.
    """

    name: ClassVar[str] = "combination"
    is_personal: ClassVar[bool] = True

    bases: BaseModels
    figures: MovieFigures
    weights: NDArray[np.float64]
    standard: Standard
    frozen_context: Context
    latest: LatestFeatures = field(default_factory=LatestFeatures, compare=False)

    @classmethod
    def fit(
        cls,
        ratings: RatingMatrix,
        hyperparameters: CombinationHyperparameters,
        rng: np.random.Generator,
        progress: Progress,
    ) -> Self:
        """Return the weights of the newest ratings with base models of all ratings."""
        log = RatingLog(
            ratings.user_ids[ratings.user_indices],
            ratings.movie_ids[ratings.movie_indices],
            ratings.ratings,
            ratings.rated_at,
            ratings.scale,
            ratings.movie_ids,
        )
        least = hyperparameters.min_ratings
        cut, of_lesson = hyperparameters.learned_on, span_of(progress, 0.0, SHARE_OF_LESSON)
        lesson = lesson_of(log, cut, least, rng, of_lesson)
        standard = lesson.standard
        weights = learned_weights(lesson, standard, hyperparameters.shrinkage)
        bases = BaseModels.fit(log, ratings.movie_ids, least, rng, span_of(progress, SHARE_OF_LESSON, 1.0))
        figures = MovieFigures.of(
            ratings.movie_indices, ratings.ratings, ratings.rated_at, ratings.scale, ratings.n_movies
        )
        return cls(bases, figures, weights, standard, frozen_context_of(ratings))

    @classmethod
    def needed_bytes(cls, hyperparameters: CombinationHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: ratings in the order of time, base models, and events."""
        of_bases = Ials.needed_bytes(IalsHyperparameters(), extent)
        if extent.n_ratings <= MANY_RATINGS:
            of_bases = max(of_bases, Slist.needed_bytes(SlistHyperparameters(), extent))
        return of_bases + 120 * extent.n_ratings + needed_bytes_of_lesson(hyperparameters.learned_on, extent)

    @property
    def follows_context(self) -> bool:
        """True: the crowd's trends are among the features."""
        return True

    @property
    def is_learned(self) -> NDArray[np.bool_]:
        """Whether each movie had a rating in the fit, shape (n_movies,)."""
        return np.asarray(self.figures.first_rated_at != NEVER, np.bool_)

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the scores in the frozen context, shape (n_movies,)."""
        return self.predict(history).scores

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return True for every rating, shape (n,), as their number and time count too, if a base model knows one."""
        return np.full(len(history), len(self.bases.usable(history)) > 0)

    def predict(self, history: History) -> Prediction:
        """Return scores and reasons in the frozen context."""
        return self.predict_in_context(history, self.frozen_context)

    def predict_in_context(self, history: History, context: Context) -> Prediction:
        """Return the scores in a context, the impersonal part of them, and the ratings' contributions."""
        features, unrated = self.latest.of(self.figures, context)
        usable = self.bases.usable(history)
        values = self.standard.standardized(person_values(usable, self.figures, context))
        weights = PersonalWeights.of(self.weights[0 if len(usable) else 1], values)
        crowd, trend = _impersonal_parts(weights, features, context)
        crowd[unrated] = crowd.min(initial=np.inf)  # as new ones they would lead, and nothing speaks for them
        movies, predictions = self.bases.movies, self.bases.predict(history)
        personal = np.zeros(len(movies), np.float32)
        parts: dict[int, NDArray[np.float32]] = {}
        for place, prediction in predictions.items():
            logs, linear = base_features(prediction.scores)
            of_log, of_linear = weights.of_bases[len(SHAPES) * place : len(SHAPES) * (place + 1)].astype(np.float32)
            parts[place] = of_log * logs + of_linear * linear
            if place == self.bases.first:
                by_trend = np.float32(weights.personal_by_trend) * features[TREND_OF_WEEK, movies]
                parts[place] += (np.float32(weights.personal) + by_trend) * logs
            personal += parts[place]
        scores = crowd.copy()
        scores[movies] += personal
        return Prediction(scores, self.uses(history), self._explain(history, predictions, parts), crowd, trend)

    def _explain(
        self, history: History, predictions: Mapping[int, Prediction], parts: Mapping[int, NDArray[np.float32]]
    ) -> Explain:
        """Return the explanation: each model's part of a score, shared among the ratings like that model's score."""

        def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            reasons = np.zeros((len(movie_indices), len(history)), np.float32)
            is_known, _ = self.bases.history_of(history)
            places = self.bases.place_of[movie_indices]
            rows = np.flatnonzero(places >= 0)
            for base, prediction in predictions.items():
                scores, part = prediction.scores[places[rows]], parts[base][places[rows]]
                factors = np.where(part != 0, part / np.where(part != 0, scores, 1), 0).astype(np.float32)
                reasons[np.ix_(rows, is_known)] += factors[:, None] * prediction.explain(places[rows])
            return reasons

        return explain

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the arrays of the base models, the movies' figures, the weights and the frozen context."""
        return {
            **self.bases.arrays(),
            **self.figures.arrays(),
            "feature_weights": self.weights,
            "person_means": self.standard.means,
            "person_deviations": self.standard.deviations,
            **frozen_arrays(self.frozen_context),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        n_movies = len(stored(arrays, "log_likes", np.float32, (None,)))
        standard = Standard(
            stored(arrays, "person_means", np.float64, (len(OF_PERSONS),)),
            stored(arrays, "person_deviations", np.float64, (len(OF_PERSONS),)),
        )
        return cls(
            BaseModels.from_arrays(arrays, n_movies),
            MovieFigures.from_arrays(arrays, n_movies),
            stored(arrays, "feature_weights", np.float64, (2, len(FEATURES))),
            standard,
            context_of_arrays(arrays, n_movies),
        )


def _impersonal_parts(
    weights: PersonalWeights, features: NDArray[np.float32], context: Context
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the impersonal part of the scores and that of trends alone, both (n_movies,) above those of the mean.

    Of trends, movies with fewer than ``LEAST_LIKES`` decayed likes of the week have none, whatever the weights are.
    """
    of_movies = weights.of_movies.astype(np.float32)
    trend = _above_mean(of_movies[:N_OF_TREND] @ features[:N_OF_TREND])
    crowd = trend + _above_mean(of_movies[N_OF_TREND:] @ features[N_OF_TREND:])
    trend[context.counts[TREND_OF_WEEK] < LEAST_LIKES] = 0
    return crowd, trend


def _above_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values, shape (n_movies,), less their mean."""
    above: NDArray[np.float32] = values - values.mean(dtype=np.float64).astype(np.float32)
    return above
