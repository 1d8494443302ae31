"""Features of the combination: of a movie in a context, of a person, and their products.

A score is linear in the features. The features of a movie do not depend on the person, and those of a person not on the
movie, so that the scores of all movies are a product of one table, made once for each context, and a few numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import History
from cineclub.models.stored import stored

TRENDS = tuple(f"trend_{days:g}" for days in HALF_LIVES_DAYS)
SHARED_HALF_LIVES = (1.0, 7.0)
SHARES = tuple(f"share_{days:g}" for days in SHARED_HALF_LIVES)
OF_MOVIES = (*TRENDS, *SHARES, "all_time", "age", "mean_rating", "share_of_likes")
"""The features of a movie in a context."""

N_OF_TREND = len(TRENDS) + len(SHARES)
"""The first features of a movie are of the likes of the last days."""

BASES = ("slist", "ials")
SHAPES = ("log", "linear")
"""Of the score of each base model there are two features, rising slowly and in proportion."""

OF_BASES = tuple(f"{base}_{shape}" for base in BASES for shape in SHAPES)
OF_PERSONS = ("n_ratings", "days_since_rating", "follows_trend", "age_of_movies", "popularity_of_movies")
"""The values of a person with a history; the first is above 0, and all are 0 without one."""

MULTIPLIED = ("trend_1", "trend_7", "all_time", "age")
"""The features of movies that are multiplied with the values of a person, beside the score of the first base model."""

PERSONAL_PRODUCTS = tuple(f"personal x {value}" for value in OF_PERSONS)
PRODUCTS = tuple(f"{feature} x {value}" for feature in MULTIPLIED for value in OF_PERSONS)
FEATURES = (*OF_MOVIES, *OF_BASES, *PERSONAL_PRODUCTS, *PRODUCTS, "personal x trend_7")
"""Every feature by name, in the order of the weights; "personal" is the logarithm of the first base model."""

LEAST_LIKES = 0.3
"""Added to the likes of a movie under the logarithm: a single like of a day is no trend yet."""

LEAST_SHARE = 1e-6
N_LAST_MOVIES = 20
"""The newest ratings of a person that tell whether they follow trends."""

NEVER = np.iinfo(np.int64).max
DAMPING_RATINGS = 5.0
LARGEST_DEVIATION = 3.0
SMALLEST_DEVIATION = 1e-6
"""A value that varies less is the same for everybody, and is not divided by its deviation."""


@dataclass(frozen=True, slots=True)
class MovieFigures:
    """What the ratings of a fit say of each movie, whatever the moment.

    Attributes:
        log_likes: (n_movies,) log(1 + its likes).
        first_rated_at: (n_movies,) microseconds since 1970-01-01 UTC; ``NEVER`` without a rating.
        quality: (2, n_movies) damped mean rating, from 0 to 1 on the scale, and damped share of likes.
    """

    log_likes: NDArray[np.float32]
    first_rated_at: NDArray[np.int64]
    quality: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        movie_indices: NDArray[np.int32],
        ratings: NDArray[np.float32],
        rated_at: NDArray[np.int64],
        scale: RatingScale,
        n_movies: int,
    ) -> "MovieFigures":
        """Return the figures of ratings, three columns of shape (n,), for a vocabulary of ``n_movies``."""
        stars = (ratings.astype(np.float64) - scale.lowest) / (scale.highest - scale.lowest)
        likes = (ratings >= scale.relevance_threshold).astype(np.float64)
        n_ratings = np.bincount(movie_indices, minlength=n_movies)
        sums = [np.bincount(movie_indices, values, minlength=n_movies) for values in (stars, likes)]
        means = [values.mean() if len(values) else 0.0 for values in (stars, likes)]
        first = np.full(n_movies, NEVER)
        np.minimum.at(first, movie_indices, rated_at)
        damped = [
            (total + DAMPING_RATINGS * mean) / (n_ratings + DAMPING_RATINGS)
            for total, mean in zip(sums, means, strict=True)
        ]
        return cls(np.log1p(sums[1]).astype(np.float32), first, np.array(damped, np.float32))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the figures as arrays of an artifact."""
        return {"log_likes": self.log_likes, "first_rated_at": self.first_rated_at, "quality": self.quality}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], n_movies: int) -> "MovieFigures":
        """Return the figures of arrays.

        Raises:
            BrokenArtifact: an array is missing or does not fit the vocabulary.
        """
        return cls(
            stored(arrays, "log_likes", np.float32, (n_movies,)),
            stored(arrays, "first_rated_at", np.int64, (n_movies,)),
            stored(arrays, "quality", np.float32, (2, n_movies)),
        )

    def ages_in_days(self, movie_indices: NDArray[np.int32], moments: NDArray[np.int64] | int) -> NDArray[np.float64]:
        """Return log(1 + days since a movie's first rating), 0 before it, shape (n,)."""
        since = np.maximum(moments - np.minimum(self.first_rated_at[movie_indices], moments), 0)
        ages: NDArray[np.float64] = np.log(1.0 + since / MICROSECONDS_PER_DAY)
        return ages

    def unrated_in(self, context: Context) -> NDArray[np.int64]:
        """Return the rising positions of the movies without any rating in the fit, and without likes in a context."""
        unrated = np.flatnonzero(self.first_rated_at == NEVER)
        return unrated[~context.counts[:, unrated].any(axis=0)]


SHARED_ROWS = [HALF_LIVES_DAYS.index(days) for days in SHARED_HALF_LIVES]
"""The counts of which a movie's share is a feature."""


@dataclass(frozen=True, slots=True)
class ContextFeatures:
    """The features of movies in one context.

    Attributes:
        figures: of each movie, from the ratings of the fit.
        context: the moment and its counts.
        ages: (n_movies,) as ``MovieFigures.ages_in_days``: a movie that was first liked after the fit is new.
        totals: (len(SHARED_HALF_LIVES), 1) all decayed likes of each half-life whose shares are features.
    """

    figures: MovieFigures
    context: Context
    ages: NDArray[np.float32]
    totals: NDArray[np.float64]

    @classmethod
    def of(cls, figures: MovieFigures, context: Context) -> "ContextFeatures":
        """Return the features of a context."""
        totals = context.counts[SHARED_ROWS].sum(axis=1, keepdims=True, dtype=np.float64)
        everything = np.arange(len(figures.log_likes), dtype=np.int32)
        ages = figures.ages_in_days(everything, context.moment).astype(np.float32)
        return cls(figures, context, ages, np.maximum(totals, LEAST_LIKES))

    def at(self, movies: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return the features of some movies, shape (len(OF_MOVIES), n)."""
        counts = self.context.counts[:, movies]
        return np.concatenate(
            (
                np.log(counts + np.float32(LEAST_LIKES)),
                np.sqrt(counts[SHARED_ROWS] / self.totals).astype(np.float32),
                self.figures.log_likes[None, movies],
                self.ages[None, movies],
                self.figures.quality[:, movies],
            )
        )


def movie_features(figures: MovieFigures, context: Context) -> NDArray[np.float32]:
    """Return the features of every movie in a context, shape (len(OF_MOVIES), n_movies)."""
    return ContextFeatures.of(figures, context).at(slice(None))


def person_values(history: History, figures: MovieFigures, context: Context) -> NDArray[np.float64]:
    """Return the values of a person, shape (len(OF_PERSONS),), before they are standardized; zeros without ratings."""
    values = np.zeros(len(OF_PERSONS))
    if not len(history):
        return values
    last, rated_at = history.movie_indices[-N_LAST_MOVIES:], history.rated_at[-N_LAST_MOVIES:]
    likes = context.counts[HALF_LIVES_DAYS.index(7.0)]
    total = max(float(likes.sum(dtype=np.float64)), LEAST_LIKES)
    gap = max(context.moment - int(history.rated_at[-1]), 0) / MICROSECONDS_PER_DAY
    values[:] = (
        np.log1p(len(history)),
        np.log1p(gap),
        np.log(likes[last] / total + LEAST_SHARE).mean(dtype=np.float64),
        np.median(figures.ages_in_days(last, rated_at)),
        figures.log_likes[last].mean(dtype=np.float64),
    )
    return values


def has_history(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether persons have a history, shape (...), by their values (..., len(OF_PERSONS)): a number above 0."""
    return np.asarray(values[..., 0] > 0, np.bool_)


@dataclass(frozen=True, slots=True)
class Standard:
    """The means and deviations, (len(OF_PERSONS),), of persons' values over the events that weights were learned on."""

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Standard":
        """Return the means and deviations of the rows with a history of values, shape (n, len(OF_PERSONS))."""
        known = values[has_history(values)]
        means, deviations = np.zeros(len(OF_PERSONS)), np.ones(len(OF_PERSONS))
        if len(known):
            means, spread = known.mean(axis=0), known.std(axis=0)
            deviations = np.where(spread > SMALLEST_DEVIATION, spread, 1.0)
        return cls(means, deviations)

    def standardized(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values, shape (..., len(OF_PERSONS)), in deviations from the mean; zeros without a history."""
        scaled = np.clip((values - self.means) / self.deviations, -LARGEST_DEVIATION, LARGEST_DEVIATION)
        return np.where(has_history(values)[..., None], scaled, 0.0)


def base_features(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the two features of the scores of one model, shape (n_movies,), as shape (len(SHAPES), n_movies).

    Scores are taken in their root mean square, and those below 0 as 0: log(1 + score) and score. So a zero, which means
    that nothing is known, stays a zero.
    """
    square = float(np.vdot(scores, scores)) / max(len(scores), 1)
    if not 0 < square < np.inf:
        return np.zeros((len(SHAPES), len(scores)), np.float32)
    linear = np.maximum(scores, 0) / np.float32(np.sqrt(square))
    return np.stack((np.log(linear + np.float32(1)), linear))  # several times as fast as log1p


@dataclass(frozen=True, slots=True)
class PersonalWeights:
    """The weights of one person: those of the features times the person's values.

    Attributes:
        of_movies: (len(OF_MOVIES),).
        of_bases: (len(OF_BASES),).
        personal: the weight of the logarithm of the first base model on top of its own.
        personal_by_trend: the weight of that logarithm times the trend of seven days.
    """

    of_movies: NDArray[np.float64]
    of_bases: NDArray[np.float64]
    personal: float
    personal_by_trend: float

    @classmethod
    def of(cls, weights: NDArray[np.float64], standardized: NDArray[np.float64]) -> "PersonalWeights":
        """Return the weights, shape (len(FEATURES),), for standardized values, shape (len(OF_PERSONS),)."""
        ends = np.cumsum([len(OF_MOVIES), len(OF_BASES), len(OF_PERSONS), len(PRODUCTS)])
        of_movies, of_bases, personal, products, last = np.split(weights, ends)
        of_movies = of_movies.copy()
        of_movies[PLACES_OF_MULTIPLIED] += products.reshape(len(MULTIPLIED), len(OF_PERSONS)) @ standardized
        return cls(of_movies, of_bases, float(personal @ standardized), float(last[0]))


PLACES_OF_MULTIPLIED = [OF_MOVIES.index(name) for name in MULTIPLIED]
TREND_OF_WEEK = OF_MOVIES.index("trend_7")


def candidate_features(
    of_movies: NDArray[np.float32], of_bases: NDArray[np.float32], first_base: int, standardized: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return all features of candidates, shape (n, len(FEATURES)), for one person.

    Args:
        of_movies: (len(OF_MOVIES), n).
        of_bases: (len(OF_BASES), n).
        first_base: the place among ``BASES`` of the model that is multiplied with the values of persons.
        standardized: (len(OF_PERSONS),).
    """
    values = standardized.astype(np.float32)[:, None]
    personal = of_bases[len(SHAPES) * first_base]
    products = [of_movies[place] * values for place in PLACES_OF_MULTIPLIED]
    rows = (of_movies, of_bases, personal * values, *products, (personal * of_movies[TREND_OF_WEEK])[None])
    return np.ascontiguousarray(np.concatenate(rows).T)
